//! What can go wrong with a plugin and the child that holds it, with the one at fault in the name.

use std::path::PathBuf;

use etatuki_backend_api::Fault;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::spec::Origin;

/// A failure as the plugin reported it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureReport {
    /// Who is at fault, says the plugin.
    pub fault: Fault,
    /// Stable name, such as `tool-died`; never empty.
    pub name: String,
    /// Details for the log and for support, English.
    pub text: String,
}

impl std::fmt::Display for FailureReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.name, self.fault.as_str(), self.text)
    }
}

/// Why a plugin couldn't be loaded or called.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Our own child process couldn't be started.
    #[error("the plugin host could not be started: {0}")]
    Spawn(#[source] std::io::Error),
    /// There is no such file.
    #[error("there is no plugin at {}", .0.display())]
    Missing(PathBuf),
    /// The file may not be loaded: where it lies, who can write it, what it hashes to.
    #[error("the plugin was refused: {0}")]
    Refused(String),
    /// The library isn't a plugin of this major version of the interface.
    #[error("the library is not a plugin for interface version {wanted}{}", but_for(.found))]
    WrongMajor {
        /// The major that it was built for, if it is a plugin at all.
        found: Option<u32>,
        /// Ours.
        wanted: u32,
    },
    /// The plugin's own version isn't one of those that the registry wants.
    #[error("the plugin has version {found}, wanted is {wanted}")]
    WrongVersion {
        /// What the descriptor says.
        found: Version,
        /// What the registry says.
        wanted: VersionReq,
    },
    /// The library is another plugin than the registry says.
    #[error("the library says that it is {found:?}, not {wanted:?}")]
    WrongId {
        /// What the descriptor says.
        found: String,
        /// What the registry says.
        wanted: String,
    },
    /// The library can't be loaded, or breaks the contract right away.
    #[error("the plugin could not be loaded: {0}")]
    Load(String),
    /// The child is gone.
    #[error("the plugin host died: {0}")]
    Died(String),
    /// A call took longer than two seconds; the child and everything it started were killed.
    #[error("the plugin hung in {call}")]
    Hung {
        /// The call.
        call: String,
    },
    /// The plugin refused a call.
    #[error("the plugin failed: {0}")]
    Plugin(FailureReport),
    /// The child said something that isn't in the protocol.
    #[error("the plugin host broke the protocol: {0}")]
    Protocol(String),
    /// One of these that is mended in the registry.
    #[error("{at}: {error}; {todo}")]
    InRegistry {
        /// Where; of [`Origin`].
        at: String,
        /// What is wrong.
        error: Box<HostError>,
        /// What to do.
        todo: &'static str,
    },
}

fn but_for(major: &Option<u32>) -> String {
    major
        .map(|major| format!(", but for {major}"))
        .unwrap_or_default()
}

impl HostError {
    /// The same with its place in the registry, if that can mend it.
    pub(crate) fn in_registry(self, origin: &Origin) -> Self {
        let (at, todo) = match &self {
            HostError::Missing(_) => (&origin.plugin, "put it there, or correct its name"),
            HostError::WrongVersion { .. } => (
                &origin.version,
                "install a plugin that fits, or correct the requirement",
            ),
            _ => return self,
        };
        if at.is_empty() {
            return self;
        }
        HostError::InRegistry {
            at: at.clone(),
            error: Box::new(self),
            todo,
        }
    }

    /// The stable name of the failure, as the customer's texts know it.
    pub fn name(&self) -> &str {
        match self {
            HostError::Missing(_) => "plugin-missing",
            HostError::Refused(_) | HostError::WrongId { .. } => "plugin-refused",
            HostError::WrongMajor { .. } | HostError::WrongVersion { .. } => "plugin-wrong-version",
            HostError::Died(_) => "plugin-died",
            HostError::Hung { .. } => "plugin-hung",
            HostError::Plugin(report) => &report.name,
            HostError::InRegistry { error, .. } => error.name(),
            HostError::Spawn(_) | HostError::Load(_) | HostError::Protocol(_) => "plugin-failed",
        }
    }
}

pub(crate) fn fault_from_text(text: &str) -> Fault {
    match text {
        "caller" => Fault::Caller,
        "tool" => Fault::Tool,
        _ => Fault::Ours,
    }
}

/// What the child answers when it doesn't load: the wire's form of the variants of [`HostError`] that it decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Refusal {
    Missing {
        path: PathBuf,
    },
    Refused {
        text: String,
    },
    WrongMajor {
        found: Option<u32>,
        wanted: u32,
    },
    WrongVersion {
        found: Version,
        wanted: VersionReq,
    },
    WrongId {
        found: String,
        wanted: String,
    },
    Load {
        text: String,
    },
    Plugin {
        fault: String,
        failure: String,
        text: String,
    },
}

impl From<Refusal> for HostError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing { path } => HostError::Missing(path),
            Refusal::Refused { text } => HostError::Refused(text),
            Refusal::WrongMajor { found, wanted } => HostError::WrongMajor { found, wanted },
            Refusal::WrongVersion { found, wanted } => HostError::WrongVersion { found, wanted },
            Refusal::WrongId { found, wanted } => HostError::WrongId { found, wanted },
            Refusal::Load { text } => HostError::Load(text),
            Refusal::Plugin {
                fault,
                failure,
                text,
            } => HostError::Plugin(FailureReport {
                fault: fault_from_text(&fault),
                name: failure,
                text,
            }),
        }
    }
}
