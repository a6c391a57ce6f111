//! The customer's answers to questions: which input counts, and what Esc means.

use etatuki_session_core::{Command, State};

use super::LauncherApp;
use crate::window::hands::{Reply, Trigger};
use crate::window::menu::MenuWindow;

impl LauncherApp {
    /// Returns whether this input counts as an answer to the open question.
    pub(super) fn counts(&self, trigger: Trigger, reply: Reply) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| session.window.counts(trigger, reply))
    }

    /// Denies a question, or closes a window that asks nothing.
    pub(super) fn on_escape(&mut self, trigger: Trigger) {
        let counts = self.counts(trigger, Reply::Deny);
        let Some(session) = &self.session else {
            return self.menu.iter_mut().for_each(MenuWindow::on_escape);
        };
        let view = session.window.view();
        match view.map(|view| (&view.question, view.state)) {
            Some((Some(_), _)) if !counts => {}
            Some((Some(question), _)) => {
                let answer = Command::Answer {
                    question: question.id,
                    allow: false,
                };
                session.handle.send(answer);
            }
            None | Some((None, State::Closed | State::Failed)) => self.close_window(),
            Some(_) => {}
        }
    }
}
