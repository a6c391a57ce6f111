//! A permission together with the time for which it was given.

use std::time::Duration;

/// A stopwatch that runs while something is permitted. It holds the permission itself too, so that
/// permission and counted time can't disagree.
///
/// ```text
///        start            pause
///   off ──────▶ running ────────▶ paused
///    ▲             │  ◀──────────  │
///    └─── stop ────┴─── resume     │
///    └──────────── stop ───────────┘
/// ```
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    /// Time that was counted before the present run.
    before: Duration,
    state: StopwatchState,
}

#[derive(Clone, Copy, Debug, Default)]
enum StopwatchState {
    #[default]
    Off,
    /// Permitted, but the link is down and no time is counted.
    Paused,
    /// Permitted, and time is counted since this moment.
    Running(Duration),
}

impl Stopwatch {
    /// Returns whether the permission is granted, even while its time is paused.
    pub(super) fn is_on(&self) -> bool {
        !matches!(self.state, StopwatchState::Off)
    }

    pub(super) fn start(&mut self, now: Duration) {
        self.state = StopwatchState::Running(now);
    }

    /// Stops counting; the permission stays.
    pub(super) fn pause(&mut self, now: Duration) {
        if self.is_on() {
            self.before = self.total(now);
            self.state = StopwatchState::Paused;
        }
    }

    /// Counts again, if it was paused.
    pub(super) fn resume(&mut self, now: Duration) {
        if matches!(self.state, StopwatchState::Paused) {
            self.state = StopwatchState::Running(now);
        }
    }

    /// Ends the permission.
    pub(super) fn stop(&mut self, now: Duration) {
        self.before = self.total(now);
        self.state = StopwatchState::Off;
    }

    fn total(&self, now: Duration) -> Duration {
        match self.state {
            StopwatchState::Running(since) => self.before + now.saturating_sub(since),
            StopwatchState::Off | StopwatchState::Paused => self.before,
        }
    }

    /// Returns the counted time in seconds, rounded up: whoever saw the screen for half a second
    /// has seen it.
    pub(super) fn seconds(&self, now: Duration) -> u64 {
        let total = self.total(now);
        total.as_secs() + u64::from(total.subsec_nanos() > 0)
    }
}
