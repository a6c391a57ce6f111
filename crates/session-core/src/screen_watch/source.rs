//! Does the source of the picture answer? A still screen is normal, so a source is asked only when it
//! should have said something: something was drawn on the display, or the agent typed, and nothing
//! came. The question is a request for one pixel, which every RFB server answers (RFC 6143, section
//! 7.5.3).

use std::time::Duration;

/// Time for which a source may owe an answer to a probe. x11vnc answers within its polling interval
/// of 20 ms; a machine that swaps takes longer.
pub const PROBE_TIMEOUT: Duration = Duration::from_millis(1000);
/// Time that a source has by itself after something was drawn or typed, before it is probed.
const GRACE: Duration = Duration::from_millis(500);

/// The watch over the source.
#[derive(Debug, Default)]
pub struct SourceWatch {
    state: SourceState,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SourceState {
    /// It owes nothing.
    #[default]
    Quiet,
    /// Something was drawn or typed, and it has said nothing since.
    Owing { since: Duration },
    /// It has been probed.
    Probed {
        since: Duration,
        probed_at: Duration,
    },
    /// It hasn't answered the probe.
    Hung { since: Duration },
}

/// The next step of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceStep {
    /// Nothing.
    Wait,
    /// Ask the source for one pixel.
    Probe,
}

impl SourceWatch {
    /// Notes that bytes came from the source.
    pub fn on_heard(&mut self) {
        self.state = SourceState::Quiet;
    }

    /// Notes that something was drawn in the last second. The source may have told it already, so it
    /// is asked once more than is needed: what it told may be older.
    pub fn on_drawn(&mut self, now: Duration) {
        self.owes(now);
    }

    /// Notes that the agent's input went to the source.
    pub fn on_input(&mut self, now: Duration) {
        self.owes(now);
    }

    fn owes(&mut self, now: Duration) {
        if self.state == SourceState::Quiet {
            self.state = SourceState::Owing { since: now };
        }
    }

    /// Moves on, and returns whether the source is to be probed. While its bytes aren't read, it
    /// can't be heard and counts as asked nothing.
    pub fn step(&mut self, is_read: bool, now: Duration) -> SourceStep {
        if !is_read && !matches!(self.state, SourceState::Hung { .. }) {
            self.state = SourceState::Quiet;
        }
        match self.state {
            SourceState::Owing { since } if now >= since + GRACE => {
                self.state = SourceState::Probed {
                    since,
                    probed_at: now,
                };
                SourceStep::Probe
            }
            SourceState::Probed { since, probed_at } if now >= probed_at + PROBE_TIMEOUT => {
                self.state = SourceState::Hung { since };
                SourceStep::Wait
            }
            _ => SourceStep::Wait,
        }
    }

    /// Returns the next moment at which [`step`](Self::step) does something.
    pub fn deadline(&self) -> Option<Duration> {
        match self.state {
            SourceState::Quiet | SourceState::Hung { .. } => None,
            SourceState::Owing { since } => Some(since + GRACE),
            SourceState::Probed { probed_at, .. } => Some(probed_at + PROBE_TIMEOUT),
        }
    }

    /// Returns since when a source that hangs has said nothing about what was drawn or typed.
    pub fn behind_since(&self) -> Option<Duration> {
        match self.state {
            SourceState::Hung { since } => Some(since),
            _ => None,
        }
    }
}
