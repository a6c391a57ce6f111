//! Trials of streams: sockets that are attached, refused and ended.

use std::io::{Read as _, Write as _};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd as _, IntoRawFd as _};
use std::time::Duration;

use etatuki_backend_api::raw;

use super::{PROMPT_TIMEOUT, null_text};
use crate::check::attached_stream::{AttachedStream, CLOSED_REFUSED, handle_target, socket_pair};
use crate::check::clock::{CallTimer, with_own_timeout};
use crate::check::harness::{Harness, Library};
use crate::check::instance::{Instance, state_exists};
use crate::check::outcome::{Outcome, ensure, expect_status, skipped, status_name, unavailable};
use crate::check::rfb_client::RfbClient;

/// Time-out, in own time, of any call, by the header's `[call]`.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns a plugin that waits for a stream; skips one that brings its own transport.
pub(super) fn attachable(library: &Library) -> Outcome<(Harness, Instance)> {
    let harness = library.harness()?;
    ensure_attachable(&harness)?;
    let instance = harness.waiting()?;
    Ok((harness, instance))
}

fn ensure_attachable(harness: &Harness) -> Outcome<()> {
    if harness.has(raw::CAP_OWN_TRANSPORT) {
        return skipped("it brings its own transport");
    }
    Ok(())
}

pub(super) fn attach(library: &Library) -> Outcome {
    let (_harness, instance) = attachable(library)?;
    let stream = AttachedStream::attach(&instance)?;
    instance.expect_state(raw::STATE_ATTACHED)?;
    drop(stream);
    instance.wait_for(raw::STATE_WAITING, "after the stream's end")?;
    Ok("ATTACHED, and WAITING after the stream's end".into())
}

pub(super) fn attach_again(library: &Library) -> Outcome {
    let (_harness, instance) = attachable(library)?;
    for _ in 0..2 {
        drop(AttachedStream::attach(&instance)?);
        instance.wait_for(raw::STATE_WAITING, "after the stream's end")?;
    }
    Ok("two streams, one after the other".into())
}

pub(super) fn attach_early(library: &Library) -> Outcome {
    let harness = library.harness()?;
    ensure_attachable(&harness)?;
    expect_refused(&harness.create()?, "attach() in CLOSED")?;
    Ok("in CLOSED".into())
}

pub(super) fn attach_twice(library: &Library) -> Outcome {
    let (_harness, instance) = attachable(library)?;
    let _first = AttachedStream::attach(&instance)?;
    expect_refused(&instance, "attach() while ATTACHED")?;
    instance.expect_state(raw::STATE_ATTACHED)?;
    Ok("while ATTACHED".into())
}

/// Fails unless a socket is refused in this state, and still works afterwards.
fn expect_refused(instance: &Instance, call: &str) -> Outcome<()> {
    let (mut ours, theirs) = socket_pair()?;
    // A plugin may close the handle, which must not be closed twice.
    let mut theirs = ManuallyDrop::new(theirs);
    let before = handle_target(theirs.as_raw_fd());
    let status = instance.attach(theirs.as_raw_fd() as isize);
    expect_status(call, status, raw::E_STATE)?;
    ensure(handle_target(theirs.as_raw_fd()) == before, || {
        format!("{call} returned {}{CLOSED_REFUSED}", status_name(status))
    })?;
    let alive = ours.write_all(b"x").is_ok() && theirs.read_exact(&mut [0]).is_ok();
    ensure(alive, || {
        format!("{call} is refused, and the socket doesn't work any more; it is the host's still")
    })
}

