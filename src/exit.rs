//! The launcher's exit codes, which `docs/cli.md` lists.

use std::process::ExitCode;

use etatuki_session_core::{FailureName, View};

/// The outcome of a run. clap itself ends with 2 for a command line that isn't understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A normal end: either side has closed the session, if there was one.
    Normal,
    /// The command names something that doesn't exist.
    Usage,
    /// The registry is missing or can't be used.
    Registry,
    /// The entry can't be used on this machine: display, tool or plugin.
    Backend,
    /// A plugin under test breaks the contract.
    Check,
    /// The network or the service failed.
    Network,
    /// The link or the agent's program failed.
    Link,
    /// The launcher itself failed.
    Internal,
}

impl Exit {
    /// Returns the exit code.
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

    /// Returns the outcome of a session from its last view.
    pub fn of_session(last_view: &View) -> Self {
        last_view
            .failure
            .as_ref()
            .map_or(Exit::Normal, |failure| Self::of_failure(failure.name))
    }

    fn of_failure(failure: FailureName) -> Self {
        use FailureName as F;
        match failure {
            F::ServiceUnreachable
            | F::NetworkOffline
            | F::DnsSilent
            | F::DnsNameUnknown
            | F::ConnectionRefused
            | F::ProxyUnreachable
            | F::ProxyLogin
            | F::ProxyRefused
            | F::ProxyUnsupported
            | F::CertificateUntrusted
            | F::LoginPage
            | F::ServiceError
            | F::RevocationsStale
            | F::NoNameplate => Exit::Network,
            F::LinkFailed | F::LinkLost | F::RestartRefused | F::AgentMisbehaved => Exit::Link,
            F::RegistryBroken => Exit::Registry,
            F::DisplayMissing
            | F::DisplayUnsupported
            | F::DisplayWayland
            | F::DisplayTooLarge
            | F::DisplayLost
            | F::ToolMissing
            | F::ClockWrong
            | F::ToolTooOld
            | F::ToolDied
            | F::ToolFailed
            | F::PluginMissing
            | F::PluginRefused
            | F::PluginUnverifiable
            | F::PluginWrongVersion
            | F::PluginDied
            | F::PluginHung
            | F::PluginFailed
            | F::SessionRunning => Exit::Backend,
            F::Internal => Exit::Internal,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}
