//! The moments at which the machine wants to be woken: its own time-outs, and every second while
//! the view counts down.

use std::time::Duration;

use super::{CODE_LIFETIME, Machine, Phase};

impl Machine {
    /// Returns the next moment at which [`Event::Tick`](super::Event::Tick) may change a state or a
    /// countdown of the view. `None` while nothing is pending.
    pub fn deadline(&self, now: Duration) -> Option<Duration> {
        match &self.phase {
            Phase::Closed | Phase::Failed(None) | Phase::External { .. } => None,
            Phase::Opening { since } | Phase::RenewingCode { since } => {
                Some(*since + self.opening_timeout())
            }
            Phase::Waiting { .. } => self.code_expires_at().map(|due| next_second(due, now)),
            Phase::Interrupted {
                until, fails_at, ..
            } => {
                let countdown = next_second(*until, now);
                Some(fails_at.map_or(countdown, |due| due.min(countdown)))
            }
            Phase::Closing(teardown) | Phase::Failed(Some(teardown)) => Some(teardown.until),
            Phase::Connected { fails_at } => {
                let question = self
                    .consent
                    .as_ref()
                    .and_then(|consent| consent.deadline(now));
                [*fails_at, question].into_iter().flatten().min()
            }
        }
    }

    /// Returns when a fresh code replaces the present one; `None` unless a code waits.
    pub(super) fn code_expires_at(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Waiting { since, .. } => Some(*since + CODE_LIFETIME),
            _ => None,
        }
    }

    /// Returns when an interrupted session is given up; `None` unless it is interrupted.
    pub(super) fn resume_deadline(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Interrupted { until, .. } => Some(*until),
            _ => None,
        }
    }
}

/// Returns the seconds until `due`, rounded up.
pub(super) fn seconds_left(due: Duration, now: Duration) -> u32 {
    let left = due.saturating_sub(now);
    let begun = u64::from(left.subsec_nanos() > 0);
    u32::try_from(left.as_secs() + begun).unwrap_or(u32::MAX)
}

/// Returns the moment after `now` at which [`seconds_left`] is one less, or `due` if that has
/// passed.
pub(super) fn next_second(due: Duration, now: Duration) -> Duration {
    let after = u64::from(seconds_left(due, now)).saturating_sub(1);
    due.saturating_sub(Duration::from_secs(after))
}
