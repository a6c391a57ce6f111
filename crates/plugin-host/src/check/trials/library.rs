//! Trials of the library before anything is opened: its descriptor, its instance, null arguments.

use std::ptr::{NonNull, null, null_mut};

use etatuki_backend_api::{CodeForm, raw};

use super::{PROMPT_TIMEOUT, null_text};
use crate::check::captured_output::capture;
use crate::check::clock::with_own_timeout;
use crate::check::harness::{Harness, Library};
use crate::check::outcome::{Outcome, ensure, expect_status};
use crate::check::recording_host::RecordingHost;

pub(super) fn symbol(library: &Library) -> Outcome {
    let descriptor = library.load()?;
    Ok(format!(
        "the descriptor has {} bytes",
        descriptor.struct_size
    ))
}

pub(super) fn quiet_load(library: &Library) -> Outcome {
    let ((), printed) = capture(|| library.load().map(|_| ()))?;
    ensure(printed.is_empty(), || {
        format!("it printed {:?} while it was loaded", printed.trim_end())
    })?;
    Ok("nothing".into())
}

pub(super) fn load_time(library: &Library) -> Outcome {
    let library = library.clone();
    with_own_timeout(
        PROMPT_TIMEOUT,
        "do what takes long in open()",
        move |timer| {
            let (loaded, elapsed) = timer.run("loading", || library.load().map(|_| ()));
            loaded?;
            Ok(format!("{} ms", elapsed.as_millis()))
        },
    )
}

pub(super) fn descriptor(library: &Library) -> Outcome {
    let about = library.described()?.about;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = about.id.len() <= 40 && about.id.chars().all(plain) && !about.id.starts_with('-');
    ensure(fits, || {
        format!(
            "the id {:?} isn't 1 to 40 of a-z, 0-9 and -, beginning with a letter or digit",
            about.id
        )
    })?;
    ensure(CodeForm::from_name(&about.code_form).is_some(), || {
        let forms = CodeForm::ALL.map(CodeForm::as_str);
        format!("the code_form {:?} isn't one of {forms:?}", about.code_form)
    })?;
    Ok(format!(
        "{} {} by {}, id {}",
        about.name, about.version, about.vendor, about.id
    ))
}

pub(super) fn capabilities(library: &Library) -> Outcome {
    let harness = library.described()?;
    let defined = CAPABILITIES
        .iter()
        .fold(0, |defined, (bit, _)| defined | bit);
    let bits = harness.about.capabilities;
    ensure(bits & !defined == 0, || {
        format!("the bits {:#x} aren't defined", bits & !defined)
    })?;
    let reserved = harness.descriptor.reserved;
    ensure(reserved == 0, || format!("reserved is {reserved}, not 0"))?;
    let external = harness.about.code_form == CodeForm::External.as_str();
    ensure(!external || harness.has(raw::CAP_OWN_CODE), || {
        "the code_form is `own`, and OWN_CODE isn't set".into()
    })?;
    let names = CAPABILITIES.iter().filter(|(bit, _)| harness.has(*bit));
    let names: Vec<_> = names.map(|(_, name)| *name).collect();
    Ok(if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    })
}

const CAPABILITIES: [(u64, &str); 6] = [
    (raw::CAP_INPUT, "INPUT"),
    (raw::CAP_CLIPBOARD, "CLIPBOARD"),
    (raw::CAP_RESIZE, "RESIZE"),
    (raw::CAP_OWN_CODE, "OWN_CODE"),
    (raw::CAP_OWN_TRANSPORT, "OWN_TRANSPORT"),
    (raw::CAP_NETWORK, "NETWORK"),
];

pub(super) fn network(library: &Library) -> Outcome {
    let harness = library.described()?;
    ensure(!harness.lacks_network, || {
        "it has NETWORK: the launcher refuses it, unless its registry says `network = true`; --network says so here"
            .into()
    })?;
    Ok(match harness.has(raw::CAP_NETWORK) {
        true => "it asks for it, and may have it".into(),
        false => "it doesn't ask for it".into(),
    })
}

pub(super) fn create(library: &Library) -> Outcome {
    library.harness()?.create()?;
    Ok("with all its functions".into())
}

/// Value of `out` before create(), as in a host that doesn't initialise it.
const UNINITIALIZED: *const raw::Instance = NonNull::dangling().as_ptr();

/// Fails unless `create` refuses this host with this status, and sets `out` to null.
fn expect_refused(
    harness: &Harness,
    call: &str,
    host: *const raw::Host,
    expected: i32,
) -> Outcome<()> {
    let mut out = UNINITIALIZED;
    expect_status(call, harness.create_raw(host, &raw mut out)?, expected)?;
    ensure(out.is_null(), || {
        let left = if out == UNINITIALIZED {
            "left *out as it was"
        } else {
            "set *out"
        };
        format!("{call} {left}; it must be null unless OK is returned")
    })
}

pub(super) fn create_null(library: &Library) -> Outcome {
    let harness = library.harness()?;
    expect_refused(&harness, "create(NULL, out)", null(), raw::E_NULL)?;
    expect_status(
        "create(host, NULL)",
        harness.create_raw(harness.host.as_raw(), null_mut())?,
        raw::E_NULL,
    )?;
    Ok("without a host, and without a place for the instance".into())
}

pub(super) fn create_short_host(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let whole = size_of::<raw::Host>() as u32;
    for size in [16, whole - 1] {
        let short = RecordingHost::leak("null".into(), size);
        let call = format!("create() with a host of {size} bytes");
        expect_refused(&harness, &call, short.as_raw(), raw::E_ARGUMENT)?;
    }
    Ok(format!("16 and {} bytes", whole - 1))
}

pub(super) fn create_newer_host(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let size = size_of::<raw::Host>() as u32 + 64;
    let newer = RecordingHost::leak("null".into(), size);
    let mut out = null();
    expect_status(
        "create()",
        harness.create_raw(newer.as_raw(), &raw mut out)?,
        raw::OK,
    )?;
    Ok(format!("{size} bytes"))
}

pub(super) fn first_state(library: &Library) -> Outcome {
    let instance = library.harness()?.create()?;
    instance.expect_state(raw::STATE_CLOSED)?;
    let mut code = null_text();
    expect_status(
        "session_code() in CLOSED",
        instance.session_code(&raw mut code),
        raw::E_STATE,
    )?;
    let (status, name, message) = instance.failure();
    ensure(
        status == raw::OK && name.is_empty() && message.is_empty(),
        || format!("last_error() says {status} {name:?} {message:?} before anything has failed"),
    )?;
    Ok("CLOSED".into())
}

pub(super) fn extension(library: &Library) -> Outcome {
    let instance = library.harness()?.create()?;
    let name = c"etatuki.no-such-extension/1";
    ensure(instance.extension(name.as_ptr()).is_null(), || {
        "extension() gave something for a name that nobody has defined".into()
    })?;
    ensure(instance.extension(null()).is_null(), || {
        "extension(NULL) gave something".into()
    })?;
    Ok("a name that nobody has defined, and NULL".into())
}

pub(super) fn destroy_null(library: &Library) -> Outcome {
    library.harness()?.create()?.destroy_null();
    Ok("nothing happened".into())
}
