//! The service's two clocks: one that never goes back, for limits and expiry, and the time of day, for
//! agents' cards. Both come from here, so that a test can set them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use etatuki_trust::UnixTime;

/// Where the time comes from.
#[derive(Clone, Debug)]
pub struct Clock(ClockSource);

#[derive(Clone, Debug)]
enum ClockSource {
    System {
        started: Instant,
    },
    /// Milliseconds since the start, and the time of day then.
    Manual {
        passed: Arc<AtomicU64>,
        started: UnixTime,
    },
}

impl Clock {
    /// The machine's clocks.
    #[must_use]
    pub fn system() -> Self {
        Self(ClockSource::System {
            started: Instant::now(),
        })
    }

    /// A clock that stands still until it is [advanced](Self::advance); its clones go with it.
    #[must_use]
    pub fn manual(started: UnixTime) -> Self {
        Self(ClockSource::Manual {
            passed: Arc::default(),
            started,
        })
    }

    /// Lets time pass on a manual clock; does nothing on the machine's.
    pub fn advance(&self, by: Duration) {
        if let ClockSource::Manual { passed, .. } = &self.0 {
            let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            passed.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// How long the service has been running.
    #[must_use]
    pub fn now(&self) -> Duration {
        match &self.0 {
            ClockSource::System { started } => started.elapsed(),
            ClockSource::Manual { passed, .. } => {
                Duration::from_millis(passed.load(Ordering::SeqCst))
            }
        }
    }

    /// The time of day. A machine whose clock is before 1970 finds every card not yet valid.
    #[must_use]
    pub fn unix(&self) -> UnixTime {
        match &self.0 {
            ClockSource::System { .. } => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                UnixTime(since.map_or(0, |since| since.as_secs()))
            }
            ClockSource::Manual { started, .. } => started.plus(self.now().as_secs()),
        }
    }
}
