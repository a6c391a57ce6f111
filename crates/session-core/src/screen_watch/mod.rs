//! Why the agent's picture stands still, and whether it is true: one [`ScreenCondition`] from what
//! is known of the display, of the source of the picture (a plugin or its tool), and of the link.
//!
//! | fact | from |
//! |------|------|
//! | screen locked, blanked, another session in front, program hung, something drawn | [`DisplayFacts`], once a second |
//! | the source answers nothing | [`SourceWatch`]: a probe after something was drawn |
//! | an update isn't acknowledged | [`LineWatch`] |
//!
//! Silence of the whole link isn't here: that is the heartbeat's.

mod line;
mod source;

use std::time::Duration;

use etatuki_protocol::{ScreenCondition, ScreenStatus};

pub use line::{LINE_SLOW_AFTER, LineWatch};
pub use source::{PROBE_TIMEOUT, SourceStep, SourceWatch};

/// Time for which a program may leave a ping of the window system unanswered. A ping goes out with the
/// first look after the input, and a look comes each second: so a program that hangs is told within
/// two seconds of the input, at the second look.
pub const PROGRAM_PING_LIMIT: Duration = Duration::from_millis(900);

/// One look at the display.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DisplayFacts {
    /// Another user's session is in front.
    pub other_session: bool,
    /// The screen is locked.
    pub locked: bool,
    /// The monitor is off, or the X server has blanked the screen.
    pub blanked: bool,
    /// Time for which the program that has the keyboard has left a ping unanswered; `None` if none
    /// is.
    pub ping_unanswered: Option<Duration>,
    /// Something was drawn since the last look.
    pub drawn: bool,
}

impl DisplayFacts {
    fn condition(&self) -> ScreenCondition {
        let hung = |unanswered: Duration| unanswered >= PROGRAM_PING_LIMIT;
        let facts = [
            (self.other_session, ScreenCondition::OtherSession),
            (self.locked, ScreenCondition::Locked),
            (self.blanked, ScreenCondition::Blanked),
            (
                self.ping_unanswered.is_some_and(hung),
                ScreenCondition::ProgramHung,
            ),
        ];
        let holds = facts.into_iter().filter(|(holds, _)| *holds);
        holds
            .map(|(_, condition)| condition)
            .min()
            .unwrap_or_default()
    }
}

/// The watch over one attached picture. Times are `Duration`s since any fixed moment and never go
/// backwards.
#[derive(Debug)]
pub struct ScreenWatch {
    has_tool: bool,
    display: DisplayFacts,
    source: SourceWatch,
    line: LineWatch,
}

impl ScreenWatch {
    /// Begins to watch a picture that is attached now. `has_tool`: a tool serves it, and not the
    /// plugin itself.
    pub fn new(has_tool: bool) -> Self {
        Self {
            has_tool,
            display: DisplayFacts::default(),
            source: SourceWatch::default(),
            line: LineWatch::default(),
        }
    }

    /// Takes in a look at the display.
    pub fn on_display(&mut self, facts: DisplayFacts, now: Duration) {
        self.display = facts;
        if facts.drawn {
            self.source.on_drawn(now);
        }
    }

    /// Notes that the agent's input went to the source.
    pub fn on_input(&mut self, now: Duration) {
        self.source.on_input(now);
    }

    /// Notes that bytes came from the source.
    pub fn on_source(&mut self) {
        self.source.on_heard();
    }

    /// Takes in since when the oldest update on its way to the console isn't acknowledged, if one
    /// is; to be called after every event.
    pub fn on_line(&mut self, unacknowledged_since: Option<Duration>, now: Duration) {
        self.line.update(unacknowledged_since, now);
    }

    /// Returns whether the source is to be probed now; to be called after every event. `reads_source`:
    /// the source's bytes are being read, so that an answer would be seen.
    pub fn step(&mut self, reads_source: bool, now: Duration) -> SourceStep {
        self.source.step(reads_source, now)
    }

    /// Returns the next moment at which [`step`](Self::step) or the status changes by itself.
    pub fn deadline(&self, now: Duration) -> Option<Duration> {
        let deadlines = [self.source.deadline(), self.line.deadline(now)];
        deadlines.into_iter().flatten().min()
    }

    /// Returns the status of the screen.
    pub fn status(&self, now: Duration) -> ScreenStatus {
        let hung = if self.has_tool {
            ScreenCondition::ToolHung
        } else {
            ScreenCondition::PluginHung
        };
        let stale = [
            (hung, self.source.behind_since()),
            (ScreenCondition::LineSlow, self.line.behind_since()),
        ];
        let stale = stale
            .into_iter()
            .find_map(|(what, since)| Some((what, since?)));
        match stale {
            Some((condition, since)) => ScreenStatus {
                condition,
                age: whole_seconds(now.saturating_sub(since)),
            },
            None => ScreenStatus {
                condition: self.display.condition(),
                age: 0,
            },
        }
    }
}

/// Returns seconds, rounded up.
fn whole_seconds(time: Duration) -> u16 {
    let begun = u64::from(time.subsec_nanos() > 0);
    u16::try_from(time.as_secs() + begun).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests;
