//! Whether a code that waits can lead anybody here: its service has to be in reach, and still know it. Pure.
//!
//! The relay is the service's own, and the endpoint's connection to it is the first to notice that it went. Whether
//! the nameplate is still known is asked then, for a service that started afresh knows none.

use std::time::Duration;

use tokio::time::Instant;

/// A relay that is back within this time was never lost: it restarts within two seconds.
const LOST_AFTER: Duration = Duration::from_secs(3);

/// What became of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceChange {
    /// It is out of reach.
    Lost,
    /// It is back, and knows the nameplate.
    Back,
    /// It is back, and doesn't know the nameplate.
    CodeForgotten,
}

/// What the service says when it is asked for the nameplate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameplateStatus {
    /// It knows it.
    Known,
    /// It doesn't.
    Unknown,
    /// It doesn't answer, or nothing that helps.
    NoAnswer,
}

/// The service as it was last seen.
#[derive(Debug, Default)]
pub(crate) struct ServiceHealth {
    unreached_since: Option<Instant>,
    lost: bool,
}

impl ServiceHealth {
    /// Whether the service is out of reach, so that it should be asked for the nameplate.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// A look at the relay, with the service's answer if one has come since the last; what changed.
    pub(crate) fn observe(
        &mut self,
        reached: bool,
        status: Option<NameplateStatus>,
        now: Instant,
    ) -> Option<ServiceChange> {
        if self.lost {
            return self.observe_lost(reached, status);
        }
        if reached {
            self.unreached_since = None;
            return None;
        }
        let since = *self.unreached_since.get_or_insert(now);
        self.lost = now.duration_since(since) >= LOST_AFTER;
        self.lost.then_some(ServiceChange::Lost)
    }

    fn observe_lost(
        &mut self,
        reached: bool,
        status: Option<NameplateStatus>,
    ) -> Option<ServiceChange> {
        let change = match status? {
            NameplateStatus::Known if reached => ServiceChange::Back,
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

    /// Looks a second apart, and what each says.
    fn check(observations: &[(bool, Option<NameplateStatus>, Option<ServiceChange>)]) {
        let mut health = ServiceHealth::default();
        let mut now = Instant::now();
        for (at, (reached, status, expected)) in observations.iter().enumerate() {
            assert_eq!(
                health.observe(*reached, *status, now),
                *expected,
                "look {at}"
            );
            now += Duration::from_secs(1);
        }
    }

    const DOWN: (bool, Option<NameplateStatus>, Option<ServiceChange>) = (false, None, None);
    const LOST: (bool, Option<NameplateStatus>, Option<ServiceChange>) =
        (false, None, Some(ServiceChange::Lost));

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
