//! Is the line too slow for the picture? The console acknowledges every update by its fence; one that
//! isn't acknowledged for [`LINE_SLOW_AFTER`] is on a slow line.

use std::time::Duration;

/// Age of an unacknowledged update from which the line counts as slow.
pub const LINE_SLOW_AFTER: Duration = Duration::from_millis(1500);
/// Time for which updates must arrive in time again, before the line counts as fast enough: one
/// sentence about a slow line, and not one for each update.
const CALM_TIME: Duration = Duration::from_secs(3);

/// The watch over the line.
#[derive(Debug, Default)]
pub struct LineWatch {
    state: LineState,
}

#[derive(Clone, Copy, Debug, Default)]
enum LineState {
    #[default]
    Fast,
    /// An update, sent at `since`, is on its way.
    Waiting { since: Duration },
    Slow {
        /// When the agent's picture was last all that there was.
        since: Duration,
        /// Since when updates have arrived in time.
        calm_since: Option<Duration>,
    },
}

impl LineWatch {
    /// Takes in since when the oldest update isn't acknowledged.
    pub fn update(&mut self, unacknowledged_since: Option<Duration>, now: Duration) {
        let oldest = unacknowledged_since;
        let is_late = oldest.is_some_and(|since| now >= since + LINE_SLOW_AFTER);
        self.state = match (self.state, oldest) {
            (LineState::Fast | LineState::Waiting { .. }, Some(since)) if is_late => {
                LineState::Slow {
                    since,
                    calm_since: None,
                }
            }
            (LineState::Fast | LineState::Waiting { .. }, Some(since)) => {
                LineState::Waiting { since }
            }
            (LineState::Fast | LineState::Waiting { .. }, None) => LineState::Fast,
            (LineState::Slow { since, .. }, _) if is_late => LineState::Slow {
                since,
                calm_since: None,
            },
            (LineState::Slow { since, calm_since }, oldest) => {
                let calm = calm_since.unwrap_or(now);
                if now >= calm + CALM_TIME {
                    oldest.map_or(LineState::Fast, |since| LineState::Waiting { since })
                } else {
                    LineState::Slow {
                        since: oldest.unwrap_or(since.max(calm)),
                        calm_since: Some(calm),
                    }
                }
            }
        };
    }

    /// Returns the next moment at which [`update`](Self::update) changes something by itself.
    pub fn deadline(&self, now: Duration) -> Option<Duration> {
        let due = match self.state {
            LineState::Fast => None,
            LineState::Waiting { since } => Some(since + LINE_SLOW_AFTER),
            LineState::Slow {
                since, calm_since, ..
            } => Some(calm_since.map_or(since + LINE_SLOW_AFTER, |calm| calm + CALM_TIME)),
        };
        due.filter(|due| *due > now)
    }

    /// Returns since when the agent's picture may have been behind, on a slow line.
    pub fn behind_since(&self) -> Option<Duration> {
        match self.state {
            LineState::Slow { since, .. } => Some(since),
            LineState::Fast | LineState::Waiting { .. } => None,
        }
    }
}
