//! What the library is before anything is opened: its descriptor, its instance, its ends.

use std::io::Read as _;
use std::ptr::{null, null_mut};

use etatuki_backend_api::raw;

use super::{AT_ONCE, empty, is};
use crate::check::bench::{Host, Library, Outcome, Stop, ensure};
use crate::check::clock::within;

pub(super) fn symbol(library: &Library) -> Outcome {
    let descriptor = library.load()?;
    Ok(format!(
        "the descriptor has {} bytes",
        descriptor.struct_size
    ))
}

pub(super) fn quiet_load(library: &Library) -> Outcome {
    let printed = capture(|| library.load().map(|_| ()))?;
    ensure(printed.is_empty(), || {
        format!("it printed {:?} while it was loaded", printed.trim_end())
    })?;
    Ok(String::new())
}

/// What goes to stdout and stderr meanwhile.
fn capture(work: impl FnOnce() -> Outcome<()>) -> Outcome<String> {
    let broken = |error: std::io::Error| Stop::Skipped(format!("nothing can be captured: {error}"));
    let (mut read, write) = std::io::pipe().map_err(broken)?;
    let before = std::io::stderr();
    let saved = rustix::io::dup(&before).map_err(|error| broken(error.into()))?;
    let both = |to: &dyn Fn() -> rustix::io::Result<()>| to().map_err(|error| broken(error.into()));
    both(&|| rustix::stdio::dup2_stdout(&write))?;
    both(&|| rustix::stdio::dup2_stderr(&write))?;
    drop(write);
    let done = work();
    both(&|| rustix::stdio::dup2_stdout(&saved))?;
    both(&|| rustix::stdio::dup2_stderr(&saved))?;
    done?;
    let mut printed = Vec::new();
    read.read_to_end(&mut printed).map_err(broken)?;
    Ok(String::from_utf8_lossy(&printed).into_owned())
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
    let known = raw::CAP_INPUT
        | raw::CAP_CLIPBOARD
        | raw::CAP_RESIZE
        | raw::CAP_OWN_CODE
        | raw::CAP_OWN_TRANSPORT
        | raw::CAP_NETWORK;
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
    Ok(format!("{bits:#x}"))
}

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
    Ok(String::new())
}

pub(super) fn create_null(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let mut out = null();
    let without_host = bench.create_raw(null(), &raw mut out)?;
    is("create(NULL, out)", without_host, raw::E_NULL)?;
    ensure(out.is_null(), || {
        "create(NULL, out) gave an instance".into()
    })?;
    is(
        "create(host, NULL)",
        bench.create_raw(bench.host.as_raw(), null_mut())?,
        raw::E_NULL,
    )
}

pub(super) fn create_short_host(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let short = Host::leak("null".into(), 16);
    let mut out = null();
    let status = bench.create_raw(short.as_raw(), &raw mut out)?;
    is("create() with a host of 16 bytes", status, raw::E_ARGUMENT)?;
    ensure(out.is_null(), || "it gave an instance all the same".into())?;
    Ok(String::new())
}

pub(super) fn create_newer_host(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let newer = Host::leak("null".into(), size_of::<raw::Host>() as u32 + 64);
    let mut out = null();
    is(
        "create()",
        bench.create_raw(newer.as_raw(), &raw mut out)?,
        raw::OK,
    )
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
    Ok(String::new())
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
    Ok(String::new())
}

pub(super) fn destroy_null(library: &Library) -> Outcome {
    library.bench()?.create()?.destroy_null();
    Ok(String::new())
}
