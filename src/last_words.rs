//! When the display dies, FLTK and Xlib end the process from within. A session that still runs fails by name first:
//! whoever reads its lines hears it, the agent hears it, and plugin and tool are ended in order.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use etatuki_session::SessionSender;

use crate::exit::Exit;

/// How long a session may take to end; a little more than what it allows itself.
const LIMIT: Duration = Duration::from_secs(3);

/// The session that runs, or the last one that did.
static SESSION: Mutex<Option<SessionSender>> = Mutex::new(None);

/// From now on these are this session's; one that is over has none.
pub(crate) fn of(session: SessionSender) {
    *SESSION.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    etatuki_screen::set_exit_hook(speak);
}

fn speak() -> Option<u8> {
    let session = SESSION
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()?;
    // On a thread that begins: what the ending one has had of tokio's is gone.
    let last = std::thread::spawn(move || session.display_lost(LIMIT));
    let ended = last.join().unwrap_or(true);
    ended.then_some(Exit::Backend.code())
}
