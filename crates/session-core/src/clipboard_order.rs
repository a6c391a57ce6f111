//! The order of the agent's input and clipboard texts, which come on streams of their own.
//!
//! A mark in the input says where a text belongs. Input after the mark waits for the text, so that
//! Ctrl+V pastes the text that was sent before it; a text waits for its mark, so that it doesn't get
//! in front of the keys before it.
//!
//! ```text
//!                  mark, its text isn't there yet
//!            ┌────────────────────────────────────▶ AwaitingText (input is held)
//!   Idle ────┤◀──── its text; a stall; control ends ─┘
//!            │     text, its mark isn't there yet
//!            ├────────────────────────────────────▶ AwaitingMark (texts are held)
//!            └◀──── its mark; a stall; control ends ─┘
//! ```

use std::time::Duration;

use etatuki_protocol::ClipboardText;

/// Time in which a byte of the awaited text, or the awaited mark, must arrive. An agent whose mouse
/// stands still for longer believes that the session is broken.
pub const CLIPBOARD_STALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for a text that does arrive, byte by byte: a whole one at 100 kB/s. After it, input
/// goes on and the text comes late.
pub const MAX_INPUT_HOLD: Duration = Duration::from_secs(10);

/// The order of one agent's input and texts. Times never go backwards.
#[derive(Debug, Default)]
pub struct ClipboardOrder {
    state: State,
    /// Number of the newest mark.
    marked: u32,
    /// Number of the newest text.
    arrived: u32,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    AwaitingText {
        number: u32,
        /// Bytes of the text that had arrived when they were last counted.
        received: usize,
        stalls_at: Duration,
        ends_at: Duration,
    },
    AwaitingMark {
        text: ClipboardText,
        stalls_at: Duration,
    },
}

impl ClipboardOrder {
    /// Returns whether no more input may be taken from the agent.
    pub fn holds_input(&self) -> bool {
        matches!(self.state, State::AwaitingText { .. })
    }

    /// Returns whether no more texts may be taken from the agent.
    pub fn holds_texts(&self) -> bool {
        matches!(self.state, State::AwaitingMark { .. })
    }

    /// Handles a mark. Returns the text that is due, if it was there before. Input waits for the
    /// text only if the backend `takes_text` now.
    pub fn on_mark(&mut self, number: u32, takes_text: bool, now: Duration) -> Option<String> {
        self.marked = self.marked.max(number);
        let due = match std::mem::take(&mut self.state) {
            State::AwaitingMark { text, .. } => Some(text.text),
            State::Idle | State::AwaitingText { .. } => None,
        };
        if takes_text && self.arrived < self.marked {
            self.state = State::AwaitingText {
                number,
                received: 0,
                stalls_at: now + CLIPBOARD_STALL_TIMEOUT,
                ends_at: now + MAX_INPUT_HOLD,
            };
        }
        due
    }

    /// Handles a text. Returns it if it is due now.
    pub fn on_text(&mut self, text: ClipboardText, now: Duration) -> Option<String> {
        self.arrived = self.arrived.max(text.number);
        if text.number > self.marked {
            let stalls_at = now + CLIPBOARD_STALL_TIMEOUT;
            self.state = State::AwaitingMark { text, stalls_at };
            return None;
        }
        if let State::AwaitingText { number, .. } = self.state
            && text.number >= number
        {
            self.state = State::Idle;
        }
        Some(text.text)
    }

