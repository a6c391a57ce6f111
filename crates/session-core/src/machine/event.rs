//! Events: everything that the machine is told.

use std::time::Duration;

use etatuki_protocol::{AgentIdentity, Ask};

use crate::clock_verdict::ClockVerdict;
use crate::command::Command;
use crate::failure::Failure;

/// Facts about a loaded plugin that decide what the session offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbedPlugin {
    /// Whether the plugin drives a tool. Without one, whatever breaks is the plugin's own fault.
    pub has_tool: bool,
    /// Whether the plugin takes keys and pointer. Without them, control is refused without asking.
    pub takes_input: bool,
    /// Whether the plugin can share one program alone.
    pub supports_app_sharing: bool,
}

/// An event, the machine's input.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The customer gave a command.
    Command(Command),
    /// The plugin is open and the code registered, so that the code can be read aloud.
    CodeReady,
    /// The plugin is loaded and usable.
    PluginProbed(ProbedPlugin),
    /// An attempt with the code ended before it counted.
    AttemptAborted,
    /// Somebody without a valid card tried the code.
    UnauthorizedAttempt,
    /// An agent of the vendor's, whose card is out of its time, tried the code.
    CardOutOfTime {
        /// The agent.
        agent: AgentIdentity,
        /// The clock that is to blame.
        clock: ClockVerdict,
    },
    /// An agent tried a wrong code.
    WrongGuess(AgentIdentity),
    /// The code is there, but a revocation list for it is missing or outdated.
    RevocationsStale,
    /// The service is out of reach while the code waits.
    ServiceLost,
    /// The service is back and knows the code.
    ServiceBack,
    /// The service is back and doesn't know the code.
    CodeForgotten,
    /// An agent with a valid card and the right code is connected.
    Authenticated(AgentIdentity),
    /// The agent asks for a permission or a switch.
    Asked(Ask),
    /// The agent ended the session.
    AgentEnded,
    /// The link broke, or the agent's end has been silent for too long.
    LinkInterrupted {
        /// The moment of it: before now if this process was stopped meanwhile.
        since: Duration,
    },
    /// The agent has resumed the link over a new connection; [`Action::AdoptLink`] takes it. Comes
    /// without an interruption before it if the agent's end noticed that first.
    ///
    /// [`Action::AdoptLink`]: super::Action::AdoptLink
    LinkResumed,
    /// [`Action::KeepRestart`](super::Action::KeepRestart) is done, or couldn't be.
    RestartKept(bool),
    /// The tool or the plugin closed its end of the RFB socket.
    PluginStreamClosed,
    /// Somebody has connected by the tool's own transport.
    ExternalPeerConnected,
    /// Whoever had connected by the tool's own transport has left.
    ExternalPeerLeft,
    /// The tool with its own transport ended, or was closed by the customer.
    ExternalToolEnded,
    /// Something that the session can't go on without has failed, or the agent broke the rules.
    Failed(Failure),
    /// Everything that [`Action::Shutdown`](super::Action::Shutdown) began has ended.
    ShutdownDone,
    /// Time has passed; see [`Machine::deadline`](super::Machine::deadline).
    Tick,
}
