//! The checker's end of a socket that was attached to the plugin.

use std::io;
use std::os::fd::IntoRawFd as _;
use std::os::unix::net::UnixStream;

use etatuki_backend_api::raw;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::clock::poll_until;
use super::instance::{Instance, STATE_TIMEOUT};
use super::outcome::{Outcome, failed, status_name, unavailable};

/// Bytes of one read.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// End of a sentence about a refused `attach`.
pub(super) const CLOSED_REFUSED: &str =
    "; the plugin closed a handle that it had refused, and that is still the host's";

/// Never blocks, and never raises SIGPIPE.
const SEND_FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// The other end of a socket that the plugin has.
pub(super) struct AttachedStream(UnixStream);

impl AttachedStream {
    /// Attaches a socket.
    pub(super) fn attach(instance: &Instance) -> Outcome<Self> {
        let (ours, theirs) = socket_pair()?;
        // A bare number from here on: a plugin may close a handle that isn't its own.
        let handle = theirs.into_raw_fd();
        let before = handle_target(handle);
        let status = instance.attach(handle as isize);
        if status == raw::OK {
            return Ok(Self(ours));
        }
        let still_open = handle_target(handle) == before;
        failed(format!(
            "attach() returned {}{}{}",
            status_name(status),
            instance.failure_suffix(),
            if still_open { "" } else { CLOSED_REFUSED }
        ))
    }

    /// Reads the bytes that are there now, and returns their number, which may be 0; `None` when
    /// the stream has ended.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match recv(&self.0, buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => Ok(None),
            Ok((read, _)) => Ok(Some(read)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Some(0)),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends all of the bytes within [`STATE_TIMEOUT`]; returns false when the plugin doesn't take
    /// them.
    pub(super) fn send(&self, mut bytes: &[u8]) -> bool {
        let sent = poll_until(STATE_TIMEOUT, || {
            while !bytes.is_empty() {
                match send(&self.0, bytes, SEND_FLAGS) {
                    Ok(sent) => bytes = &bytes[sent..],
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => return None,
                    Err(_) => return Some(false),
                }
            }
            Some(true)
        });
        sent == Some(true)
    }

    /// Sends as many bytes as fit now; returns false when the stream has ended.
    pub(super) fn send_some(&self, bytes: &[u8]) -> bool {
        matches!(
            send(&self.0, bytes, SEND_FLAGS),
            Ok(_) | Err(Errno::AGAIN | Errno::INTR)
        )
    }

    /// Waits for the stream's end, and drops what comes until then; returns whether it came.
    pub(super) fn ends(&self) -> bool {
        let mut buffer = [0; READ_BYTES];
        let ended = poll_until(STATE_TIMEOUT, || {
            while let Ok(Some(read)) = self.read(&mut buffer) {
                if read == 0 {
                    return None;
                }
            }
            Some(())
        });
        ended.is_some()
    }
}

/// Returns a connected pair of sockets.
pub(super) fn socket_pair() -> Outcome<(UnixStream, UnixStream)> {
    UnixStream::pair().map_err(|error| unavailable("no socket pair", &error))
}

/// Returns the system's name of what a handle of this process is open on; `None` when it is closed.
pub(super) fn handle_target(handle: i32) -> Option<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{handle}")).ok()
}
