//! The loss of the display: FLTK and Xlib then end the process from within. A session that still
//! runs fails with `display-lost` first: the reader of its JSON lines and the agent are told, and
//! plugin and tool are ended in order.
//!
//! A display that gives no answer counts as lost, too: another client may keep it for itself
//! (XGrabServer), and then the customer has neither a button nor Esc. The window thread waits for it
//! without an end, so another thread watches that one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use etatuki_session::SessionSender;
use etatuki_session_core::Command;

use crate::exit::Exit;

/// Time-out for the session's end; a little more than the session's own.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// Time between two looks at the window thread.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Looks in a row without a beat after which the display counts as lost. Counted in looks, so that
/// a launcher that was stopped for a while isn't taken for one that hangs.
const MAX_MISSED_BEATS: u32 = 8;

/// The session that runs, or the last one that did.
static SESSION: Mutex<Option<SessionSender>> = Mutex::new(None);
/// Beats of the window thread, two a second.
static BEATS: AtomicU64 = AtomicU64::new(0);

/// Registers the session that is failed with `display-lost`; one that is over isn't failed.
pub(crate) fn register(session: SessionSender) {
    static WATCH: Once = Once::new();
    *SESSION.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    etatuki_screen::set_exit_hook(fail_session);
    WATCH.call_once(|| {
        let thread = std::thread::Builder::new().name("etatuki-display".into());
        if let Err(error) = thread.spawn(watch_window_thread) {
            tracing::error!("a display that stands still won't be noticed: {error}");
        }
    });
}

/// Notes that the window thread isn't waiting for the display.
pub(crate) fn beat() {
    BEATS.fetch_add(1, Ordering::Relaxed);
}

fn watch_window_thread() {
    let (mut before, mut missed) = (0, 0);
    loop {
        std::thread::sleep(LOOK_INTERVAL);
        let beats = BEATS.load(Ordering::Relaxed);
        missed = if beats == before { missed + 1 } else { 0 };
        before = beats;
        if missed != MAX_MISSED_BEATS {
            continue;
        }
        tracing::error!("the display gives no answer");
        let session = SESSION.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = session.as_ref() {
            session.send(Command::DisplayLost);
        }
    }
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
