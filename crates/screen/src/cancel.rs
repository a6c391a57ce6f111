//! Cancellation: ends a wait early, from any thread.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// A flag that is set once and stays set. Clones share the flag.
///
/// The descriptor is readable (hung up) once the token is cancelled, so that `poll` wakes.
#[derive(Clone, Debug)]
pub struct CancelToken(Arc<Inner>);

/// A pipe that never carries a byte: it becomes readable when its writing end is dropped.
#[derive(Debug)]
struct Inner {
    reader: PipeReader,
    writer: Mutex<Option<PipeWriter>>,
}

impl CancelToken {
    /// Creates a token that isn't cancelled.
    ///
    /// # Errors
    /// The system gives no pipe.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self(Arc::new(Inner {
            reader,
            writer: Mutex::new(Some(writer)),
        })))
    }

    /// Cancels. Further calls do nothing.
    pub fn cancel(&self) {
        self.0
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Returns whether it is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none()
    }
}

impl AsFd for CancelToken {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.reader.as_fd()
    }
}
