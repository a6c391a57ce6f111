//! Input that waits until a keycode is free: everything behind it waits too, so that the order
//! stays.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{BUTTON_MASK, Input};
use crate::error::ScreenError;
use crate::keysym;
use crate::x11::pressed_keycodes::KeyName;

/// Maximum number of events that wait. Whoever reads a peer's input should stop at that; what comes
/// all the same is dropped.
const MAX_PENDING: usize = 1024;

/// One event of the peer's.
#[derive(Clone, Copy, Debug)]
pub(super) enum InputEvent {
    Keysym {
        keysym: u32,
        down: bool,
    },
    Scancode {
        scancode: u32,
        keysym: u32,
        down: bool,
    },
    Pointer {
        x: u16,
        y: u16,
        buttons: u16,
    },
}

/// The events that wait, the oldest first.
#[derive(Debug, Default)]
pub(super) struct PendingInput {
    events: VecDeque<InputEvent>,
    /// The time for the next attempt; `None` when nothing waits.
    retry_at: Option<Instant>,
}

impl PendingInput {
    /// Makes the event that is being carried out, and all later ones, wait.
    pub(super) fn wait_for(&mut self, wait: Duration) {
        self.retry_at = Some(Instant::now() + wait);
    }

    pub(super) fn is_due(&self) -> bool {
        self.retry_at.is_some_and(|at| at <= Instant::now())
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Input {
    /// Returns the time until [`pump`](Self::pump) has something to do; `None` if no input waits.
    #[must_use]
    pub fn due_in(&self) -> Option<Duration> {
        let at = self.pending.retry_at?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Returns whether more input may be given: too much of it waits otherwise, and will be dropped.
    #[must_use]
    pub fn accepts_input(&self) -> bool {
        self.pending.events.len() < MAX_PENDING
    }

    /// Carries out an event, or lets it wait behind others.
    pub(super) fn submit(&mut self, event: InputEvent) -> Result<(), ScreenError> {
        if self.pending.retry_at.is_none() {
            self.perform(event)?;
            if self.pending.retry_at.is_none() {
                return Ok(());
            }
        }
        if self.accepts_input() {
            self.pending.events.push_back(event);
        }
        Ok(())
    }

    /// Carries out the events that wait, up to the next one that has to.
    pub(super) fn perform_pending(&mut self) -> Result<(), ScreenError> {
        self.pending.retry_at = None;
        while let Some(event) = self.pending.events.front().copied() {
            self.perform(event)?;
            if self.pending.retry_at.is_some() {
                break;
            }
            self.pending.events.pop_front();
        }
        Ok(())
    }

    fn perform(&mut self, event: InputEvent) -> Result<(), ScreenError> {
        match event {
            InputEvent::Keysym { keysym, down } => self.perform_keysym(keysym, down),
            InputEvent::Scancode {
                scancode,
                keysym,
                down: true,
            } => self.with_app_guard(|input| match input.may_press_key(keysym)? {
                true => input.press_scancode(scancode, keysym),
                false => Ok(()),
            }),
            InputEvent::Scancode {
                scancode, keysym, ..
            } => self.release_key(KeyName::Scancode(scancode), keysym),
            InputEvent::Pointer { x, y, buttons } => self.perform_pointer(x, y, buttons),
        }
    }

    fn perform_keysym(&mut self, keysym: u32, down: bool) -> Result<(), ScreenError> {
        if !keysym::is_valid(keysym) {
            return Ok(());
        }
        let name = KeyName::Keysym(keysym);
        if !down {
            return self.release_key(name, keysym);
        }
        self.with_app_guard(|input| match input.may_press_key(keysym)? {
            true => input.press_keysym(name, keysym),
            false => Ok(()),
        })
    }

    fn perform_pointer(&mut self, x: u16, y: u16, buttons: u16) -> Result<(), ScreenError> {
        self.process_events()?;
        let clamp =
            |at: u16, size: u16| at.min(size.saturating_sub(1)).min(i16::MAX.unsigned_abs()) as i16;
        let (x, y) = (clamp(x, self.size.width), clamp(y, self.size.height));
        let buttons = buttons & BUTTON_MASK;
        if buttons != 0 {
            self.dead_key = None;
        }
        self.with_app_guard(|input| {
            if input.app.is_some() {
                return input.send_pointer_to_app(x, y, buttons);
            }
            input.fake_motion(x, y)?;
            input.set_buttons(buttons)
        })
    }
}
