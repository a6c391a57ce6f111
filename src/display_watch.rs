//! Looks at the customer's display once a second while the agent sees it, on a thread of its own: an X
//! server that is grabbed by somebody holds nothing else up.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use etatuki_screen::{CancelToken, DisplayLook, DisplayState};
use etatuki_session::DisplayWatch;
use etatuki_session_core::screen_watch::{DisplayFacts, PROGRAM_PING_LIMIT};

use crate::lock_hint::LockHint;

/// Time between two looks; shorter only while a program owes an answer.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Looks at the display of `$DISPLAY`.
#[derive(Debug)]
pub(crate) struct DisplayLooks;

/// Ends the looks when it is dropped.
struct Looking {
    cancel: CancelToken,
    _ends: Sender<()>,
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl DisplayWatch for DisplayLooks {
    fn start(&self, report: Box<dyn Fn(DisplayFacts) + Send>) -> Box<dyn Send> {
        let Ok(cancel) = CancelToken::new() else {
            return Box::new(());
        };
        let (ends, ended) = channel();
        let token = cancel.clone();
        let thread = std::thread::Builder::new().name("etatuki-looks".into());
        if let Err(error) = thread.spawn(move || look(&token, &ended, &report)) {
            tracing::warn!("no thread to look at the display: {error}");
        }
        Box::new(Looking {
            cancel,
            _ends: ends,
        })
    }
}

/// Looks until the watch ends or the display is gone. Reports what is new.
fn look(cancel: &CancelToken, ended: &Receiver<()>, report: &dyn Fn(DisplayFacts)) {
    let mut last = DisplayFacts::default();
    let mut wait = LOOK_INTERVAL;
    let mut lock_hint = LockHint::open().ok();
    let mut display = match DisplayLook::open(None, cancel) {
        Ok(display) => display,
        Err(error) => return tracing::debug!("the display can't be looked at: {error}"),
    };
    while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        let facts = match display.look() {
            Ok(state) => facts(state, is_locked(&mut lock_hint)),
            Err(error) => {
                report(DisplayFacts::default());
                return tracing::debug!("the display can't be looked at any more: {error}");
            }
        };
        if facts != last || facts.drawn {
            report(facts);
        }
        last = facts;
        wait = next_look(&facts);
    }
}

/// Returns the time until the next look: not later than a ping's limit.
fn next_look(facts: &DisplayFacts) -> Duration {
    let left = facts
        .ping_unanswered
        .map(|time| PROGRAM_PING_LIMIT.saturating_sub(time));
    let left = left.filter(|left| !left.is_zero());
    left.map_or(LOOK_INTERVAL, |left| {
        left.clamp(Duration::from_millis(100), LOOK_INTERVAL)
    })
}

/// Returns whether logind says that the session is locked. A bus that is gone isn't asked again.
fn is_locked(hint: &mut Option<LockHint>) -> bool {
    match hint.as_mut().map(LockHint::is_locked) {
        Some(Ok(locked)) => locked,
        Some(Err(_)) => {
            *hint = None;
            false
        }
        None => false,
    }
}

fn facts(state: DisplayState, locked: bool) -> DisplayFacts {
    DisplayFacts {
        other_session: state.in_background,
        locked: state.locked || locked,
        blanked: state.blanked,
        ping_unanswered: state.ping_unanswered,
        drawn: state.drawn,
    }
}
