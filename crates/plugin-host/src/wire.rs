//! The protocol between parent and child: what a line of JSON may be. `docs/plugin-host.md` is the same in words.
//! Only shapes here; bytes are in `lines`, and who says what when is in `parent` and `child`.

use etatuki_backend_api::{Fault, State};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::error::{FailureReport, Refusal};
use crate::spec::PluginSpec;

/// Version of the protocol; both sides are the same executable, so any other number is an error.
pub(crate) const PROTOCOL: u32 = 1;
/// The descriptor on which the child gets its socket for handles.
pub(crate) const SOCKET_FD: i32 = 3;
/// The longest line in either direction, its end included.
pub(crate) const MAX_LINE: usize = 256 * 1024;

/// Parent to child.
#[derive(Serialize, Deserialize)]
pub(crate) struct Request {
    /// Counts up from 1.
    pub(crate) id: u64,
    #[serde(flatten)]
    pub(crate) call: Call,
}

/// What the child is asked to do.
#[derive(Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub(crate) enum Call {
    /// Load the plugin and make its instance; once, and before anything else.
    Load { plugin: Box<PluginSpec> },
    /// Is it usable?
    Probe,
    /// Open with this code.
    Open { code: Zeroizing<String> },
    /// Close.
    Close,
    /// Attach the socket that was sent over [`SOCKET_FD`] with the request's id.
    Attach,
    /// What the customer allows.
    Permissions { view: bool, control: bool },
    /// Show the windows of these processes alone, on streams attached from now on.
    Limit { pids: Vec<u32> },
    /// Destroy the instance; nothing comes after it.
    Shutdown,
}

impl Call {
    /// The call's name in messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Call::Load { .. } => "load",
            Call::Probe => "probe",
            Call::Open { .. } => "open",
            Call::Close => "close",
            Call::Attach => "attach",
            Call::Permissions { .. } => "permissions",
            Call::Limit { .. } => "limit",
            Call::Shutdown => "shutdown",
        }
    }
}

/// Child to parent.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum FromChild {
    /// The first line, before anything is loaded.
    Hello {
        protocol: u32,
        abi: u32,
        version: String,
    },
    /// The call did what it says. `value` is a `LoadedPlugin` for load, a `ProbeReport` for probe, null for others.
    Done { id: u64, value: serde_json::Value },
    /// The call failed.
    Failed { id: u64, error: Refusal },
    /// State, code and failure, re-read.
    Changed {
        state: WireState,
        code: Option<Zeroizing<String>>,
        failure: Option<WireFailure>,
    },
    /// A line of the plugin's own log.
    Log { level: u32, text: String },
    /// The plugin has been in this function for longer than it may.
    Hung { call: String },
}

/// [`State`] by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct WireState(pub(crate) State);

const STATES: [State; 6] = [
    State::Closed,
    State::Opening,
    State::Waiting,
    State::Attached,
    State::Closing,
    State::Failed,
];

impl Serialize for WireState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for WireState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = STATES.into_iter().find(|state| state.as_str() == name);
        known
            .map(WireState)
            .ok_or_else(|| serde::de::Error::custom("no such state"))
    }
}

/// [`FailureReport`] on the wire.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireFailure {
    fault: String,
    name: String,
    text: String,
}

impl From<FailureReport> for WireFailure {
    fn from(report: FailureReport) -> Self {
        Self {
            fault: report.fault.as_str().to_owned(),
            name: report.name,
            text: report.text,
        }
    }
}

impl From<WireFailure> for FailureReport {
    fn from(wire: WireFailure) -> Self {
        let faults = [Fault::Caller, Fault::Tool];
        let fault = faults
            .into_iter()
            .find(|fault| fault.as_str() == wire.fault)
            .unwrap_or(Fault::Ours);
        Self {
            fault,
            name: wire.name,
            text: wire.text,
        }
    }
}

/// A message as a line, wiped after it was written, for it may hold the code.
pub(crate) fn line(message: &impl Serialize) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(serde_json::to_vec(message)?);
    line.push(b'\n');
    Ok(line)
}
