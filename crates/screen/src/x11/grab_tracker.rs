//! The windows on which other clients have grabbed the keyboard and the pointer. Pure: events come
//! in.
//!
//! The server never says who holds a grab. But a grab moves the focus and the pointer to its window
//! as far as events are concerned, with the mode NotifyGrab (X11 protocol, FocusIn and
//! EnterNotify). Both leave the old window and reach the new one through a child of the root, so
//! whoever watches the root and its children sees each grab begin.

use x11rb::protocol::Event;
use x11rb::protocol::xproto::{NotifyDetail, NotifyMode, Window};

/// The windows of the latest grabs, as far as events tell.
#[derive(Debug, Default)]
pub(super) struct GrabTracker {
    keyboard: GrabWindow,
    pointer: GrabWindow,
}

/// The window of an active grab.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum GrabWindow {
    /// No grab is known.
    #[default]
    None,
    Known(Window),
    /// One of these: they were so new that no events about them arrived yet. Perhaps none.
    OneOf(Vec<Window>),
}

/// The end of a grab's transition that an event is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The window that had the focus or the pointer.
    Old,
    /// The window of the grab.
    New,
}

impl GrabTracker {
    /// Applies an event. `unread` returns the mapped children of the root about which no events
    /// arrive yet.
    pub(super) fn apply(&mut self, event: &Event, unread: impl FnOnce() -> Vec<Window>) {
        if event.sent_event() {
            // Another program sent it with SendEvent.
            return;
        }
        match event {
            Event::FocusOut(e) => self
                .keyboard
                .apply(End::Old, e.mode, e.detail, e.event, unread),
            Event::FocusIn(e) => self
                .keyboard
                .apply(End::New, e.mode, e.detail, e.event, unread),
            Event::LeaveNotify(e) => {
                self.pointer
                    .apply(End::Old, e.mode, e.detail, e.event, unread)
            }
            Event::EnterNotify(e) => {
                self.pointer
                    .apply(End::New, e.mode, e.detail, e.event, unread)
            }
            _ => {}
        }
    }

    /// Returns whether the window of the keyboard's grab is surely one of those for which `accepts`
    /// holds.
    pub(super) fn is_keyboard_grabbed_on(&self, accepts: impl Fn(Window) -> bool) -> bool {
        self.keyboard.is_surely(accepts)
    }

    /// As [`is_keyboard_grabbed_on`](Self::is_keyboard_grabbed_on), for the pointer.
    pub(super) fn is_pointer_grabbed_on(&self, accepts: impl Fn(Window) -> bool) -> bool {
        self.pointer.is_surely(accepts)
    }
}

impl GrabWindow {
    fn apply(
        &mut self,
        end: End,
        mode: NotifyMode,
        detail: NotifyDetail,
        window: Window,
        unread: impl FnOnce() -> Vec<Window>,
    ) {
        match mode {
            NotifyMode::UNGRAB => *self = Self::None,
            // The rest of the transition may be invisible: its window is known only to be new.
            NotifyMode::GRAB if end == End::Old => *self = Self::OneOf(unread()),
            NotifyMode::GRAB => match detail {
                NotifyDetail::ANCESTOR | NotifyDetail::INFERIOR | NotifyDetail::NONLINEAR => {
                    *self = Self::Known(window);
                }
                // The grab's window is somewhere inside; an event about itself follows, if any.
                NotifyDetail::VIRTUAL | NotifyDetail::NONLINEAR_VIRTUAL => {
                    *self = Self::OneOf(Vec::new());
                }
                // About the window under the pointer, not about the grab.
                _ => {}
            },
            _ => {}
        }
    }

    fn is_surely(&self, accepts: impl Fn(Window) -> bool) -> bool {
        match self {
            Self::None => false,
            Self::Known(window) => accepts(*window),
            Self::OneOf(windows) => !windows.is_empty() && windows.iter().all(|w| accepts(*w)),
        }
    }
}
