//! The session window: shows every view of a session as a page, keeps the bar in step, and decides
//! when the window is raised and when it is iconified.

use std::time::{Duration, Instant};

use etatuki_session_core::{State, View};
use fltk::prelude::*;

use super::bar::{self, Bar};
use super::button::ActionHandler;
use super::hands::{Hands, Reply, Trigger};
use super::page::{ButtonAction, Page};
use super::page_events::on_close;
use super::page_window::{Focus, PageWindow};
use super::session_context::SessionContext;
use super::{connected, failure, no_code, question, receipt, waiting};
use crate::claim::Standing;
use crate::registry::Connect;

/// Time-out for a window manager to iconify the window; without one, nobody does.
const ICONIFY_TIMEOUT: Duration = Duration::from_millis(600);

/// The window of one session.
pub struct SessionWindow {
    context: SessionContext,
    window: PageWindow,
    bar: Bar,
    /// The newest view; `None` before the connection is opened for the first time.
    view: Option<View>,
    /// Whether the code was just copied.
    copied: bool,
    placement: Placement,
    hands: Hands,
    /// Id of the question that has the keyboard.
    answerable_by_key: Option<u32>,
}

/// The current place of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placement {
    /// Not shown.
    Hidden,
    /// Shown among other windows.
    Shown,
    /// Above all other windows.
    OnTop,
    /// Iconified at this moment; `None` once that is long ago.
    Iconified(Option<Instant>),
}

impl SessionWindow {
    /// Creates the hidden window.
    pub fn new(
        context: SessionContext,
        banner: Option<&str>,
        connect: Connect,
        on_action: &ActionHandler,
    ) -> Self {
        let mut window = PageWindow::new(&context.label, banner, on_action.clone(), |_| 0);
        let sender = |action: ButtonAction| {
            let on_action = on_action.clone();
            move || on_action(action.clone())
        };
        on_close(
            window.fltk_window(),
            sender(ButtonAction::CloseWindow),
            sender(ButtonAction::Escape),
        );
        let hands = Hands::default();
        let bar = Bar::new(&context.texts, banner, on_action, hands.clone());
        let first = match connect {
            Connect::AtOnce => no_code::opening(&context),
            Connect::OnClick => no_code::not_opened(&context),
        };
        window.set(first, Focus::Take);
        window.centre();
        Self {
            context,
            window,
            bar,
            view: None,
            copied: false,
            placement: Placement::Hidden,
            hands,
            answerable_by_key: None,
        }
    }

    /// Shows the window for the first time.
    pub fn show(&mut self) {
        self.window.show();
        self.placement = Placement::Shown;
    }

    /// Hides window and bar.
    pub fn hide(&mut self) {
        self.bar.set(None);
        self.window.fltk_window().hide();
        self.placement = Placement::Hidden;
    }

    /// Returns the newest view; `None` before the connection is opened.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// Returns how far the session is, for those who start another one.
    pub(crate) fn standing(&self) -> Standing {
        self.view.as_ref().map_or(Standing::Idle, Standing::of)
    }

    /// Shows the window to a customer who looks for it, until the next view says otherwise.
    pub fn raise(&mut self) {
        if !matches!(self.placement, Placement::OnTop) {
            self.placement = Placement::Shown;
        }
        self.window.show();
        self.bar.raise();
    }

    /// Returns the current page.
    pub fn page(&self) -> &Page {
        self.window.page()
    }

    /// Shows a view.
    pub fn set(&mut self, view: View) {
        if self.view.is_none() && view.state == State::Closed {
            return;
        }
        self.hands.follow(&view);
        self.bar.set(bar::status(&self.context.texts, &view));
        let asked = question_id(&view);
        let is_new = asked != self.view.as_ref().and_then(question_id);
        if is_new && asked.is_some() {
            self.bar.go_home();
        }
        self.window.reserve_top(self.bar.height());
        let visibility = visibility(&view);
        if view.code.is_none() {
            self.copied = false;
        }
        self.view = Some(view);
        self.redraw();
        if is_new {
            // Until a second has passed without a key, the keyboard stays with whoever types.
            self.window.set_wants_keyboard(asked.is_none());
        }
        self.apply(visibility);
        if is_new && asked.is_some() {
            self.window.centre();
        }
    }

    /// Sets whether the copy button says that it has copied.
    pub fn set_copied(&mut self, copied: bool) {
        self.copied = copied;
        self.redraw();
    }

