//! What a plugin host reports by itself.
use etatuki_backend_api::State;
use zeroize::Zeroizing;

use crate::error::FailureReport;

/// How much a line of a plugin's log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is odd.
    Warn,
    /// Something happened that support wants to know.
    Info,
    /// Only for those who hunt a bug.
    Debug,
}

/// What a plugin host reports by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostEvent {
    /// The plugin's state, re-read. Level-triggered: only the newest is kept when the reader is slow.
    Changed {
        /// The state now.
        state: State,
        /// The session code now, in its plain form.
        code: Option<Zeroizing<String>>,
        /// Why it failed; set when `state` is `failed`.
        failure: Option<FailureReport>,
    },
    /// A line of the plugin's log, or of what it printed.
    Log {
        /// How much it matters.
        level: LogLevel,
        /// The line, at most 1000 bytes, without the code.
        text: String,
    },
    /// The child is gone, and everything that it started was killed. Nothing comes after this.
    Died {
        /// What is known about it: `hung in open`, `signal SIGSEGV`, `exit code 1`.
        description: String,
    },
}

/// Where the events come out.
pub struct HostEvents(());

impl HostEvents {
    /// The next event; None after [`HostEvent::Died`], after `shutdown`, and when the host was dropped. Cancel safe.
    pub async fn recv(&mut self) -> Option<HostEvent> {
        todo!()
    }
}
