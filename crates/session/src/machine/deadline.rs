//! When the machine wants to be woken: for its own limits, and whenever a number that somebody sees
//! counts down.

use std::time::Duration;

use super::{CODE_LIFETIME, Machine, OPENING_TIMEOUT, Phase};

impl Machine {
    /// The next moment at which [`Event::Tick`](super::Event::Tick) may change something: a state, or
    /// a countdown in the view. `None` while nothing is pending.
    pub fn deadline(&self, now: Duration) -> Option<Duration> {
        match &self.phase {
            Phase::Closed | Phase::Failed(None) | Phase::External { .. } => None,
            Phase::Opening { since } => Some(*since + OPENING_TIMEOUT),
            Phase::Waiting(waiting) if waiting.minting => Some(waiting.since + OPENING_TIMEOUT),
            Phase::Waiting(_) => self.code_expires_at().map(|due| next_second(due, now)),
            Phase::Interrupted { until } => Some(next_second(*until, now)),
            Phase::Closing(teardown) | Phase::Failed(Some(teardown)) => Some(teardown.until),
            Phase::Connected { stream_closed } => {
                let question = self
                    .consent
                    .as_ref()
                    .and_then(|consent| consent.deadline(now));
                [*stream_closed, question].into_iter().flatten().min()
            }
        }
    }

    pub(super) fn code_expires_at(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Waiting(waiting) if !waiting.minting => Some(waiting.since + CODE_LIFETIME),
            _ => None,
        }
    }

    pub(super) fn resume_deadline(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Interrupted { until } => Some(*until),
            _ => None,
        }
    }
}

/// Whole seconds until `due`, the begun one included.
pub(super) fn seconds_left(due: Duration, now: Duration) -> u32 {
    let left = due.saturating_sub(now);
    let begun = u64::from(left.subsec_nanos() > 0);
    u32::try_from(left.as_secs() + begun).unwrap_or(u32::MAX)
}

/// The moment after `now` at which [`seconds_left`] is one less; `due` itself when that has passed.
pub(super) fn next_second(due: Duration, now: Duration) -> Duration {
    let after = u64::from(seconds_left(due, now)).saturating_sub(1);
    due.saturating_sub(Duration::from_secs(after))
}
