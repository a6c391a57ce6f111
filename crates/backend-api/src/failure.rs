//! How a plugin says what went wrong: who is at fault, a stable name, and words for a person.

use crate::raw;

/// Who is at fault. It decides what the customer is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The caller: it broke the contract (status 1xx).
    Caller,
    /// The plugin itself (status 2xx).
    Ours,
    /// The tool that is driven, the machine around it, or the remote side (status 3xx).
    Tool,
}

impl Fault {
    /// The status code of the ABI that stands for this fault when nothing better fits.
    pub fn status(self) -> i32 {
        match self {
            Fault::Caller => raw::E_CALLER,
            Fault::Ours => raw::E_PLUGIN,
            Fault::Tool => raw::E_TOOL,
        }
    }

    /// Reads the band of a status code; None for 0 and for what belongs to no band.
    pub fn from_status(status: i32) -> Option<Self> {
        match status {
            100..=199 => Some(Fault::Caller),
            200..=299 => Some(Fault::Ours),
            300..=399 => Some(Fault::Tool),
            _ => None,
        }
    }

    /// `caller`, `plugin` or `tool`, as in logs and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Caller => "caller",
            Fault::Ours => "plugin",
            Fault::Tool => "tool",
        }
    }
}

/// Why something didn't work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Who is at fault.
    pub fault: Fault,
    /// Stable kebab-case name, such as `tool-died`; what the customer reads is chosen by it.
    pub name: &'static str,
    /// What happened, for the log and for support: English, lower case, no full stop, no code.
    pub text: String,
}

impl Failure {
    /// The plugin's own fault.
    pub fn ours(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            fault: Fault::Ours,
            name,
            text: text.into(),
        }
    }

    /// The fault of the tool, the machine around it or the remote side.
    pub fn tool(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            fault: Fault::Tool,
            name,
            text: text.into(),
        }
    }

    /// The caller's fault.
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

/// What `probe` found on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    /// The tool that would be driven, such as `x11vnc`; None when the backend needs none.
    pub tool: Option<String>,
    /// The tool's version as it says it.
    pub version: Option<String>,
}

/// Why the backend can't be used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Stable kebab-case name: `tool-missing`, `tool-too-old`, `display-missing`, …
    pub name: &'static str,
    /// What is missing, in a sentence for a person, English.
    pub text: String,
}
