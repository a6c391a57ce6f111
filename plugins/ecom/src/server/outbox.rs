//! Bytes on their way to the client.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::SendFlags;

use super::{Going, ServeError};

/// Bytes of answers (fences and the like) that may wait for a client that doesn't read them; then it
/// isn't listened to until it does.
const MOST_ANSWERS: usize = 64 * 1024;

/// One buffer, emptied before the next update is put into it.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
    /// Length of the update in it.
    update: usize,
}

impl Outbox {
    /// Whether everything has gone.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether there is room for what the client asks next.
    pub(super) fn takes_answers(&self) -> bool {
        self.bytes.len() - self.update < MOST_ANSWERS
    }

    /// To append whole messages to, other than updates.
    pub(super) fn answer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Has an update appended by `write`, in whole messages.
    pub(super) fn update<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let before = self.bytes.len();
        let done = write(&mut self.bytes);
        self.update += self.bytes.len() - before;
        done
    }

    /// Sends as much as the socket takes.
    pub(super) fn write(&mut self, socket: &OwnedFd) -> Result<Going, ServeError> {
        while self.sent < self.bytes.len() {
            match rustix::net::send(socket, &self.bytes[self.sent..], SendFlags::NOSIGNAL) {
                Ok(sent) => self.sent += sent,
                Err(Errno::AGAIN) => return Ok(Going::On),
                Err(Errno::INTR) => {}
                Err(_) => return Ok(Going::Over),
            }
        }
        self.bytes.clear();
        (self.sent, self.update) = (0, 0);
        Ok(Going::On)
    }
}
