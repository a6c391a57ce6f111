//! The loss of the display: FLTK and Xlib then end the process from within. A session that still
//! runs fails with `display-lost` first: the reader of its JSON lines and the agent are told, and
//! plugin and tool are ended in order.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use etatuki_session::SessionSender;

use crate::exit::Exit;

/// Time-out for the session's end; a little more than the session's own.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// The session that runs, or the last one that did.
static SESSION: Mutex<Option<SessionSender>> = Mutex::new(None);

/// Registers the session that the exit hook fails with `display-lost`; one that is over isn't
/// failed.
pub(crate) fn register(session: SessionSender) {
    *SESSION.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    etatuki_screen::set_exit_hook(fail_session);
}

/// Fails the session; returns the exit code if there was one to fail.
fn fail_session() -> Option<u8> {
    let session = SESSION
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()?;
    // A new thread, for tokio's thread-locals of the ending one are gone.
    let failing = std::thread::spawn(move || session.display_lost(END_TIMEOUT));
    let failed = failing.join().unwrap_or(true);
    failed.then_some(Exit::Backend.code())
}
