//! The one way to end a wait early, from any thread.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// A switch that is thrown once and stays thrown. Clones are the same switch.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Inner>);

/// A pipe on which nothing is ever written: it becomes readable when its writing end is dropped.
#[derive(Debug)]
struct Inner {
    reader: PipeReader,
    writer: Mutex<Option<PipeWriter>>,
}

impl Stop {
    /// A switch that is not thrown yet.
    ///
    /// # Errors
    /// When the system gives no pipe.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self(Arc::new(Inner {
            reader,
            writer: Mutex::new(Some(writer)),
        })))
    }

    /// Throws the switch; more than once does no harm.
    pub fn stop(&self) {
        self.0
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Whether it was thrown.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none()
    }
}

/// Readable (hung up) once the switch was thrown.
impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.reader.as_fd()
    }
}
