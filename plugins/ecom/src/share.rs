//! The handle of a shared screen: its permissions, and its end.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use etatuki_backend_api::Permissions;
use etatuki_screen::{CancelToken, SharedApp};

/// A shared screen. Clones share it; any thread may use them.
#[derive(Clone, Debug)]
pub struct Share(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    display: Option<String>,
    view: AtomicBool,
    control: AtomicBool,
    /// The only program that is shared; empty for the whole screen.
    app: OnceLock<SharedApp>,
    cancel: CancelToken,
    /// A pipe that carries a byte after a change of the permissions.
    wake: (PipeReader, PipeWriter),
}

impl Share {
    /// Creates a share of `display` (`$DISPLAY` when `None`) without permissions.
    ///
    /// # Errors
    /// The system gives no pipe.
    pub fn new(display: Option<&str>) -> io::Result<Self> {
        let wake = io::pipe()?;
        // Neither side may ever wait: a full pipe wakes as well as one byte does.
        for end in [wake.0.as_fd(), wake.1.as_fd()] {
            rustix::io::ioctl_fionbio(end, true)?;
        }
        Ok(Self(Arc::new(Inner {
            display: display.map(str::to_owned),
            view: AtomicBool::new(false),
            control: AtomicBool::new(false),
            app: OnceLock::new(),
            cancel: CancelToken::new()?,
            wake,
        })))
    }

    /// Sets the permissions from now on. Without `view` no picture is sent. Without `control` every
    /// held key and button is released, and later input is ignored.
    pub fn set_permissions(&self, permissions: Permissions) {
        self.0.view.store(permissions.view, Ordering::SeqCst);
        self.0.control.store(permissions.control, Ordering::SeqCst);
        let _ = (&self.0.wake.1).write(&[0]);
    }

    /// Restricts the share to one program, for every client that is served from now on. Further
    /// calls change nothing: a second app could only show more.
    pub fn restrict_to_app(&self, app: SharedApp) {
        let _ = self.0.app.set(app);
    }

    /// Ends [`serve`](crate::serve), now and for good.
    pub fn stop(&self) {
        self.0.cancel.cancel();
    }

    pub(crate) fn display(&self) -> Option<&str> {
        self.0.display.as_deref()
    }

    pub(crate) fn may_view(&self) -> bool {
        self.0.view.load(Ordering::SeqCst)
    }

    pub(crate) fn may_control(&self) -> bool {
        self.0.control.load(Ordering::SeqCst)
    }

    pub(crate) fn app(&self) -> Option<&SharedApp> {
        self.0.app.get()
    }

    pub(crate) fn cancel_token(&self) -> &CancelToken {
        &self.0.cancel
    }

    /// Returns a descriptor that is readable after a change of the permissions.
    pub(crate) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.0.wake.0.as_fd()
    }

    /// Empties the pipe behind [`wake_fd`](Self::wake_fd).
    pub(crate) fn clear_wake(&self) {
        let _ = (&self.0.wake.0).read(&mut [0; 64]);
    }
}
