//! A window for a failure without a session.

use fltk::app;
use fltk::prelude::*;

use crate::texts::Texts;
use crate::window::events::{AppEvent, EventSender};
use crate::window::failure;
use crate::window::page::ButtonAction;
use crate::window::page_window::{Focus, PageWindow, on_close};
use crate::window::theme;

/// Shows a failure that leaves nothing to do. `support` names the vendor and the number to call, if
/// they are known.
pub fn show_fatal(texts: &Texts, name: &str, support: Option<&str>, detail: Option<&str>) {
    let _fltk = theme::init();
    show_failure(texts, name, support, detail);
}

/// Shows a failure in a window of its own until that is closed.
pub(super) fn show_failure(texts: &Texts, name: &str, support: Option<&str>, detail: Option<&str>) {
    let (events, inbox) = EventSender::new();
    let mut window = PageWindow::new(&texts.window.title, None, events.on_action(), |_| 0);
    let on_action = events.on_action();
    let close = move || on_action(ButtonAction::CloseWindow);
    on_close(window.fltk_window(), close.clone(), close);
    let page = failure::without_session(texts, name, support, detail);
    window.set(page, Focus::Take);
    window.centre();
    window.fltk_window().show();
    while window.fltk_window().shown() && app::wait() {
        match inbox.try_recv() {
            Ok(AppEvent::ButtonAction(ButtonAction::Copy, _)) => super::copy_page(window.page()),
            Ok(_) => window.fltk_window().hide(),
            Err(_) => {}
        }
    }
}
