//! What a session is told while it runs: what is allowed, and when to stop.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use etatuki_screen::{CancelToken, SharedApp};

/// One shared screen. Clones are the same one; any thread may use them.
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
    /// A byte in this pipe says: look at the permissions again.
    wake: (PipeReader, PipeWriter),
}

impl Share {
    /// The screen of `display` (`$DISPLAY` when `None`). Nothing is allowed yet.
    ///
    /// # Errors
    /// When the system gives no pipe.
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

    /// Sets what is allowed from now on. Without `view` no picture is sent; without `control` every key
    /// and button that is held is let go of, and what comes after is ignored.
    pub fn allow(&self, view: bool, control: bool) {
        self.0.view.store(view, Ordering::SeqCst);
        self.0.control.store(control, Ordering::SeqCst);
        let _ = (&self.0.wake.1).write(&[0]);
    }

    /// Restricts the share to one program, for every client that is served from now on. Further calls
    /// change nothing.
    pub fn restrict_to_app(&self, app: SharedApp) {
        // A second app could only show more.
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

    /// Readable when the permissions have changed.
    pub(crate) fn wake(&self) -> BorrowedFd<'_> {
        self.0.wake.0.as_fd()
    }

    /// Makes [`wake`](Self::wake) quiet again.
    pub(crate) fn awake(&self) {
        let _ = (&self.0.wake.0).read(&mut [0; 64]);
    }
}
