//! Sockets handed over, and what becomes of them.

use std::io::{Read as _, Write as _};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd as _, IntoRawFd as _};
use std::time::Duration;

use etatuki_backend_api::raw;

use super::{AT_ONCE, empty, is};
use crate::check::bench::{
    Bench, Instance, Library, Outcome, Stop, ensure, skipped, state_exists, status_name,
};
use crate::check::clock::{Watch, within};
use crate::check::viewer::{CLOSED_REFUSED, Viewer, Wire, pair, what_is};

/// How long any call may take.
pub(super) const CALL: Duration = Duration::from_secs(2);

/// One that waits for a stream.
pub(super) fn attachable(library: &Library) -> Outcome<(Bench, Instance)> {
    let bench = library.bench()?;
    ensure_attachable(&bench)?;
    let instance = bench.waiting()?;
    Ok((bench, instance))
}

fn ensure_attachable(bench: &Bench) -> Outcome<()> {
    if bench.has(raw::CAP_OWN_TRANSPORT) {
        return skipped("it brings its own transport");
    }
    Ok(())
}

pub(super) fn attach(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    let stream = Wire::attach(&instance)?;
    instance.is_in(raw::STATE_ATTACHED)?;
    drop(stream);
    instance.until(raw::STATE_WAITING, "after the stream's end")?;
    Ok("ATTACHED, and WAITING after the stream's end".into())
}

pub(super) fn attach_again(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    for _ in 0..2 {
        drop(Wire::attach(&instance)?);
        instance.until(raw::STATE_WAITING, "after the stream's end")?;
    }
    Ok("two streams, one after the other".into())
}

pub(super) fn attach_early(library: &Library) -> Outcome {
    let bench = library.bench()?;
    ensure_attachable(&bench)?;
    refuses(&bench.create()?, "attach() in CLOSED")?;
    Ok("in CLOSED".into())
}

pub(super) fn attach_twice(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    let _first = Wire::attach(&instance)?;
    refuses(&instance, "attach() while ATTACHED")?;
    instance.is_in(raw::STATE_ATTACHED)?;
    Ok("while ATTACHED".into())
}

/// A socket is refused in this state, and works as before.
fn refuses(instance: &Instance, call: &str) -> Outcome<()> {
    let (mut ours, theirs) = pair()?;
    // A plugin may close it, and a handle mustn't be closed twice.
    let mut theirs = ManuallyDrop::new(theirs);
    let before = what_is(theirs.as_raw_fd());
    let status = instance.attach(theirs.as_raw_fd() as isize);
    is(call, status, raw::E_STATE)?;
    ensure(what_is(theirs.as_raw_fd()) == before, || {
        format!("{call} returned {}{CLOSED_REFUSED}", status_name(status))
    })?;
    let alive = ours.write_all(b"x").is_ok() && theirs.read_exact(&mut [0]).is_ok();
    ensure(alive, || {
        format!("{call} is refused, and the socket doesn't work any more; it is the host's still")
    })
}

pub(super) fn attach_rubbish(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    let (_ours, theirs) = pair()?;
    // By its number, for a plugin may close it.
    let theirs = theirs.into_raw_fd();
    let before = what_is(theirs);
    // A socket's only when the upper half is cut off.
    let long = (1 << 32) | theirs as isize;
    let mut statuses = Vec::new();
    for handle in [-1, isize::MIN, long] {
        let status = instance.attach(handle);
        ensure(status != raw::OK, || {
            format!("attach({handle:#x}) returned 0; that is no handle")
        })?;
        ensure(what_is(theirs) == before, || {
            format!("attach({handle:#x}) closed a handle that it wasn't given")
        })?;
        statuses.push(status_name(status));
        let state = instance.state();
        ensure(state_exists(state), || {
            format!("state() gave {state} afterwards")
        })?;
    }
    statuses.dedup();
    Ok(statuses.join(", "))
}

