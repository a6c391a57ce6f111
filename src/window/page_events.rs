//! The answers of a page to keys, the mouse wheel and its scroll bar, and of its window to closing.

use std::cell::Cell;
use std::rc::Rc;

use fltk::app;
use fltk::enums::{Event, Key, Shortcut};
use fltk::group::Group;
use fltk::prelude::*;
use fltk::valuator::{Scrollbar, ScrollbarType};
use fltk::widget::Widget;
use fltk::window::DoubleWindow;

use super::button::ActionHandler;
use super::layout;
use super::page::ButtonAction;

/// Units that an arrow on the scroll bar moves the page by.
const LINE: i32 = 24;

/// Sets the handlers for closing a window: `close` for the window manager's button and Alt+F4,
/// `escape` for Esc.
pub(super) fn on_close(
    window: &mut DoubleWindow,
    close: impl Fn() + 'static,
    escape: impl Fn() + 'static,
) {
    window.set_callback(move |_| {
        let by_key = matches!(app::event(), Event::Shortcut | Event::KeyDown);
        if by_key && app::event_key() == Key::Escape {
            escape()
        } else {
            close()
        }
    });
}

/// Adds the scroll bar, which moves what is in `items`.
pub(super) fn scrollbar(items: &Group, scrolled: &Rc<Cell<i32>>) -> Scrollbar {
    let mut scrollbar = Scrollbar::new(0, 0, layout::SCROLLBAR - 4, 10, None);
    scrollbar.set_type(ScrollbarType::Vertical);
    scrollbar.set_linesize(LINE);
    scrollbar.clear_visible_focus();
    scrollbar.hide();
    let (mut items, scrolled) = (items.clone(), scrolled.clone());
    scrollbar.set_callback(move |scrollbar| {
        let offset = scrollbar.value() as i32;
        let moved = scrolled.replace(offset) - offset;
        for mut child in children(&items) {
            child.set_pos(child.x(), child.y() + moved);
        }
        items.redraw();
    });
    scrollbar
}

fn children(group: &Group) -> Vec<Widget> {
    (0..group.children())
        .filter_map(|at| group.child(at))
        .collect()
}

/// Handles what concerns the whole page: Tab goes round all that takes the focus, Ctrl+C copies,
/// arrows and the mouse wheel scroll. FLTK's own Tab stops at the end of a group.
pub(super) fn on_body_event(
    groups: &[Group; 2],
    scrollbar: &Scrollbar,
    on_action: &ActionHandler,
    event: Event,
) -> bool {
    if event == Event::MouseWheel && scrollbar.visible() {
        let lines = match app::event_dy() {
            app::MouseWheel::Up => -3,
            app::MouseWheel::Down => 3,
            _ => 0,
        };
        scroll(scrollbar, lines);
        return true;
    }
    if event != Event::KeyDown {
        return false;
    }
    let held = app::event_state();
    let key = app::event_key();
    if held.contains(Shortcut::Ctrl) && key == Key::from_char('c') {
        on_action(ButtonAction::Copy);
        return true;
    }
    if held.intersects(Shortcut::Ctrl | Shortcut::Alt | Shortcut::Meta) {
        return false;
    }
    match key {
        Key::Tab => cycle_focus(groups, held.contains(Shortcut::Shift)),
        Key::PageUp | Key::PageDown | Key::Up | Key::Down if scrollbar.visible() => {
            let lines = match key {
                Key::PageUp => -6,
                Key::PageDown => 6,
                Key::Up => -2,
                _ => 2,
            };
            scroll(scrollbar, lines);
            true
        }
        _ => false,
    }
}

fn scroll(scrollbar: &Scrollbar, lines: i32) {
    let mut scrollbar = scrollbar.clone();
    let to = scrollbar.clamp(scrollbar.value() + f64::from(lines * LINE));
    scrollbar.set_value(to);
    scrollbar.do_callback();
}

/// Moves the focus round the items and the buttons.
fn cycle_focus(groups: &[Group; 2], backwards: bool) -> bool {
    let mut all: Vec<_> = groups.iter().flat_map(children).collect();
    let has_focus = |child: &Widget| child.has_focus();
    let from = all.iter().position(has_focus).unwrap_or(0);
    let count = all.len();
    (1..=count).any(|nth| {
        let step = if backwards { count - nth } else { nth };
        let child = &mut all[(from + step) % count];
        child.visible() && child.take_focus().is_ok()
    })
}
