//! The session window: shows every view of a session as a page, keeps the bar in step, and decides when
//! the window comes to the front and when it gets out of the way.

use std::time::{Duration, Instant};

use etatuki_session::{State, View};
use fltk::prelude::*;

use super::bar::{self, Bar};
use super::button::Pressed;
use super::page::{Action, Page};
use super::sheet::{Sheet, on_close};
use super::subject::Subject;
use super::{before, connected, failure, question, receipt, waiting};

/// How long a window manager may take to put the window into its task bar; without one, nobody does.
const ICONIZE: Duration = Duration::from_millis(600);

/// The window of one session.
pub struct SessionWindow {
    subject: Subject,
    sheet: Sheet,
    bar: Bar,
    /// Nothing before the connection is opened for the first time.
    view: Option<View>,
    copied: Option<usize>,
    place: Front,
}

/// Where the window is for the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    /// Not shown yet, or away.
    Hidden,
    /// To be seen.
    Shown,
    /// Over all other windows.
    OnTop,
    /// Sent to the task bar at that moment, or long there.
    Iconic(Option<Instant>),
}

impl SessionWindow {
    /// The window, not shown yet. `at_once` is for entries that open without being asked to.
    pub fn new(subject: Subject, banner: Option<&str>, at_once: bool, pressed: &Pressed) -> Self {
        let mut sheet = Sheet::new(&subject.label, banner, pressed.clone(), |_| 0);
        let press = |action: Action| {
            let pressed = pressed.clone();
            move || pressed(action.clone())
        };
        on_close(sheet.window(), press(Action::Leave), press(Action::Escape));
        let bar = Bar::new(&subject.texts, banner, pressed);
        let first = if at_once {
            before::opening(&subject)
        } else {
            before::before(&subject)
        };
        sheet.set(first, true);
        sheet.centre();
        Self {
            subject,
            sheet,
            bar,
            view: None,
            copied: None,
            place: Front::Hidden,
        }
    }

    /// Shows the window for the first time.
    pub fn show(&mut self) {
        self.sheet.window().show();
        self.place = Front::Shown;
    }

    /// Puts window and bar away.
    pub fn hide(&mut self) {
        self.bar.set(None);
        self.sheet.window().hide();
        self.place = Front::Hidden;
    }

    /// The newest view; none before the connection is opened.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// What is on the window.
    pub fn page(&self) -> &Page {
        self.sheet.page()
    }

    /// Shows a view.
    pub fn set(&mut self, view: View) {
        if self.view.is_none() && view.state == State::Closed {
            return;
        }
        self.bar.set(bar::line(&self.subject.texts, &view));
        let wanted = wanted(&view);
        if view.code.is_none() {
            self.copied = None;
        }
        self.view = Some(view);
        self.redraw();
        self.bring(wanted);
    }

    /// The field whose copy button says so, or none.
    pub fn set_copied(&mut self, field: Option<usize>) {
        self.copied = field;
        self.redraw();
    }

    /// The digits of a field of the code that is shown.
    pub fn digits(&self, field: usize) -> Option<&str> {
        let code = self.view.as_ref()?.code.as_ref()?;
        code.fields.get(field).map(|field| field.digits.as_str())
    }

    /// Called a few times a second while somebody is connected: keeps the bar on top, and puts the
    /// window away when no window manager did.
    pub fn tick(&mut self) {
        self.bar.raise();
        if let Front::Iconic(Some(since)) = self.place
            && since.elapsed() > ICONIZE
        {
            if self.sheet.window().visible() {
                self.sheet.window().hide();
            }
            self.place = Front::Iconic(None);
        }
    }

    fn redraw(&mut self) {
        if let Some(view) = &self.view {
            let at_front = wanted(view) != Wanted::Away;
            self.sheet
                .set(page(&self.subject, view, self.copied), at_front);
        }
    }

    fn bring(&mut self, wanted: Wanted) {
        match (wanted, self.place) {
            (Wanted::Away, Front::Iconic(_)) => {}
            (Wanted::Away, _) => {
                self.sheet.window().iconize();
                self.place = Front::Iconic(Some(Instant::now()));
            }
            (Wanted::Shown, Front::Shown | Front::OnTop) | (Wanted::OnTop, Front::OnTop) => {}
            (wanted, _) => {
                self.sheet.centre();
                self.sheet.window().show();
                self.place = Front::Shown;
                if wanted == Wanted::OnTop {
                    self.sheet.window().set_on_top();
                    self.place = Front::OnTop;
                }
            }
        }
    }
}

/// Where a view's window belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Shown,
    OnTop,
    Away,
}

/// The code, a question and what came of it all are to be seen; while support works, the window must
/// not stand in its way.
fn wanted(view: &View) -> Wanted {
    match view.state {
        _ if view.question.is_some() => Wanted::OnTop,
        State::Connected | State::Interrupted => Wanted::Away,
        // The tool's own window is needed too.
        State::Waiting
            if view
                .code
                .as_ref()
                .is_some_and(|code| code.fields.is_empty()) =>
        {
            Wanted::Shown
        }
        State::Waiting => Wanted::OnTop,
        State::Closed | State::Failed if view.receipt.is_some() => Wanted::OnTop,
        _ => Wanted::Shown,
    }
}

fn page(subject: &Subject, view: &View, copied: Option<usize>) -> Page {
    match (view.state, &view.agent, &view.question) {
        (State::Connected, Some(agent), Some(asked)) => {
            question::question(subject, agent, asked, view.app_sharing.as_ref())
        }
        (State::Connected, Some(agent), None) => connected::connected(subject, agent, view),
        (State::Connected, None, _) if subject.own_transport => connected::own(subject),
        (State::Closed, ..) => receipt::receipt(subject, view),
        (State::Opening | State::Connected, ..) => before::opening(subject),
        (State::Waiting, ..) => waiting::waiting(subject, view, copied),
        (State::Interrupted, ..) => connected::interrupted(subject, view),
        (State::Closing, ..) => before::closing(subject),
        (State::Failed, ..) => failure::failure(subject, view),
    }
}

#[cfg(test)]
mod tests;
