//! The permission to give input to the display, shared by the plugin's threads.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use etatuki_screen::CancelToken;

/// Whether the agent has control, and whether the session goes on.
#[derive(Debug)]
pub(crate) struct Control {
    permitted: AtomicBool,
    cancel: CancelToken,
    /// A pipe that carries a byte after a change of the permission.
    wake: (PipeReader, PipeWriter),
}

impl Control {
    pub(crate) fn new() -> io::Result<Self> {
        let wake = io::pipe()?;
        // Neither side may ever wait: a full pipe wakes as well as one byte does.
        for end in [wake.0.as_fd(), wake.1.as_fd()] {
            rustix::io::ioctl_fionbio(end, true)?;
        }
        Ok(Self {
            permitted: AtomicBool::new(false),
            cancel: CancelToken::new()?,
            wake,
        })
    }

    pub(crate) fn set(&self, permitted: bool) {
        self.permitted.store(permitted, Ordering::SeqCst);
        let _ = (&self.wake.1).write(&[0]);
    }

    pub(crate) fn is_permitted(&self) -> bool {
        self.permitted.load(Ordering::SeqCst)
    }

    /// Ends every wait for the display, now and for good.
    pub(crate) fn end(&self) {
        self.set(false);
        self.cancel.cancel();
    }

    pub(crate) fn cancel_token(&self) -> &CancelToken {
        &self.cancel
    }

    /// Returns a descriptor that is readable after a change of the permission.
    pub(crate) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.0.as_fd()
    }

    /// Empties the pipe behind [`wake_fd`](Self::wake_fd).
    pub(crate) fn clear_wake(&self) {
        let _ = (&self.wake.0).read(&mut [0; 64]);
    }
}
