//! Somebody on the stream.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, IntoRawFd as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use etatuki_backend_api::raw;

use super::is;
use crate::check::bench::{
    Bench, Instance, Library, Outcome, PATIENCE, Stop, ensure, skipped, state_exists,
};
use crate::check::clock::{Watch, patiently, within};

/// How long any call may take.
const CALL: Duration = Duration::from_secs(2);

/// Attaches a socket; gives its other end.
fn attached(instance: &Instance) -> Outcome<UnixStream> {
    let broken = |error: std::io::Error| Stop::Skipped(format!("no socket pair: {error}"));
    let (ours, theirs) = UnixStream::pair().map_err(broken)?;
    ours.set_nonblocking(true).map_err(broken)?;
    let status = instance.attach(theirs.as_raw_fd() as isize);
    ensure(status == raw::OK, || {
        format!("attach() returned {status}: {}", instance.error().2)
    })?;
    // It is the plugin's now.
    let _ = theirs.into_raw_fd();
    Ok(ours)
}

/// Attaches a socket, and reads the beginning of RFB from its other end.
fn greeted(instance: &Instance) -> Outcome<UnixStream> {
    let stream = attached(instance)?;
    let greeting = read(&stream, 12);
    ensure(greeting.len() == 12, || {
        "nothing came on the socket within 5 s; the server speaks first in RFB".into()
    })?;
    ensure(greeting.starts_with(b"RFB 003."), || {
        format!(
            "it doesn't begin as RFB does: {:?}",
            String::from_utf8_lossy(&greeting)
        )
    })?;
    Ok(stream)
}

/// So many bytes, or fewer, if they are all that comes.
fn read(stream: &UnixStream, wanted: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    patiently(PATIENCE, || {
        let rest = (wanted - bytes.len()) as u64;
        // What came before it would block is kept.
        let ended = stream.take(rest).read_to_end(&mut bytes).is_ok();
        ended.then_some(())
    });
    bytes
}

/// Whether it ends. What comes until then is dropped.
fn ends(stream: &mut UnixStream) -> bool {
    let mut buffer = [0; 65536];
    let ended = patiently(PATIENCE, || match stream.read(&mut buffer) {
        Ok(0) => Some(()),
        Ok(_) => None,
        Err(error) => (error.kind() != std::io::ErrorKind::WouldBlock).then_some(()),
    });
    ended.is_some()
}

fn attachable(library: &Library) -> Outcome<(Bench, Instance)> {
    let bench = library.bench()?;
    if bench.has(raw::CAP_OWN_TRANSPORT) {
        return skipped("it brings its own transport");
    }
    let instance = bench.waiting()?;
    Ok((bench, instance))
}

pub(super) fn attach(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    let stream = attached(&instance)?;
    instance.is_in(raw::STATE_ATTACHED)?;
    drop(stream);
    instance.until(raw::STATE_WAITING)?;
    Ok(String::new())
}

pub(super) fn rfb(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    greeted(&instance)?;
    Ok(String::new())
}

pub(super) fn attach_again(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    for _ in 0..2 {
        drop(attached(&instance)?);
        instance.until(raw::STATE_WAITING)?;
    }
    Ok(String::new())
}

pub(super) fn attach_early(library: &Library) -> Outcome {
    let bench = library.bench()?;
    if bench.has(raw::CAP_OWN_TRANSPORT) {
        return skipped("it brings its own transport");
    }
    let instance = bench.create()?;
    let pair =
        UnixStream::pair().map_err(|error| Stop::Skipped(format!("no socket pair: {error}")));
    let (mut ours, theirs) = pair?;
    is(
        "attach() in CLOSED",
        instance.attach(theirs.as_raw_fd() as isize),
        raw::E_STATE,
    )?;
    let alive = ours.write_all(b"x").is_ok() && (&theirs).read_exact(&mut [0]).is_ok();
    ensure(alive, || {
        "the socket was touched: it is still the host's".into()
    })?;
    Ok(String::new())
}

pub(super) fn attach_rubbish(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    let status = instance.attach(-1);
    ensure(status != raw::OK, || "attach(-1) returned 0".into())?;
    let state = instance.state();
    ensure(state_exists(state), || {
        format!("state() gave {state} afterwards")
    })?;
    Ok(format!("{status}"))
}

pub(super) fn close_attached(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    let mut stream = attached(&instance)?;
    instance.close_to_closed()?;
    ensure(ends(&mut stream), || {
        "the stream is still open 5 s after CLOSED".into()
    })?;
    Ok(String::new())
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
        let _stream = attached(&serving)?;
        watch.during("destroy() in ATTACHED", || serving.destroy());
    }
    Ok(String::new())
}
