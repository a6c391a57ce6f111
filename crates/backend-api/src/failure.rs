//! A plugin's failure: who is at fault, a stable name, and a text for a person.

use crate::raw;

/// Side that is at fault. It decides what the customer is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The caller: it broke the contract (status 1xx).
    Caller,
    /// The plugin itself (status 2xx).
    Plugin,
    /// The tool that is driven, the machine around it, or the remote side (status 3xx).
    Tool,
}

impl Fault {
    /// Returns the fault's general status code in the C interface.
    pub fn status(self) -> i32 {
        match self {
            Fault::Caller => raw::E_CALLER,
            Fault::Plugin => raw::E_PLUGIN,
            Fault::Tool => raw::E_TOOL,
        }
    }

    /// Returns the fault of a status code's band; `None` for 0 and for a number outside the bands.
    pub fn from_status(status: i32) -> Option<Self> {
        match status {
            100..=199 => Some(Fault::Caller),
            200..=299 => Some(Fault::Plugin),
            300..=399 => Some(Fault::Tool),
            _ => None,
        }
    }

    /// Returns the fault of this name; `None` for an unknown name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Fault::Caller, Fault::Plugin, Fault::Tool]
            .into_iter()
            .find(|fault| fault.as_str() == name)
    }

    /// Returns the name in logs and JSON: `caller`, `plugin` or `tool`.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Caller => "caller",
            Fault::Plugin => "plugin",
            Fault::Tool => "tool",
        }
    }
}

/// A failure of a call or of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Side that is at fault.
    pub fault: Fault,
    /// Stable kebab-case name, such as `tool-died`, by which the customer's text is chosen.
    pub name: &'static str,
    /// Details for the log and for support: English, lower case, no full stop, no code.
    pub text: String,
}

impl Failure {
    /// Returns a failure that is the plugin's own fault.
    pub fn ours(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            fault: Fault::Plugin,
            name,
            text: text.into(),
        }
    }

    /// Returns a failure that is the fault of the tool, the machine around it or the remote side.
    pub fn tool(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            fault: Fault::Tool,
            name,
            text: text.into(),
        }
    }

    /// Returns a failure that is the caller's fault.
    pub fn caller(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            fault: Fault::Caller,
            name,
            text: text.into(),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.name, self.fault.as_str(), self.text)
    }
}

impl std::error::Error for Failure {}

/// Findings of `probe` on a machine where the backend can be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    /// The tool that the backend drives, such as `x11vnc`; `None` when it needs none.
    pub tool: Option<String>,
    /// The tool's version in its own words.
    pub version: Option<String>,
}

/// Reason why the backend can't be used on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Stable kebab-case name: `tool-missing`, `tool-too-old`, `display-missing`, …
    pub name: &'static str,
    /// Reason, an English sentence for a person.
    pub text: String,
}
