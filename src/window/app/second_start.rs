//! Other starts on the same display: this launcher shows its window to them, or gives way.

use etatuki_session_core::{Command, State};
use fltk::prelude::*;

use super::{LauncherApp, SESSION_RUNNING, show_failure};
use crate::claim::{self, Answer, Claim, Start, Started};

impl LauncherApp {
    /// Claims the display for an entry's session; returns false if another launcher has it.
    pub(super) fn ensure_claim(&mut self, id: &str) -> bool {
        if self.claim.is_none() {
            match claim::claim_session(&Start::Entry(id.to_owned())) {
                Started::Claimed(claim) => self.claim = Some(claim),
                Started::Elsewhere => {}
                Started::Refused(detail) => {
                    tracing::warn!("no start: {detail}");
                    let support = self.launcher.vendor().support(&self.launcher.texts);
                    show_failure(&self.launcher.texts, SESSION_RUNNING, Some(&support), None);
                }
            }
        }
        self.claim.is_some()
    }

    /// Shows what there is to whoever opens a second menu.
    pub(super) fn answer_menu_starts(&mut self) {
        let Some(claim) = &self.menu_claim else {
            return;
        };
        let Ok(requests) = claim.requests() else {
            self.menu_claim = None;
            return;
        };
        for (_, request) in requests {
            claim.answer(&request, Answer::Raised);
            match (&mut self.session, &mut self.menu) {
                (Some(session), _) => session.window.raise(),
                (None, Some(menu)) => menu.fltk_window().show(),
                (None, None) => {}
            }
        }
    }

    /// Shows the session to whoever starts another one on this display, or gives way.
    pub(super) fn answer_starts(&mut self) {
        let requests = match self.claim.as_ref().map(Claim::requests) {
            None => return,
            Some(Ok(requests)) => requests,
            Some(Err(error)) => {
                tracing::error!("the display's claim is lost: {error}");
                self.claim = None;
                return self.send(Command::DisplayLost);
            }
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