    /// Returns the moment at which [`on_deadline`](Self::on_deadline) is to be called.
    pub fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Idle => None,
            State::AwaitingText {
                stalls_at, ends_at, ..
            } => Some(stalls_at.min(ends_at)),
            State::AwaitingMark { stalls_at, .. } => Some(stalls_at),
        }
    }

    /// Ends a wait whose time is over, unless the text is arriving; `bytes` of it are here. Returns
    /// the text that waited in vain for its mark.
    pub fn on_deadline(&mut self, bytes: usize, now: Duration) -> Option<String> {
        if self.deadline().is_none_or(|due| now < due) {
            return None;
        }
        match &mut self.state {
            State::AwaitingText {
                received,
                stalls_at,
                ends_at,
                ..
            } if bytes > *received && now < *ends_at => {
                *received = bytes;
                *stalls_at = now + CLIPBOARD_STALL_TIMEOUT;
                None
            }
            _ => match std::mem::take(&mut self.state) {
                State::AwaitingMark { text, .. } => Some(text.text),
                State::Idle | State::AwaitingText { .. } => None,
            },
        }
    }

    /// Ends every wait, because control ends or pauses: what is still on its way is read, and
    /// dropped by the gate.
    pub fn release(&mut self) {
        self.state = State::Idle;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn text(number: u32) -> ClipboardText {
        let text = format!("text {number}");
        ClipboardText { number, text }
    }

    fn due(number: u32) -> Option<String> {
        Some(text(number).text)
    }

    #[track_caller]
    fn check_idle(order: &ClipboardOrder) {
        let state = (order.holds_input(), order.holds_texts(), order.deadline());
        assert_eq!(state, (false, false, None));
    }

    #[test]
    fn input_waits_for_a_text_that_was_marked_before_it() {
        let mut order = ClipboardOrder::default();
        assert_eq!(order.on_mark(1, true, NOW), None);
        assert!(order.holds_input() && !order.holds_texts());
        assert_eq!(order.on_text(text(1), NOW), due(1));
        check_idle(&order);
    }

    #[test]
    fn a_text_waits_for_the_input_before_its_mark() {
        let mut order = ClipboardOrder::default();
        assert_eq!(order.on_text(text(1), NOW), None);
        assert!(order.holds_texts() && !order.holds_input());
        assert_eq!(order.on_mark(1, true, NOW), due(1));
        check_idle(&order);
    }

    #[test]
    fn a_later_text_doesnt_stand_in_for_an_earlier_one() {
        let mut order = ClipboardOrder::default();
        assert_eq!(order.on_text(text(1), NOW), None);
        assert_eq!(order.on_mark(1, true, NOW), due(1));
        assert_eq!(order.on_mark(2, true, NOW), None);
        assert!(order.holds_input());
        assert_eq!(order.on_text(text(2), NOW), due(2));
        check_idle(&order);
    }

    #[test]
    fn input_goes_on_once_a_text_stalls_and_the_text_is_late() {
        let mut order = ClipboardOrder::default();
        order.on_mark(1, true, NOW);
        let stalls_at = NOW + CLIPBOARD_STALL_TIMEOUT;
        assert_eq!(order.deadline(), Some(stalls_at));
        assert_eq!(order.on_deadline(0, stalls_at), None);
        check_idle(&order);
        assert_eq!(order.on_text(text(1), stalls_at), due(1));
    }

    #[test]
    fn a_text_that_is_arriving_is_waited_for_within_a_bound() {
        let mut order = ClipboardOrder::default();
        order.on_mark(1, true, NOW);
        let mut bytes = 0;
        while order.holds_input() {
            let now = order.deadline().expect("it waits");
            assert!(now <= NOW + MAX_INPUT_HOLD);
            bytes += 1;
            order.on_deadline(bytes, now);
        }
        assert_eq!(bytes, 5);
    }

    #[test]
    fn a_text_without_its_mark_comes_after_a_while() {
        let mut order = ClipboardOrder::default();
        order.on_text(text(1), NOW);
        assert_eq!(order.on_deadline(0, NOW), None);
        let due_at = order.deadline().expect("it waits");
        assert_eq!(order.on_deadline(0, due_at), due(1));
        check_idle(&order);
    }

    #[test]
    fn nothing_waits_for_a_text_that_the_backend_doesnt_take() {
        let mut order = ClipboardOrder::default();
        order.on_mark(1, false, NOW);
        check_idle(&order);
    }

    #[test]
    fn a_text_without_a_number_waits_for_nothing() {
        let mut order = ClipboardOrder::default();
        assert_eq!(order.on_text(text(0), NOW), due(0));
        check_idle(&order);
    }

    #[test]
    fn nothing_waits_once_control_ends() {
        let mut order = ClipboardOrder::default();
        order.on_mark(1, true, NOW);
        order.release();
        check_idle(&order);
        order.on_text(text(2), NOW);
        order.release();
        check_idle(&order);
    }
}
