//! What a session is told while it runs: what is allowed, and when to stop.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use etatuki_screen::{Program, Stop};

/// One shared screen. Clones are the same one; any thread may use them.
#[derive(Clone, Debug)]
pub struct Share(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    display: Option<String>,
    view: AtomicBool,
    control: AtomicBool,
    /// What alone is shared; everything when there is none.
    program: OnceLock<Program>,
    stop: Stop,
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
            program: OnceLock::new(),
            stop: Stop::new()?,
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

    /// Shares nothing but this program, with every client that is served from now on, for good.
    pub fn limit(&self, program: Program) {
        // A second one could only widen it.
        let _ = self.0.program.set(program);
    }

    /// Ends [`serve`](crate::serve), now and for good.
    pub fn stop(&self) {
        self.0.stop.stop();
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

    pub(crate) fn program(&self) -> Option<&Program> {
        self.0.program.get()
    }

    pub(crate) fn stop_switch(&self) -> &Stop {
        &self.0.stop
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
