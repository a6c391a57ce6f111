//! Capture of what a plugin prints to stdout and stderr.

use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::clock::poll_until;
use super::outcome::{Outcome, unavailable};

/// Bytes that are kept; the rest is drained, so that no writer blocks.
const MAX_KEPT_BYTES: usize = 1 << 20;
/// Longest wait for a process that the plugin started and that still holds the pipe.
const PIPE_CLOSE_TIMEOUT: Duration = Duration::from_millis(200);

/// Runs `work`, and returns its result with what was printed meanwhile, C's own buffers included.
pub(super) fn capture<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, String)> {
    let skip = |error: std::io::Error| unavailable("nothing can be captured", &error);
    let (read, write) = std::io::pipe().map_err(skip)?;
    let original = rustix::io::dup(std::io::stderr()).map_err(|error| skip(error.into()))?;
    flush_c_streams();
    let redirect =
        |dup: &dyn Fn() -> rustix::io::Result<()>| dup().map_err(|error| skip(error.into()));
    redirect(&|| rustix::stdio::dup2_stdout(&write))?;
    redirect(&|| rustix::stdio::dup2_stderr(&write))?;
    drop(write);
    let reader = Reader::start(read);
    let result = work();
    flush_c_streams();
    redirect(&|| rustix::stdio::dup2_stdout(&original))?;
    redirect(&|| rustix::stdio::dup2_stderr(&original))?;
    Ok((result?, reader.collect()))
}

fn flush_c_streams() {
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
        let sink = Arc::clone(&kept);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                let mut kept = sink.lock().unwrap_or_else(PoisonError::into_inner);
                let room = MAX_KEPT_BYTES.saturating_sub(kept.len());
                kept.extend_from_slice(&buffer[..read.min(room)]);
            }
        });
        Self { kept, thread }
    }

    fn collect(self) -> String {
        poll_until(PIPE_CLOSE_TIMEOUT, || {
            self.thread.is_finished().then_some(())
        });
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }
}