pub(super) fn attach_rubbish(library: &Library) -> Outcome {
    let (_harness, instance) = attachable(library)?;
    let (_ours, theirs) = socket_pair()?;
    // A bare number, since a plugin may close the handle.
    let theirs = theirs.into_raw_fd();
    let before = handle_target(theirs);
    // A valid handle only when the upper half is cut off.
    let long = (1 << 32) | theirs as isize;
    let mut statuses = Vec::new();
    for handle in [-1, isize::MIN, long] {
        let status = instance.attach(handle);
        ensure(status != raw::OK, || {
            format!("attach({handle:#x}) returned 0; that is no handle")
        })?;
        ensure(handle_target(theirs) == before, || {
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

/// Checks that a refused handle stays open. A plugin may refuse handles that aren't sockets. One
/// that accepts them owns them, and may do anything with them: no real host hands over such a
/// handle.
pub(super) fn refused_handle(library: &Library) -> Outcome {
    let (_harness, instance) = attachable(library)?;
    let skip = |error: std::io::Error| unavailable("there is no handle to try", &error);
    let device = std::fs::File::open("/dev/null").map_err(skip)?;
    let (pipe, _) = std::io::pipe().map_err(skip)?;
    let mut texts = Vec::new();
    for (what, handle) in [
        ("a device", device.into_raw_fd()),
        ("a pipe", pipe.into_raw_fd()),
    ] {
        let before = handle_target(handle);
        let status = instance.attach(handle as isize);
        if status == raw::OK {
            texts.push(format!("{what} is taken"));
            break;
        }
        let status = status_name(status);
        ensure(handle_target(handle) == before, || {
            format!("attach() with {what} returned {status}{CLOSED_REFUSED}")
        })?;
        instance.expect_state(raw::STATE_WAITING)?;
        texts.push(format!("{what}: {status}"));
    }
    Ok(texts.join(", "))
}

pub(super) fn reopen_after_stream(library: &Library) -> Outcome {
    let (harness, instance) = attachable(library)?;
    drop(AttachedStream::attach(&instance)?);
    instance.wait_for(raw::STATE_WAITING, "after the stream's end")?;
    instance.close_to_closed()?;
    instance.open_to_waiting(&harness.code())?;
    let _stream = AttachedStream::attach(&instance)?;
    instance.close_to_closed()?;
    instance.open_to_waiting(&harness.code())?;
    instance.code()?;
    drop(AttachedStream::attach(&instance)?);
    instance.wait_for(raw::STATE_WAITING, "after the stream's end")?;
    Ok("after a stream, and in the middle of one".into())
}

pub(super) fn close_attached(library: &Library) -> Outcome {
    let (_harness, instance) = attachable(library)?;
    let stream = AttachedStream::attach(&instance)?;
    instance.close_to_closed()?;
    ensure(stream.ends(), || {
        "the stream is still open 5 s after CLOSED".into()
    })?;
    Ok("the stream has ended".into())
}

pub(super) fn any_while_attached(library: &Library) -> Outcome {
    let library = library.clone();
    let advice = "it may take a lock for a moment, and wait for nothing else";
    with_own_timeout(PROMPT_TIMEOUT, advice, move |timer| {
        let (_harness, instance) = attachable(&library)?;
        let client = RfbClient::attach(&instance)?;
        time_any_functions(&instance, timer);
        client.flood_requests()?;
        for _ in 0..20 {
            time_any_functions(&instance, timer);
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok("with a client that reads, and one that doesn't".into())
    })
}

fn time_any_functions(instance: &Instance, timer: &CallTimer) {
    let mut code = null_text();
    timer.run("state() while ATTACHED", || instance.state());
    timer.run("session_code() while ATTACHED", || {
        instance.session_code(&raw mut code)
    });
    timer.run("last_error() while ATTACHED", || instance.failure());
    timer.run("extension() while ATTACHED", || {
        instance.extension(c"etatuki.no-such-extension/1".as_ptr())
    });
}

pub(super) fn destroy_anywhere(library: &Library) -> Outcome {
    let library = library.clone();
    with_own_timeout(CALL_TIMEOUT, "that is a hang", move |timer| {
        destroy_in_each_state(&library, timer)
    })
}

fn destroy_in_each_state(library: &Library, timer: &CallTimer) -> Outcome {
    let harness = library.harness()?;
    let closed = harness.create()?;
    timer.run("destroy() in CLOSED", || closed.destroy());
    let opening = harness.usable()?;
    opening.open(harness.code().as_ptr());
    timer.run("destroy() in OPENING", || opening.destroy());
    let waiting = harness.waiting()?;
    timer.run("destroy() in WAITING", || waiting.destroy());
    if !harness.has(raw::CAP_OWN_TRANSPORT) {
        let serving = harness.waiting()?;
        let _stream = AttachedStream::attach(&serving)?;
        timer.run("destroy() in ATTACHED", || serving.destroy());
    }
    Ok("CLOSED, OPENING, WAITING and, where there are streams, ATTACHED".into())
}
