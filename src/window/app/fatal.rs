//! A window for a failure without a session.

use fltk::app;
use fltk::prelude::*;

use super::SESSION_RUNNING;
use crate::claim::Refusal;
use crate::launcher::Launcher;
use crate::texts::Texts;
use crate::window::events::{AppEvent, EventSender};
use crate::window::failure;
use crate::window::page::{ButtonAction, Page};
use crate::window::page_events::on_close;
use crate::window::page_window::{Focus, PageWindow};
use crate::window::theme;

/// Shows a failure that leaves nothing to do. `support` names the vendor and the number to call, if
/// they are known.
pub fn show_fatal(texts: &Texts, name: &str, support: Option<&str>, detail: Option<&str>) {
    let _fltk = theme::init();
    show_failure(texts, name, support, detail);
}

/// The step after a refused start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextStep {
    /// The launcher that kept the display was ended: the start may be tried again.
    TryAgain,
    /// Nothing.
    GiveUp,
}

/// Says that another launcher has a session on this display, whose window can't be shown. One that
/// gives no answer can be ended here.
pub(super) fn show_refusal(launcher: &Launcher, refusal: &Refusal) -> NextStep {
    tracing::warn!("no start: {}", refusal.detail);
    let texts = &launcher.texts;
    let support = launcher.vendor().support(texts);
    let Some(hung) = refusal.hung else {
        show_failure(texts, SESSION_RUNNING, Some(&support), None);
        return NextStep::GiveUp;
    };
    match show(texts, failure::hung_launcher(texts, &support)) {
        Some(ButtonAction::EndHungLauncher) => {
            hung.end();
            NextStep::TryAgain
        }
        _ => NextStep::GiveUp,
    }
}

/// Shows a failure in a window of its own until that is closed.
fn show_failure(texts: &Texts, name: &str, support: Option<&str>, detail: Option<&str>) {
    show(
        texts,
        failure::without_session(texts, name, support, detail),
    );
}

/// Shows a page in a window of its own until a button closes it; returns that button's action.
fn show(texts: &Texts, page: Page) -> Option<ButtonAction> {
    let (events, inbox) = EventSender::new();
    let mut window = PageWindow::new(&texts.window.title, None, events.on_action(), |_| 0);
    let on_action = events.on_action();
    let close = move || on_action(ButtonAction::CloseWindow);
    on_close(window.fltk_window(), close.clone(), close);
    window.set(page, Focus::Take);
    window.centre();
    window.show();
    // The window of a launcher that hangs is above others too, and larger.
    window.fltk_window().set_on_top();
    // Among those above, a window manager may have put it below.
    window.show();
    let mut pressed = None;
    while window.fltk_window().shown() && app::wait() {
        match inbox.try_recv() {
            Ok(AppEvent::ButtonAction(ButtonAction::Copy, _)) => super::copy_page(window.page()),
            Ok(AppEvent::ButtonAction(action, _)) => {
                pressed = Some(action);
                window.fltk_window().hide();
            }
            Ok(_) | Err(_) => {}
        }
    }
    pressed
}
