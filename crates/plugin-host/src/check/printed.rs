//! What a plugin prints.

use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::bench::{Outcome, Stop};
use super::clock::patiently;

/// Bytes that are kept; the rest is drained, so that nobody waits for room.
const KEPT: usize = 1 << 20;
/// How long a process that the plugin started may hold the pipe after everything else has let go of it.
const TO_END: Duration = Duration::from_millis(200);

/// What goes to stdout and stderr meanwhile, also what lies in C's own buffers.
pub(super) fn during<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, String)> {
    let broken = |error: std::io::Error| Stop::Skipped(format!("nothing can be captured: {error}"));
    let (read, write) = std::io::pipe().map_err(broken)?;
    let before = rustix::io::dup(std::io::stderr()).map_err(|error| broken(error.into()))?;
    flush();
    let put = |to: &dyn Fn() -> rustix::io::Result<()>| to().map_err(|error| broken(error.into()));
    put(&|| rustix::stdio::dup2_stdout(&write))?;
    put(&|| rustix::stdio::dup2_stderr(&write))?;
    drop(write);
    let reader = Reader::start(read);
    let done = work();
    flush();
    put(&|| rustix::stdio::dup2_stdout(&before))?;
    put(&|| rustix::stdio::dup2_stderr(&before))?;
    Ok((done?, reader.collect()))
}

fn flush() {
    // SAFETY: null means every stream that is open for writing.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

struct Reader {
    kept: Arc<Mutex<Vec<u8>>>,
    thread: std::thread::JoinHandle<()>,
}

impl Reader {
    fn start(mut pipe: std::io::PipeReader) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&kept);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                let mut kept = to.lock().unwrap_or_else(PoisonError::into_inner);
                let room = KEPT.saturating_sub(kept.len());
                kept.extend_from_slice(&buffer[..read.min(room)]);
            }
        });
        Self { kept, thread }
    }

    fn collect(self) -> String {
        patiently(TO_END, || self.thread.is_finished().then_some(()));
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }
}
