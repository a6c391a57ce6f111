//! The throttle of pointer positions: the client is sent one after somebody else has moved the
//! pointer, and not too often. Pure.

use std::time::{Duration, Instant};

/// Shortest time from one position to the next. 25 a second look smooth; the link is for the
/// picture.
const MIN_INTERVAL: Duration = Duration::from_millis(40);

/// Column and row.
pub(super) type Position = (u16, u16);

/// The pointer's position as the client knows it.
#[derive(Debug, Default)]
pub(super) struct PointerThrottle {
    known: Option<Position>,
    /// The earliest time of the next update.
    next_at: Option<Instant>,
}

impl PointerThrottle {
    /// Returns the time until the next update may be sent.
    pub(super) fn time_until_due(&self, now: Instant) -> Duration {
        let left = |at: Instant| at.saturating_duration_since(now);
        self.next_at.map(left).unwrap_or_default()
    }

    /// Records the pointer's `position` (`None` over nothing that is shown). Returns it if the
    /// client must be sent it: it is new, and not `client_position`, to which the client moved the
    /// pointer itself.
    pub(super) fn update(
        &mut self,
        position: Option<Position>,
        client_position: Option<Position>,
        now: Instant,
    ) -> Option<Position> {
        self.next_at = Some(now + MIN_INTERVAL);
        let before = self.known;
        self.known = position.or(before);
        position.filter(|at| before != Some(*at) && client_position != Some(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_moves_by_others_are_sent_and_only_once() {
        let mut throttle = PointerThrottle::default();
        let now = Instant::now();
        let (here, there) = (Some((1, 1)), Some((2, 2)));
        assert_eq!(throttle.update(here, None, now), here);
        assert_eq!(throttle.update(here, None, now), None);
        assert_eq!(throttle.update(there, there, now), None, "its own doing");
        assert_eq!(throttle.update(None, there, now), None);
        assert_eq!(throttle.update(here, there, now), here, "moved away again");
        assert_eq!(throttle.time_until_due(now), MIN_INTERVAL);
        let later = now + MIN_INTERVAL;
        assert_eq!(throttle.time_until_due(later), Duration::ZERO);
    }
}
