//! The launcher's exit codes; `docs/cli.md` lists them for whoever calls it.

use std::process::ExitCode;

use etatuki_session::{FailureName, View};

/// How the launcher ended. 2, a command line that isn't understood, is clap's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Normally: whatever was opened was closed by one of the two sides.
    Normal,
    /// The command names something that isn't there.
    Usage,
    /// There is no registry that can be used.
    Registry,
    /// The entry can't be used here: display, tool or plugin.
    Backend,
    /// A plugin that was checked breaks the contract.
    Check,
    /// The network or the service.
    Network,
    /// The link, or the agent's program.
    Link,
    /// A mistake of ours.
    Internal,
}

impl Exit {
    /// The number that the caller gets.
    pub fn code(self) -> u8 {
        match self {
            Exit::Normal => 0,
            Exit::Check => 1,
            Exit::Usage => 2,
            Exit::Registry => 3,
            Exit::Backend => 4,
            Exit::Network => 5,
            Exit::Link => 6,
            Exit::Internal => 70,
        }
    }

    /// How a session ended whose last view this is.
    pub fn of(last: &View) -> Self {
        last.failure
            .as_ref()
            .map_or(Exit::Normal, |failure| Self::of_failure(failure.name))
    }

    fn of_failure(failure: FailureName) -> Self {
        use FailureName as F;
        match failure {
            F::ServiceUnreachable | F::ServiceError | F::NoNameplate => Exit::Network,
            F::LinkFailed | F::LinkLost | F::AgentMisbehaved => Exit::Link,
            F::RegistryBroken => Exit::Registry,
            F::DisplayMissing
            | F::DisplayUnsupported
            | F::DisplayLost
            | F::ToolMissing
            | F::ToolTooOld
            | F::ToolDied
            | F::ToolFailed
            | F::PluginMissing
            | F::PluginRefused
            | F::PluginWrongVersion
            | F::PluginDied
            | F::PluginHung
            | F::PluginFailed => Exit::Backend,
            F::Internal => Exit::Internal,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}
