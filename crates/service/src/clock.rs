//! The service's two clocks: a monotonic one for limits and expiry, and the time of day for agents'
//! cards. A test can set both.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use etatuki_trust::UnixTime;

/// The source of time.
#[derive(Clone, Debug)]
pub struct Clock(ClockSource);

#[derive(Clone, Debug)]
enum ClockSource {
    System {
        started: Instant,
    },
    Manual {
        /// Milliseconds since `started`.
        elapsed: Arc<AtomicU64>,
        started: UnixTime,
    },
}

impl Clock {
    /// Returns the machine's clocks.
    #[must_use]
    pub fn system() -> Self {
        Self(ClockSource::System {
            started: Instant::now(),
        })
    }

    /// Returns a clock that stands still until it is [advanced](Self::advance), together with its
    /// clones.
    #[must_use]
    pub fn manual(started: UnixTime) -> Self {
        Self(ClockSource::Manual {
            elapsed: Arc::default(),
            started,
        })
    }

    /// Advances a manual clock; does nothing on the machine's.
    pub fn advance(&self, by: Duration) {
        if let ClockSource::Manual { elapsed, .. } = &self.0 {
            let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            elapsed.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// Returns the time since the start of the service.
    #[must_use]
    pub fn now(&self) -> Duration {
        match &self.0 {
            ClockSource::System { started } => started.elapsed(),
            ClockSource::Manual { elapsed, .. } => {
                Duration::from_millis(elapsed.load(Ordering::SeqCst))
            }
        }
    }

    /// Returns the time of day. A machine whose clock is before 1970 finds every card not yet
    /// valid.
    #[must_use]
    pub fn unix_time(&self) -> UnixTime {
        match &self.0 {
            ClockSource::System { .. } => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                UnixTime(since.map_or(0, |since| since.as_secs()))
            }
            ClockSource::Manual { started, .. } => started.saturating_add(self.now().as_secs()),
        }
    }
}
