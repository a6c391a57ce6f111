//! The state of the customer's screen while the agent sees it: why nothing moves, and whether the
//! picture is still true.

use serde::{Deserialize, Serialize};

/// The state of the customer's screen, and of the picture's way to the agent. Of several, the first
/// in this order counts, except that `Visible` means none of them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum ScreenCondition {
    /// The tool that serves the picture doesn't answer.
    ToolHung,
    /// The plugin that serves the picture doesn't answer.
    PluginHung,
    /// An update has been on its way to the console for too long.
    LineSlow,
    /// Another user's session is in front on the customer's machine.
    OtherSession,
    /// The screen is locked.
    Locked,
    /// The monitor is off, or the X server has blanked the screen.
    Blanked,
    /// The program that has the keyboard doesn't answer the window system.
    ProgramHung,
    /// Nothing stands in the way: what the agent sees is what the customer sees.
    #[default]
    Visible,
}

impl ScreenCondition {
    /// Returns whether the agent's picture may differ from the customer's screen.
    #[must_use]
    pub const fn is_stale(self) -> bool {
        matches!(self, Self::ToolHung | Self::PluginHung | Self::LineSlow)
    }

    /// Returns the stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ToolHung => "tool-hung",
            Self::PluginHung => "plugin-hung",
            Self::LineSlow => "line-slow",
            Self::OtherSession => "other-session",
            Self::Locked => "locked",
            Self::Blanked => "blanked",
            Self::ProgramHung => "program-hung",
            Self::Visible => "visible",
        }
    }
}

/// A condition, as the agent is told it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreenStatus {
    /// The condition.
    pub condition: ScreenCondition,
    /// Age of the picture in seconds, rounded up; 0 while the picture is true.
    pub age: u16,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ToAgent, parse_control};

    const ALL: [(ScreenCondition, bool); 8] = [
        (ScreenCondition::ToolHung, true),
        (ScreenCondition::PluginHung, true),
        (ScreenCondition::LineSlow, true),
        (ScreenCondition::OtherSession, false),
        (ScreenCondition::Locked, false),
        (ScreenCondition::Blanked, false),
        (ScreenCondition::ProgramHung, false),
        (ScreenCondition::Visible, false),
    ];

    #[test]
    fn each_condition_has_its_name_on_the_wire() {
        for (condition, is_stale) in ALL {
            let status = ScreenStatus { condition, age: 2 };
            let json = format!(
                r#"{{"screen":{{"condition":"{}","age":2}}}}"#,
                condition.name()
            );
            let message = ToAgent::Screen(status);
            assert_eq!(serde_json::to_string(&message).unwrap(), json);
            assert_eq!(parse_control(json.as_bytes()), Ok(message));
            assert_eq!(condition.is_stale(), is_stale);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for json in [
            r#"{"screen":{"condition":"visible"}}"#,
            r#"{"screen":{"condition":"asleep","age":0}}"#,
            r#"{"screen":{"condition":"visible","age":-1}}"#,
            r#"{"screen":{"condition":"visible","age":65536}}"#,
            r#"{"screen":{"condition":"visible","age":0,"why":"x"}}"#,
        ] {
            assert!(parse_control::<ToAgent>(json.as_bytes()).is_err(), "{json}");
        }
    }
}
