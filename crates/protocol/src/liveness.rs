//! The clock of the peer's silence: heartbeats, and what their absence means.
//!
//! QUIC's own idle time doesn't decide: it is the larger of its setting and three probe time-outs
//! (RFC 9000, section 10.1), so after a gap the two ends notice it up to half a minute apart.

use std::time::Duration;

/// Interval at which each end sends a heartbeat.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(800);

/// Silence of the peer after which an end is interrupted. A person reads it within three seconds from
/// the last packet. And it outlasts a heartbeat's interval and the 1.3 s after which a dark path is
/// left for the relay, so that this alone interrupts nothing; half a second is left for slow relays.
pub const SILENCE_LIMIT: Duration = Duration::from_millis(2600);

/// Time from the interruption during which the link can be resumed; after it the link is lost.
pub const RESUME_LIMIT: Duration = Duration::from_secs(120);

/// The clock since when the peer was last heard, by any message of any stream. All times are
/// durations since one moment of the caller's own monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerClock {
    heard_at: Duration,
}

impl PeerClock {
    /// Returns a clock for a peer that is heard now.
    #[must_use]
    pub const fn new(now: Duration) -> Self {
        Self { heard_at: now }
    }

    /// Notes that something arrived from the peer. An earlier moment than the last one changes
    /// nothing.
    pub fn heard(&mut self, now: Duration) {
        self.heard_at = self.heard_at.max(now);
    }

    /// Returns the time since the peer was last heard.
    #[must_use]
    pub const fn silence(&self, now: Duration) -> Duration {
        now.saturating_sub(self.heard_at)
    }

    /// Returns the moment at which the peer counts as silent unless it is heard before.
    #[must_use]
    pub fn silent_at(&self) -> Duration {
        self.heard_at.saturating_add(SILENCE_LIMIT)
    }

    /// Returns whether the peer has been silent for [`SILENCE_LIMIT`]: the link is interrupted.
    #[must_use]
    pub fn is_silent(&self, now: Duration) -> bool {
        now >= self.silent_at()
    }

    /// Returns the moment from which a link that was found broken at `broken_at` is interrupted.
    /// After a pause of this process (it was stopped, or the machine slept) the peer has been
    /// counting since the silence began, so the time counts from then.
    #[must_use]
    pub fn interrupted_since(&self, broken_at: Duration) -> Duration {
        broken_at.min(self.silent_at())
    }

    /// Returns the moment at which a link that was found broken at `broken_at` is lost.
    #[must_use]
    pub fn lost_at(&self, broken_at: Duration) -> Duration {
        self.interrupted_since(broken_at)
            .saturating_add(RESUME_LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn silence_interrupts_before_three_seconds_are_over() {
        let mut clock = PeerClock::new(seconds(10));
        assert!(!clock.is_silent(seconds(10)));
        assert!(!clock.is_silent(Duration::from_millis(12_599)));
        assert!(clock.is_silent(Duration::from_millis(12_600)));
        clock.heard(seconds(12));
        clock.heard(seconds(11));
        assert_eq!(clock.silence(seconds(14)), seconds(2));
        assert_eq!(clock.silence(seconds(5)), Duration::ZERO);
        assert_eq!(clock.silent_at(), Duration::from_millis(14_600));
    }

    #[test]
    fn two_minutes_count_from_the_interruption_and_not_from_waking() {
        let clock = PeerClock::new(seconds(10));
        let silent_at = seconds(10) + SILENCE_LIMIT;
        assert_eq!(clock.lost_at(seconds(11)), seconds(131));
        assert_eq!(clock.lost_at(silent_at), silent_at + RESUME_LIMIT);
        assert_eq!(clock.lost_at(seconds(70)), silent_at + RESUME_LIMIT);
    }
}