/// Handles that aren't sockets may be refused. One that takes them has them, and what it does with them is its business: no
/// host hands such a thing over.
pub(super) fn refused_handle(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    let broken =
        |error: std::io::Error| Stop::Skipped(format!("there is no handle to try: {error}"));
    let device = std::fs::File::open("/dev/null").map_err(broken)?;
    let (pipe, _) = std::io::pipe().map_err(broken)?;
    let mut texts = Vec::new();
    for (what, handle) in [
        ("a device", device.into_raw_fd()),
        ("a pipe", pipe.into_raw_fd()),
    ] {
        let before = what_is(handle);
        let status = instance.attach(handle as isize);
        if status == raw::OK {
            texts.push(format!("{what} is taken"));
            break;
        }
        let status = status_name(status);
        ensure(what_is(handle) == before, || {
            format!("attach() with {what} returned {status}{CLOSED_REFUSED}")
        })?;
        instance.is_in(raw::STATE_WAITING)?;
        texts.push(format!("{what}: {status}"));
    }
    Ok(texts.join(", "))
}

pub(super) fn reopen_after_stream(library: &Library) -> Outcome {
    let (bench, instance) = attachable(library)?;
    drop(Wire::attach(&instance)?);
    instance.until(raw::STATE_WAITING, "after the stream's end")?;
    instance.close_to_closed()?;
    instance.open_to_waiting(&bench.code())?;
    let _stream = Wire::attach(&instance)?;
    instance.close_to_closed()?;
    instance.open_to_waiting(&bench.code())?;
    instance.code()?;
    drop(Wire::attach(&instance)?);
    instance.until(raw::STATE_WAITING, "after the stream's end")?;
    Ok("after a stream, and in the middle of one".into())
}

pub(super) fn close_attached(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    let stream = Wire::attach(&instance)?;
    instance.close_to_closed()?;
    ensure(stream.ends(), || {
        "the stream is still open 5 s after CLOSED".into()
    })?;
    Ok("the stream has ended".into())
}

pub(super) fn any_while_attached(library: &Library) -> Outcome {
    let library = library.clone();
    let advice = "it may take a lock for a moment, and wait for nothing else";
    within(AT_ONCE, advice, move |watch| {
        let (_bench, instance) = attachable(&library)?;
        let viewer = Viewer::attach(&instance)?;
        call_each(&instance, watch);
        viewer.flood()?;
        for _ in 0..20 {
            call_each(&instance, watch);
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok("with a client that reads, and one that doesn't".into())
    })
}

fn call_each(instance: &Instance, watch: &Watch) {
    let mut code = empty();
    watch.during("state() while ATTACHED", || instance.state());
    watch.during("session_code() while ATTACHED", || {
        instance.session_code(&raw mut code)
    });
    watch.during("last_error() while ATTACHED", || instance.error());
    watch.during("extension() while ATTACHED", || {
        instance.extension(c"etatuki.no-such-extension/1".as_ptr())
    });
}

pub(super) fn destroy_anywhere(library: &Library) -> Outcome {
    let library = library.clone();
    within(CALL, "that is a hang", move |watch| {
        destroy_each(&library, watch)
    })
}

fn destroy_each(library: &Library, watch: &Watch) -> Outcome {
    let bench = library.bench()?;
    let closed = bench.create()?;
    watch.during("destroy() in CLOSED", || closed.destroy());
    let opening = bench.usable()?;
    opening.open(bench.code().as_ptr());
    watch.during("destroy() in OPENING", || opening.destroy());
    let waiting = bench.waiting()?;
    watch.during("destroy() in WAITING", || waiting.destroy());
    if !bench.has(raw::CAP_OWN_TRANSPORT) {
        let serving = bench.waiting()?;
        let _stream = Wire::attach(&serving)?;
        watch.during("destroy() in ATTACHED", || serving.destroy());
    }
    Ok("CLOSED, OPENING, WAITING and, where there are streams, ATTACHED".into())
}
