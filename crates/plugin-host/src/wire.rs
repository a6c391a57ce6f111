//! Messages between parent and child, one JSON object a line, as described in
//! `docs/plugin-host.md`. Here are their shapes alone; bytes are in `line_decoder`, and the order
//! of messages in `parent` and `child`.

use std::time::Duration;

use etatuki_backend_api::{Fault, State};
use etatuki_rfb::plain_text;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::error::{CallError, FailureReport};
use crate::plugin_spec::PluginSpec;

/// Version of the protocol. Both sides are one executable, so any other number is an error.
pub(crate) const PROTOCOL_VERSION: u32 = 1;
/// Descriptor on which the child gets its socket for handles.
pub(crate) const SOCKET_FD: i32 = 3;
/// Longest line in either direction, its end included.
pub(crate) const MAX_LINE_BYTES: usize = 256 * 1024;
/// Time-out of a call. The child's watchdog applies it to each call into the plugin, and the parent
/// to each request, in case that the child itself stands still.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Message from parent to child.
#[derive(Serialize, Deserialize)]
pub(crate) struct Request {
    /// Number of the request, from 1 on.
    pub(crate) id: u64,
    #[serde(flatten)]
    pub(crate) call: Call,
}

/// Call that the child is asked to make.
#[derive(Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub(crate) enum Call {
    /// Loads the plugin and makes its instance; once, before any other call.
    Load { plugin: Box<PluginSpec> },
    /// Asks whether the backend can be used on this machine.
    Probe,
    /// Opens a session with this code.
    Open { code: Zeroizing<String> },
    /// Closes the session.
    Close,
    /// Attaches the socket that was sent over [`SOCKET_FD`] with the request's id.
    Attach,
    /// Sets what the customer allows.
    Permissions { view: bool, control: bool },
    /// Restricts streams attached from now on to the windows of these processes.
    #[serde(rename = "limit")]
    RestrictToApp { pids: Vec<u32> },
    /// Destroys the instance; the last call.
    Shutdown,
}

impl Call {
    /// Returns the call's name on the wire.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Call::Load { .. } => "load",
            Call::Probe => "probe",
            Call::Open { .. } => "open",
            Call::Close => "close",
            Call::Attach => "attach",
            Call::Permissions { .. } => "permissions",
            Call::RestrictToApp { .. } => "limit",
            Call::Shutdown => "shutdown",
        }
    }
}

/// Message from child to parent.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum ChildMessage {
    /// First message, before anything is loaded.
    Hello {
        protocol: u32,
        abi: u32,
        version: String,
    },
    /// The call succeeded. `value` is a `LoadedPlugin` for load, a `ProbeReport` for probe, null
    /// for others.
    Done { id: u64, value: serde_json::Value },
    /// The call failed.
    Failed { id: u64, error: CallError },
    /// State, code and failure, read anew.
    Changed {
        state: WireState,
        code: Option<Zeroizing<String>>,
        failure: Option<WireFailure>,
    },
    /// A line of the plugin's own log.
    Log { level: u32, text: String },
    /// The plugin has been in this function for longer than [`CALL_TIMEOUT`].
    Hung { call: String },
}

/// A [`State`], written by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct WireState(pub(crate) State);

impl Serialize for WireState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for WireState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        State::from_name(&name)
            .map(WireState)
            .ok_or_else(|| serde::de::Error::custom("no such state"))
    }
}

/// A [`FailureReport`] on the wire.
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
        Self {
            fault: Fault::from_name(&wire.fault).unwrap_or(Fault::Plugin),
            name: plain_text(&wire.name),
            text: plain_text(&wire.text),
        }
    }
}

/// Encodes a message as a line. It is wiped when dropped, since it may hold the code.
pub(crate) fn encode_line(message: &impl Serialize) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(serde_json::to_vec(message)?);
    line.push(b'\n');
    Ok(line)
}
