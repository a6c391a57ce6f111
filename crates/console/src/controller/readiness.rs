//! Whether the next code can be tried: service, card and clock, looked at before a customer reads a
//! code aloud for nothing.

use std::time::{Duration, UNIX_EPOCH};

use etatuki_trust::UnixTime;

use super::snapshot::Readiness;
use crate::{session::AgentContext, session_error::SessionError};

/// Time between two checks while all is well.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Time to the next check after the first failed one; doubled by each further one, up to
/// [`CHECK_INTERVAL`].
const FIRST_RETRY: Duration = Duration::from_secs(5);

/// Seconds by which this computer's clock may differ from the service's. Cards allow as many.
const MAX_CLOCK_DIFFERENCE: u64 = 300;

/// The times of the checks.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Time from the last check to the next.
    pause: Duration,
}

impl Schedule {
    /// Makes the next check come at once: a session may have ended because of what it would find.
    pub(super) fn check_now(&mut self) {
        self.pause = Duration::ZERO;
    }

    /// Waits until the next check is due, and makes it. Cancel safe; the time begins anew then.
    pub(super) async fn next_check(&self, context: &AgentContext) -> Readiness {
        tokio::time::sleep(self.pause).await;
        check(context).await
    }

    /// Records what a check found.
    pub(super) fn on_checked(&mut self, readiness: &Readiness) {
        self.pause = if *readiness == Readiness::Ready {
            CHECK_INTERVAL
        } else {
            (self.pause * 2).clamp(FIRST_RETRY, CHECK_INTERVAL)
        };
    }
}

/// Asks the service for a token with the agent's card, and compares the clocks.
async fn check(context: &AgentContext) -> Readiness {
    let checked = context.service.check(&context.agent).await;
    let ours = UnixTime(UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()));
    readiness(checked, ours, context.service.time())
}

fn readiness(
    checked: Result<(), SessionError>,
    ours: UnixTime,
    services: Option<UnixTime>,
) -> Readiness {
    let differs = services.is_some_and(|services| {
        ours.seconds_since(services)
            .max(services.seconds_since(ours))
            > MAX_CLOCK_DIFFERENCE
    });
    match checked {
        Err(SessionError::CardRefused(name)) => Readiness::CardRefused { name },
        Err(error) => Readiness::NoService {
            name: error.name().to_owned(),
        },
        Ok(()) if differs => Readiness::NoService {
            name: "own-clock".into(),
        },
        Ok(()) => Readiness::Ready,
    }
}

#[cfg(test)]
mod tests {
    use etatuki_network::{Cause, Unreachable};

    use super::*;

    #[test]
    fn service_card_and_clock_are_told_apart() {
        let now = UnixTime(1_700_000_000);
        let check = |checked, services, expected: (&str, &str)| {
            let found = match readiness(checked, now, services) {
                Readiness::Checking => ("checking", String::new()),
                Readiness::Ready => ("ready", String::new()),
                Readiness::NoService { name } => ("no-service", name),
                Readiness::CardRefused { name } => ("card-refused", name),
            };
            assert_eq!((found.0, found.1.as_str()), expected);
        };
        let clock = |seconds| Some(UnixTime(now.0 + seconds - 1000));
        check(Ok(()), None, ("ready", ""));
        check(Ok(()), clock(1300), ("ready", ""));
        check(Ok(()), clock(1301), ("no-service", "own-clock"));
        check(Ok(()), clock(699), ("no-service", "own-clock"));
        let refused = SessionError::CardRefused("card-revoked".into());
        check(Err(refused), clock(0), ("card-refused", "card-revoked"));
        let away = SessionError::ServiceUnreachable(Unreachable {
            cause: Cause::NoAnswer,
            detail: String::new(),
        });
        check(Err(away), None, ("no-service", "service-unreachable"));
    }

    #[test]
    fn failed_checks_are_repeated_sooner_and_ever_less_often() {
        let mut schedule = Schedule::default();
        let away = Readiness::NoService {
            name: "service-unreachable".into(),
        };
        let pauses = [5, 10, 20, 40, 60, 60].map(Duration::from_secs);
        for pause in pauses {
            schedule.on_checked(&away);
            assert_eq!(schedule.pause, pause);
        }
        schedule.check_now();
        assert_eq!(schedule.pause, Duration::ZERO);
        schedule.on_checked(&Readiness::Ready);
        assert_eq!(schedule.pause, CHECK_INTERVAL);
    }
}
