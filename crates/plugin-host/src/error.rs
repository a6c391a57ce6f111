//! Errors of a plugin and of the child that holds it; each names who is at fault.

use std::path::PathBuf;

use etatuki_backend_api::Fault;
use etatuki_rfb::plain_text;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::plugin_spec::Origin;

/// A failure as the plugin reported it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureReport {
    /// Who is at fault, by the plugin's own account.
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

/// Reason why a plugin couldn't be loaded or called.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Our own child process couldn't be started.
    #[error("the plugin host could not be started: {0}")]
    Spawn(#[source] std::io::Error),
    /// There is no such file.
    #[error("there is no plugin at {}", .0.display())]
    Missing(PathBuf),
    /// The file may not be loaded: where it lies, who can write it, or what it hashes to.
    #[error("the plugin was refused: {0}")]
    Refused(String),
    /// The owner of the file, or of a folder above it, isn't known in this user namespace.
    #[error("the plugin's owner can't be checked: {0}")]
    Unverifiable(String),
    /// The library isn't a plugin of this major version of the interface.
    #[error("the library is not a plugin for interface version {wanted}{}", built_for(.found))]
    WrongMajor {
        /// The plugin's major version, if it is a plugin at all.
        found: Option<u32>,
        /// Our major version.
        wanted: u32,
    },
    /// The plugin's own version isn't one of those that the registry accepts.
    #[error("the plugin has version {found}, wanted is {wanted}")]
    WrongVersion {
        /// The descriptor's version.
        found: Version,
        /// The registry's requirement.
        wanted: VersionReq,
    },
    /// The library is another plugin than the registry says.
    #[error("the library says that it is {found:?}, not {wanted:?}")]
    WrongId {
        /// The descriptor's id.
        found: String,
        /// The registry's id.
        wanted: String,
    },
    /// The plugin's code has another form than the registry says.
    #[error("the plugin's code has the form {found:?}, not {wanted:?}")]
    WrongForm {
        /// The descriptor's form.
        found: String,
        /// The registry's form.
        wanted: String,
    },
    /// The library can't be loaded, or breaks the contract right away.
    #[error("the plugin could not be loaded: {0}")]
    Load(String),
    /// The child is gone.
    #[error("the plugin host died: {0}")]
    Died(String),
    /// A call took longer than two seconds; the child and everything it started were killed.
    #[error("the plugin hung in {call}{last_words}")]
    Hung {
        /// The call.
        call: String,
        /// Last line that the plugin printed, as the end of a sentence; empty if there was none.
        last_words: String,
    },
    /// The plugin refused a call.
    #[error("the plugin failed: {0}")]
    Plugin(FailureReport),
    /// The child sent something that isn't in the protocol.
    #[error("the plugin host broke the protocol: {0}")]
    Protocol(String),
    /// Another error, whose remedy is in the registry.
    #[error("{place}: {error}; {remedy}")]
    InRegistry {
        /// Place in the registry, from [`Origin`].
        place: String,
        /// The error.
        error: Box<HostError>,
        /// Remedy.
        remedy: &'static str,
    },
}

fn built_for(major: &Option<u32>) -> String {
    major
        .map(|major| format!(", but for {major}"))
        .unwrap_or_default()
}

impl HostError {
    /// Adds the place in the registry, if the remedy is there.
    pub(crate) fn with_registry_place(self, origin: &Origin) -> Self {
        let (place, remedy) = match &self {
            HostError::Missing(_) => (&origin.plugin, "put it there, or correct its name"),
            HostError::WrongVersion { .. } => (
                &origin.version,
                "install a plugin that fits, or correct the requirement",
            ),
            HostError::WrongForm { .. } => (
                &origin.form,
                "write the plugin's own form, or install another plugin",
            ),
            _ => return self,
        };
        if place.is_empty() {
            return self;
        }
        HostError::InRegistry {
            place: place.clone(),
            error: Box::new(self),
            remedy,
        }
    }

    /// Returns the failure's stable name, by which the customer's text is chosen.
    pub fn name(&self) -> &str {
        match self {
            HostError::Missing(_) => "plugin-missing",
            HostError::Unverifiable(_) => "plugin-unverifiable",
            HostError::Refused(_) | HostError::WrongId { .. } => "plugin-refused",
            HostError::WrongMajor { .. } | HostError::WrongVersion { .. } => "plugin-wrong-version",
            HostError::WrongForm { .. } => "registry-broken",
            HostError::Died(_) => "plugin-died",
            HostError::Hung { .. } => "plugin-hung",
            HostError::Plugin(report) => &report.name,
            HostError::InRegistry { error, .. } => error.name(),
            HostError::Spawn(_) | HostError::Load(_) | HostError::Protocol(_) => "plugin-failed",
        }
    }
}

/// Error of a call on the wire: the variants of [`HostError`] that the child decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum CallError {
    Missing {
        path: PathBuf,
    },
    Refused {
        text: String,
    },
    Unverifiable {
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
    WrongForm {
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

impl CallError {
    pub(crate) fn load(text: impl Into<String>) -> Self {
        Self::Load { text: text.into() }
    }

    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::Refused { text: text.into() }
    }
}

impl From<FailureReport> for CallError {
    fn from(report: FailureReport) -> Self {
        Self::Plugin {
            fault: report.fault.as_str().to_owned(),
            failure: report.name,
            text: report.text,
        }
    }
}

impl From<CallError> for HostError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Missing { path } => HostError::Missing(path),
            CallError::Refused { text } => HostError::Refused(plain_text(&text)),
            CallError::Unverifiable { text } => HostError::Unverifiable(plain_text(&text)),
            CallError::WrongMajor { found, wanted } => HostError::WrongMajor { found, wanted },
            CallError::WrongVersion { found, wanted } => HostError::WrongVersion { found, wanted },
            CallError::WrongId { found, wanted } => HostError::WrongId {
                found: plain_text(&found),
                wanted,
            },
            CallError::WrongForm { found, wanted } => HostError::WrongForm {
                found: plain_text(&found),
                wanted,
            },
            CallError::Load { text } => HostError::Load(plain_text(&text)),
            CallError::Plugin {
                fault,
                failure,
                text,
            } => HostError::Plugin(FailureReport {
                fault: Fault::from_name(&fault).unwrap_or(Fault::Plugin),
                name: plain_text(&failure),
                text: plain_text(&text),
            }),
        }
    }
}
