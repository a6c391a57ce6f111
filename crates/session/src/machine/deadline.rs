//! When the machine wants to be woken: for its own limits, and whenever a number that somebody sees
//! counts down.

use std::time::Duration;

use super::{Machine, OPENING_LIMIT, Phase, WAITING_LIMIT};

impl Machine {
    /// The next moment at which [`Event::Tick`](super::Event::Tick) may change something: a state, or
    /// a countdown in the view. `None` while nothing is pending.
    pub fn deadline(&self, now: Duration) -> Option<Duration> {
        match &self.phase {
            Phase::Closed | Phase::Failed(None) | Phase::Own { .. } => None,
            Phase::Opening { since } => Some(*since + OPENING_LIMIT),
            Phase::Waiting(waiting) if waiting.minting => Some(waiting.since + OPENING_LIMIT),
            Phase::Waiting(_) => self.renewal_due().map(|due| next_second(due, now)),
            Phase::Interrupted { until } => Some(next_second(*until, now)),
            Phase::Closing(ending) | Phase::Failed(Some(ending)) => Some(ending.until),
            Phase::Connected { tool_gone } => {
                let question = self.visit.as_ref().and_then(|visit| visit.deadline(now));
                [*tool_gone, question].into_iter().flatten().min()
            }
        }
    }

    pub(super) fn renewal_due(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Waiting(waiting) if !waiting.minting => Some(waiting.since + WAITING_LIMIT),
            _ => None,
        }
    }

    pub(super) fn given_up_at(&self) -> Option<Duration> {
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
