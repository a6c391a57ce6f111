//! Other starts on the same display: this launcher shows its window to them, or gives way.

use etatuki_session_core::{Command, State};

use super::LauncherApp;
use super::fatal::{NextStep, show_refusal};
use crate::claim::{self, Answer, Start, Started};

impl LauncherApp {
    /// Claims the display for an entry's session; returns false if another launcher has it.
    pub(super) fn ensure_claim(&mut self, id: &str) -> bool {
        while self.claim.is_none() {
            match claim::claim_session(&Start::Entry(id.to_owned())) {
                Started::Claimed(claim) => self.claim = Some(claim),
                Started::Elsewhere => return false,
                Started::Refused(refusal) => {
                    if show_refusal(&self.launcher, &refusal) == NextStep::GiveUp {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Shows what there is to whoever opens a second menu.
    pub(super) fn answer_menu_starts(&mut self) {
        for (_, request) in claim::requests(&mut self.menu_claim).unwrap_or_default() {
            if let Some(claim) = &self.menu_claim {
                claim.answer(&request, Answer::Raised);
            }
            match (&mut self.session, &mut self.menu) {
                (Some(session), _) => session.window.raise(),
                (None, Some(menu)) => menu.show(),
                (None, None) => {}
            }
        }
    }

    /// Shows the session to whoever starts another one on this display, or gives way.
    pub(super) fn answer_starts(&mut self) {
        let Some(requests) = claim::requests(&mut self.claim) else {
            return self.send(Command::DisplayLost);
        };
        for (start, request) in requests {
            let Some(session) = &mut self.session else {
                return;
            };
            let standing = session.window.standing();
            let answer = claim::answer(&start, Some(&session.backend), standing);
            if let Some(claim) = &self.claim {
                claim.answer(&request, answer);
            }
            match answer {
                Answer::Raised => session.window.raise(),
                Answer::GivesWay => self.give_way(),
                Answer::MayOpen | Answer::Refused => {}
            }
        }
    }

    /// Leaves the display to another launcher. A receipt or a failure stays to be read.
    fn give_way(&mut self) {
        tracing::info!("another entry was started: this one gives way");
        let view = self
            .session
            .as_ref()
            .and_then(|session| session.window.view());
        if view.is_some_and(|view| matches!(view.state, State::Closed | State::Failed)) {
            self.claim = None;
        } else {
            self.close_window();
        }
    }
}
