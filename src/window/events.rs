//! The events of the window thread's loop, and the sender that any thread may use.

use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};

use etatuki_session_core::View;
use fltk::app;

use super::button::ActionHandler;
use super::hands::Trigger;
use super::page::ButtonAction;
use crate::display_loss;
use crate::probe::ProbeResult;

/// Seconds between two ticks.
const TICK_SECONDS: f64 = 0.5;

/// An event of the window thread's loop.
pub(crate) enum AppEvent {
    /// A button was pressed, or a window's own close button, by this input.
    ButtonAction(ButtonAction, Trigger),
    /// The session with this number has a new view.
    View(u32, Box<View>),
    /// An entry was probed.
    Probed(ProbeResult),
    /// Half a second has passed.
    Tick,
}

/// The sender of events, for any thread.
#[derive(Clone)]
pub(crate) struct EventSender(Sender<AppEvent>);

impl EventSender {
    pub(crate) fn new() -> (Self, Receiver<AppEvent>) {
        let (sender, inbox) = channel();
        (Self(sender), inbox)
    }

    /// Sends an event and wakes the loop; the receiver is gone only when the program ends.
    pub(crate) fn send(&self, event: AppEvent) {
        let _ = self.0.send(event);
        app::awake();
    }

    /// Returns a handler for buttons that sends [`AppEvent::ButtonAction`].
    pub(crate) fn on_action(&self) -> ActionHandler {
        let events = self.clone();
        Rc::new(move |action| events.send(AppEvent::ButtonAction(action, Trigger::current())))
    }

    /// Sends [`AppEvent::Tick`] twice a second from now on.
    pub(crate) fn start_ticking(&self) {
        let events = self.clone();
        app::add_timeout3(TICK_SECONDS, move |handle| {
            display_loss::beat();
            events.send(AppEvent::Tick);
            app::repeat_timeout3(TICK_SECONDS, handle);
        });
    }
}
