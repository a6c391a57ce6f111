//! What the library is before anything is opened: its descriptor, its instance, its ends.

use std::ptr::{NonNull, null, null_mut};

use etatuki_backend_api::raw;

use super::{AT_ONCE, empty, is};
use crate::check::bench::{Bench, Host, Library, Outcome, ensure};
use crate::check::clock::within;
use crate::check::printed;

pub(super) fn symbol(library: &Library) -> Outcome {
    let descriptor = library.load()?;
    Ok(format!(
        "the descriptor has {} bytes",
        descriptor.struct_size
    ))
}

pub(super) fn quiet_load(library: &Library) -> Outcome {
    let ((), printed) = printed::during(|| library.load().map(|_| ()))?;
    ensure(printed.is_empty(), || {
        format!("it printed {:?} while it was loaded", printed.trim_end())
    })?;
    Ok("nothing".into())
}

pub(super) fn load_time(library: &Library) -> Outcome {
    let library = library.clone();
    within(AT_ONCE, "do what takes long in open()", move |watch| {
        let (loaded, took) = watch.during("loading", || library.load().map(|_| ()));
        loaded?;
        Ok(format!("{} ms", took.as_millis()))
    })
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
    let forms = ["remoteus", "ecom", "own"];
    ensure(forms.contains(&about.code_form.as_str()), || {
        format!("the code_form {:?} isn't one of {forms:?}", about.code_form)
    })?;
    Ok(format!(
        "{} {} by {}, id {}",
        about.name, about.version, about.vendor, about.id
    ))
}

pub(super) fn capabilities(library: &Library) -> Outcome {
    let bench = library.described()?;
    let known = CAPABILITIES.iter().fold(0, |known, (bit, _)| known | bit);
    let bits = bench.about.capabilities;
    ensure(bits & !known == 0, || {
        format!("the bits {:#x} aren't defined", bits & !known)
    })?;
    let reserved = bench.descriptor.reserved;
    ensure(reserved == 0, || format!("reserved is {reserved}, not 0"))?;
    let own = bench.about.code_form == "own";
    ensure(!own || bench.has(raw::CAP_OWN_CODE), || {
        "the code_form is `own`, and OWN_CODE isn't set".into()
    })?;
    let names = CAPABILITIES.iter().filter(|(bit, _)| bench.has(*bit));
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
    let bench = library.described()?;
    ensure(!bench.lacks_network, || {
        "it has NETWORK: the launcher refuses it, unless its registry says `network = true`; --network says so here"
            .into()
    })?;
    Ok(match bench.has(raw::CAP_NETWORK) {
        true => "it asks for it, and may have it".into(),
        false => "it doesn't ask for it".into(),
    })
}

pub(super) fn create(library: &Library) -> Outcome {
    library.bench()?.create()?;
    Ok("with all its functions".into())
}

/// What stands in `out` before create(): what a host that doesn't set it may have there.
const RUBBISH: *const raw::Instance = NonNull::dangling().as_ptr();

/// `create` must refuse this host with this status, and leave null.
fn refuses(bench: &Bench, call: &str, host: *const raw::Host, wanted: i32) -> Outcome<()> {
    let mut out = RUBBISH;
    is(call, bench.create_raw(host, &raw mut out)?, wanted)?;
    ensure(out.is_null(), || {
        let left = if out == RUBBISH {
            "left *out as it was"
        } else {
            "set *out"
        };
        format!("{call} {left}; it must be null unless OK is returned")
    })
}

pub(super) fn create_null(library: &Library) -> Outcome {
    let bench = library.bench()?;
    refuses(&bench, "create(NULL, out)", null(), raw::E_NULL)?;
    is(
        "create(host, NULL)",
        bench.create_raw(bench.host.as_raw(), null_mut())?,
        raw::E_NULL,
    )?;
    Ok("without a host, and without a place for the instance".into())
}

pub(super) fn create_short_host(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let whole = size_of::<raw::Host>() as u32;
    for size in [16, whole - 1] {
        let short = Host::leak("null".into(), size);
        let call = format!("create() with a host of {size} bytes");
        refuses(&bench, &call, short.as_raw(), raw::E_ARGUMENT)?;
    }
    Ok(format!("16 and {} bytes", whole - 1))
}

pub(super) fn create_newer_host(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let size = size_of::<raw::Host>() as u32 + 64;
    let newer = Host::leak("null".into(), size);
    let mut out = null();
    is(
        "create()",
        bench.create_raw(newer.as_raw(), &raw mut out)?,
        raw::OK,
    )?;
    Ok(format!("{size} bytes"))
}

pub(super) fn first_state(library: &Library) -> Outcome {
    let instance = library.bench()?.create()?;
    instance.is_in(raw::STATE_CLOSED)?;
    let mut code = empty();
    is(
        "session_code() in CLOSED",
        instance.session_code(&raw mut code),
        raw::E_STATE,
    )?;
    let (status, name, words) = instance.error();
    ensure(
        status == raw::OK && name.is_empty() && words.is_empty(),
        || format!("last_error() says {status} {name:?} {words:?} before anything has failed"),
    )?;
    Ok("CLOSED".into())
}

pub(super) fn extension(library: &Library) -> Outcome {
    let instance = library.bench()?.create()?;
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
    library.bench()?.create()?.destroy_null();
    Ok("nothing happened".into())
}