    /// Keeps the bar on top, and hides the window if no window manager has iconified it. To be
    /// called a few times a second.
    pub fn tick(&mut self) {
        self.hands.tick();
        self.take_keyboard();
        let is_asked = self.view.as_ref().and_then(question_id).is_some();
        self.window.tick(!is_asked);
        self.bar.raise();
        if let Placement::Iconified(Some(since)) = self.placement
            && since.elapsed() > ICONIFY_TIMEOUT
        {
            if self.window.fltk_window().visible() {
                self.window.fltk_window().hide();
            }
            self.placement = Placement::Iconified(None);
        }
    }

    /// Returns whether this input counts as an answer to the open question.
    pub(crate) fn counts(&self, trigger: Trigger, reply: Reply) -> bool {
        self.hands.counts(trigger, reply)
    }

    /// Gives a question the keyboard, once it can be answered and nobody types.
    fn take_keyboard(&mut self) {
        let question = self.view.as_ref().and_then(|view| view.question.as_ref());
        let question = question.filter(|question| question.answerable);
        let id = question.map(|question| question.id);
        if id.is_some() && self.answerable_by_key != id && self.hands.keyboard_rests() {
            self.answerable_by_key = id;
            self.window.set_wants_keyboard(true);
            self.window.take_focus();
        }
    }

    fn redraw(&mut self) {
        if let Some(view) = &self.view {
            let focus = match visibility(view) {
                _ if view.question.is_some() && question_id(view) != self.answerable_by_key => {
                    Focus::Withhold
                }
                Visibility::Iconified => Focus::Keep,
                Visibility::Shown | Visibility::OnTop => Focus::Take,
            };
            self.window
                .set(page(&self.context, view, self.copied), focus);
        }
    }

    fn apply(&mut self, visibility: Visibility) {
        match (visibility, self.placement) {
            (Visibility::Iconified, Placement::Iconified(_))
            | (Visibility::Shown, Placement::Shown | Placement::OnTop)
            | (Visibility::OnTop, Placement::OnTop) => {}
            (Visibility::Iconified, _) => {
                self.window.fltk_window().iconize();
                self.placement = Placement::Iconified(Some(Instant::now()));
            }
            (Visibility::Shown | Visibility::OnTop, _) => {
                self.window.centre();
                self.window.show();
                self.placement = Placement::Shown;
                if visibility == Visibility::OnTop {
                    self.window.fltk_window().set_on_top();
                    self.placement = Placement::OnTop;
                }
            }
        }
    }
}

fn question_id(view: &View) -> Option<u32> {
    view.question.as_ref().map(|question| question.id)
}

/// The place that a view wants for the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visibility {
    Shown,
    OnTop,
    Iconified,
}

/// Returns the visibility for a view: the code, a question and the receipt are to be seen; while
/// the agent works, the window must not be in the way.
fn visibility(view: &View) -> Visibility {
    match view.state {
        _ if view.question.is_some() => Visibility::OnTop,
        State::Connected | State::Interrupted => Visibility::Iconified,
        // The customer needs the tool's own window too.
        State::Waiting
            if view
                .code
                .as_ref()
                .is_some_and(|code| code.fields.is_empty()) =>
        {
            Visibility::Shown
        }
        State::Waiting => Visibility::OnTop,
        State::Closed | State::Failed if view.receipt.is_some() => Visibility::OnTop,
        _ => Visibility::Shown,
    }
}

pub(super) fn page(context: &SessionContext, view: &View, copied: bool) -> Page {
    match (view.state, &view.agent, &view.question) {
        (State::Connected, Some(agent), Some(asked)) => {
            question::question(context, agent, asked, view.app_sharing.as_ref())
        }
        (State::Connected, Some(agent), None) => connected::connected(context, agent, view),
        (State::Connected, None, _) if context.external_transport => connected::external(context),
        (State::Closed, ..) => receipt::receipt(context, view),
        (State::Interrupted, Some(agent), _) => connected::interrupted(context, agent, view),
        (State::Opening | State::Connected | State::Interrupted, ..) => no_code::opening(context),
        (State::Waiting, ..) => waiting::waiting(context, view, copied),
        (State::Closing, ..) => no_code::closing(context),
        (State::Failed, ..) => failure::failure(context, view),
    }
}

#[cfg(test)]
mod tests;
