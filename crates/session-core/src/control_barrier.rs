//! The barrier between permissions and control messages.
//!
//! The agent's program may send input as soon as it reads that control is permitted. So control
//! messages are held until the plugin has acknowledged the last permissions: otherwise the agent's
//! first key could arrive before the plugin accepts input, and be lost.
//!
//! ```text
//!             permissions sent
//!    open ────────────────────────▶ closed(n unacknowledged) ─┐ permissions sent: n + 1
//!  (messages    last one acknowledged   (messages are held)  ◀┘ acknowledged: n - 1
//!   pass)   ◀──────────────────────
//!                released: all pass
//! ```

use etatuki_protocol::ToAgent;

/// The barrier; open at first.
#[derive(Debug)]
pub struct ControlBarrier {
    /// Messages that are held at most.
    capacity: usize,
    /// Permissions that the plugin hasn't acknowledged; the barrier is open at zero.
    unacknowledged: u32,
    held: Vec<ToAgent>,
}

/// The agent's program asks faster than the plugin acknowledges: too many messages are held.
#[derive(Debug, PartialEq, Eq)]
pub struct Overflow;

impl ControlBarrier {
    /// Makes an open barrier that holds up to `capacity` messages when closed.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            unacknowledged: 0,
            held: Vec::new(),
        }
    }

    /// Takes one message. Returns it if it passes now, and `None` if it is held.
    ///
    /// # Errors
    /// The barrier is closed and holds its capacity of messages already.
    pub fn push(&mut self, message: ToAgent) -> Result<Option<ToAgent>, Overflow> {
        if self.unacknowledged == 0 {
            return Ok(Some(message));
        }
        if self.held.len() >= self.capacity {
            return Err(Overflow);
        }
        self.held.push(message);
        Ok(None)
    }

    /// Closes the barrier, because the plugin was sent permissions.
    pub fn permissions_sent(&mut self) {
        self.unacknowledged += 1;
    }

    /// Takes one acknowledgement of the plugin's. Returns the messages that pass now, in order: all
    /// that are held after the last outstanding acknowledgement, none after any other.
    pub fn permissions_acknowledged(&mut self) -> Vec<ToAgent> {
        self.unacknowledged = self.unacknowledged.saturating_sub(1);
        if self.unacknowledged > 0 {
            return vec![];
        }
        std::mem::take(&mut self.held)
    }

    /// Drops the messages that are held, because the link that they were for is interrupted. The
    /// plugin still acknowledges.
    pub fn drop_held(&mut self) {
        self.held.clear();
    }

    /// Opens the barrier without further acknowledgements, because the session shuts down. Returns
    /// the messages that pass now, in order.
    pub fn release(&mut self) -> Vec<ToAgent> {
        self.unacknowledged = 0;
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(reason: &str) -> ToAgent {
        let reason = reason.to_owned();
        ToAgent::Ended { reason }
    }

    fn messages(reasons: &[&str]) -> Vec<ToAgent> {
        reasons.iter().map(|reason| message(reason)).collect()
    }

    #[test]
    fn open_messages_pass() {
        let mut barrier = ControlBarrier::new(0);
        for reason in ["a", "b"] {
            assert_eq!(barrier.push(message(reason)), Ok(Some(message(reason))));
        }
    }

    #[test]
    fn closed_messages_are_held_and_pass_in_order_with_the_acknowledgement() {
        let mut barrier = ControlBarrier::new(9);
        barrier.permissions_sent();
        for reason in ["a", "b"] {
            assert_eq!(barrier.push(message(reason)), Ok(None));
        }
        assert_eq!(barrier.permissions_acknowledged(), messages(&["a", "b"]));
        assert_eq!(barrier.push(message("c")), Ok(Some(message("c"))));
    }

    #[test]
    fn the_last_acknowledgement_opens_it() {
        let mut barrier = ControlBarrier::new(9);
        barrier.permissions_sent();
        assert_eq!(barrier.push(message("a")), Ok(None));
        barrier.permissions_sent();
        assert_eq!(barrier.permissions_acknowledged(), []);
        assert_eq!(barrier.push(message("b")), Ok(None));
        assert_eq!(barrier.permissions_acknowledged(), messages(&["a", "b"]));
    }

    #[test]
    fn closed_and_full_overflows() {
        let mut barrier = ControlBarrier::new(1);
        barrier.permissions_sent();
        assert_eq!(barrier.push(message("a")), Ok(None));
        assert_eq!(barrier.push(message("b")), Err(Overflow));
        assert_eq!(barrier.permissions_acknowledged(), messages(&["a"]));
    }

    #[test]
    fn a_release_opens_it_without_acknowledgements() {
        let mut barrier = ControlBarrier::new(9);
        barrier.permissions_sent();
        barrier.permissions_sent();
        assert_eq!(barrier.push(message("a")), Ok(None));
        assert_eq!(barrier.release(), messages(&["a"]));
        assert_eq!(barrier.push(message("b")), Ok(Some(message("b"))));
    }

    #[test]
    fn what_an_interruption_dropped_doesnt_pass_later() {
        let mut barrier = ControlBarrier::new(9);
        barrier.permissions_sent();
        assert_eq!(barrier.push(message("a")), Ok(None));
        barrier.drop_held();
        assert_eq!(barrier.push(message("b")), Ok(None));
        assert_eq!(barrier.permissions_acknowledged(), messages(&["b"]));
    }

    #[test]
    fn a_stray_acknowledgement_changes_nothing() {
        let mut barrier = ControlBarrier::new(9);
        assert_eq!(barrier.permissions_acknowledged(), []);
        assert_eq!(barrier.push(message("a")), Ok(Some(message("a"))));
    }
}
