//! Health of the service while a code waits: the code leads an agent here only while the service is
//! in reach and knows the nameplate.
//!
//! The relay belongs to the service, and the endpoint's connection to it is the first to notice
//! that the service went. Only then is the service asked whether it still knows the nameplate,
//! because one that was started afresh knows none.
//!
//! ```text
//!          relay unreached for LOST_AFTER
//!   up ──────────────────────────────────▶ lost
//!    ▲                                      │
//!    ├── nameplate known, relay reached ────┤   ServiceChange::Back
//!    └── nameplate unknown ─────────────────┘   ServiceChange::CodeForgotten
//! ```

use std::time::Duration;

/// Absence of the relay that counts as a loss. A relay restarts within two seconds.
const LOST_AFTER: Duration = Duration::from_secs(3);

/// A change of the service's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceChange {
    /// The service is out of reach.
    Lost,
    /// The service is back and knows the nameplate.
    Back,
    /// The service is back and doesn't know the nameplate.
    CodeForgotten,
}

/// The service's answer when it is asked for the nameplate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameplateStatus {
    /// The service knows the nameplate.
    Known,
    /// The service doesn't know the nameplate.
    Unknown,
    /// No answer, or one that tells nothing of the nameplate.
    NoAnswer,
}

/// The service's health, as last observed.
#[derive(Debug, Default)]
pub struct ServiceHealth {
    /// Since when the relay is unreached, in time since the session began.
    unreached_since: Option<Duration>,
    lost: bool,
}

impl ServiceHealth {
    /// Returns whether the service is out of reach, so that it should be asked for the nameplate.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Takes in whether the relay is reached, and the nameplate's status if the service was asked
    /// since the last observation. Returns the change that follows. `now` is the time since any
    /// fixed moment.
    pub fn observe(
        &mut self,
        relay_reached: bool,
        status: Option<NameplateStatus>,
        now: Duration,
    ) -> Option<ServiceChange> {
        if self.lost {
            return self.observe_lost(relay_reached, status);
        }
        if relay_reached {
            self.unreached_since = None;
            return None;
        }
        let since = *self.unreached_since.get_or_insert(now);
        self.lost = now.saturating_sub(since) >= LOST_AFTER;
        self.lost.then_some(ServiceChange::Lost)
    }

    fn observe_lost(
        &mut self,
        relay_reached: bool,
        status: Option<NameplateStatus>,
    ) -> Option<ServiceChange> {
        let change = match status? {
            NameplateStatus::Known if relay_reached => ServiceChange::Back,
            NameplateStatus::Unknown => ServiceChange::CodeForgotten,
            _ => return None,
        };
        *self = Self::default();
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relay reached, status of the nameplate, expected change.
    type Observation = (bool, Option<NameplateStatus>, Option<ServiceChange>);

    /// Observations a second apart.
    fn check(observations: &[Observation]) {
        let mut health = ServiceHealth::default();
        let mut now = Duration::from_secs(1000);
        for (at, (reached, status, expected)) in observations.iter().enumerate() {
            let change = health.observe(*reached, *status, now);
            assert_eq!(change, *expected, "observation {at}");
            now += Duration::from_secs(1);
        }
    }

    const DOWN: Observation = (false, None, None);
    const LOST: Observation = (false, None, Some(ServiceChange::Lost));

    #[test]
    fn a_short_absence_is_none() {
        let up = (true, None, None);
        check(&[up, DOWN, DOWN, DOWN, up, DOWN, DOWN, DOWN, up]);
    }

    #[test]
    fn it_is_back_when_it_knows_the_code_and_leads_here() {
        let known = Some(NameplateStatus::Known);
        check(&[
            DOWN,
            DOWN,
            DOWN,
            LOST,
            (false, Some(NameplateStatus::NoAnswer), None),
            (false, known, None),
            (true, None, None),
            (true, known, Some(ServiceChange::Back)),
            (true, None, None),
            DOWN,
        ]);
    }

    #[test]
    fn one_that_started_afresh_has_forgotten_it() {
        let unknown = Some(NameplateStatus::Unknown);
        let forgot = (false, unknown, Some(ServiceChange::CodeForgotten));
        check(&[DOWN, DOWN, DOWN, LOST, forgot, DOWN]);
    }
}
