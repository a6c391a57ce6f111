//! One session from a typed code to its end: finds the customer, establishes the link, then carries
//! the link's streams between the customer and the viewer. Reports events; every decision is the
//! agent's or the customer's.
//!
//! | file | content |
//! |------|---------|
//! | `dial` | from the code to the link |
//! | `agent_loop` | control messages and the agent's commands, until the end |
//! | `resume` | dials an interrupted link anew, until it is resumed or lost |
//! | `carriers` | the tasks that carry picture, input and clipboard |
//! | `traffic` | the report of the line |

mod agent_loop;
mod carriers;
mod dial;
mod resume;
mod traffic;

use std::{sync::Arc, time::Duration};

use etatuki_link::LinkStats;
use etatuki_protocol::{Ask, CustomerInfo, Permissions, ScreenStatus, ShownQuestion};
use etatuki_rfb::Rect;
use etatuki_trust::AgentFile;
use tokio::sync::mpsc;

use crate::{code::Code, service::Service, session_error::SessionError, viewer::ViewerHub};
use agent_loop::LinkedSession;
use dial::dial;
pub(crate) use traffic::TrafficReport;

/// Commands that may wait for a session, or for the task that runs it.
pub(crate) const COMMAND_QUEUE: usize = 16;
/// Events that may wait for the receiver of a session's events.
pub(crate) const EVENT_QUEUE: usize = 64;

/// The agent's identity, and the service that the agent uses.
#[derive(Debug)]
pub struct AgentContext {
    /// Card and key.
    pub agent: AgentFile,
    /// The service.
    pub service: Service,
    /// Time from an interruption of the link in which it can be resumed: two minutes
    /// ([`RESUME_LIMIT`](etatuki_protocol::RESUME_LIMIT)) but in tests.
    pub resume_limit: Duration,
}

/// A command of the agent for the running session.
#[derive(Debug)]
pub(crate) enum SessionCommand {
    /// Puts a question on the customer's screen.
    Ask(Ask),
    /// Sends a text to the customer's clipboard.
    Clipboard(String),
    /// Ends the session.
    End(EndReason),
}

/// The reason for which this side ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// The agent ends the session or the program.
    Agent,
    /// No page has been open for two minutes.
    NobodyWatching,
}

impl EndReason {
    /// Returns the stable name.
    const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent-ended",
            Self::NobodyWatching => "nobody-watching",
        }
    }
}

/// An event of a session.
#[derive(Debug)]
pub(crate) enum SessionEvent {
    /// The service returned the customer's location.
    Located,
    /// The link is established and both ends are authenticated. Viewers can be attached from now
    /// on.
    Linked(Arc<ViewerHub>),
    /// The link is interrupted: there is no control, and the picture is old.
    Interrupted {
        /// Time in which it can be resumed.
        left: Duration,
        /// Whether that is so long because the customer's machine may be restarting.
        restart: bool,
    },
    /// Time in which the customer's launcher comes back after a restart of the machine; `None` if it
    /// doesn't.
    Restarting { left: Option<Duration> },
    /// The link is resumed. The permissions and the picture follow.
    Resumed,
    /// The customer's computer, its backend and tool.
    Customer(Box<CustomerInfo>),
    /// The permissions from now on.
    Permissions(Permissions),
    /// A question is on the customer's screen.
    Asking(Ask),
    /// The words of the question on the customer's screen.
    Shown(Box<ShownQuestion>),
    /// The agent's question was sent.
    Asked(Ask),
    /// The customer answered a question.
    Answer {
        ask: Ask,
        allowed: bool,
        asks_left: u8,
    },
    /// The size of the customer's screen is known: a viewer gets a picture.
    Picture,
    /// The customer's desktop: columns and rows, and its screens from left to right.
    Desktop {
        size: (u16, u16),
        screens: Vec<Rect>,
    },
    /// The customer moved the pointer to this column and row.
    Pointer(u16, u16),
    /// The customer copied a text.
    Clipboard(String),
    /// Number of characters of the customer's text that the viewer can't be sent.
    ClipboardLoss(usize),
    /// The state of the customer's screen.
    Screen(ScreenStatus),
    /// The line.
    Traffic(TrafficReport),
}

/// The end of a session: the stable name of an orderly end's reason, or the failure.
pub(crate) type Outcome = Result<String, SessionError>;

/// The result of a session.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    /// The reason of an orderly end, or the failure.
    pub(crate) outcome: Outcome,
    /// Bytes on the link.
    pub(crate) stats: LinkStats,
}

/// The receiver of the customer's clipboard texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClipboardTo {
    /// The viewer, by Extended Clipboard or as RFB cut text.
    Viewer,
    /// The page, as [`SessionEvent::Clipboard`].
    Page,
}

/// Runs a session with a code.
pub(crate) async fn run(
    context: &AgentContext,
    code: Code,
    clipboard: ClipboardTo,
    commands: &mut mpsc::Receiver<SessionCommand>,
    events: &mpsc::Sender<SessionEvent>,
) -> Finished {
    let dialled = tokio::select! {
        dialled = dial(context, code, events) => dialled,
        reason = end_command(commands) => return Finished::unlinked(Ok(reason.name().into())),
    };
    let dialled = match dialled {
        Ok(dialled) => dialled,
        Err(error) => return Finished::unlinked(Err(error)),
    };
    let (session, streams) = LinkedSession::new(context, dialled, clipboard, commands, events);
    session.run(streams).await
}

impl Finished {
    /// Creates the result of a session that ended before the link was established.
    fn unlinked(outcome: Outcome) -> Self {
        Self {
            outcome,
            stats: LinkStats::default(),
        }
    }
}

/// Waits for the command that ends the session. Drops other commands: without a link there is
/// nobody to ask.
async fn end_command(commands: &mut mpsc::Receiver<SessionCommand>) -> EndReason {
    loop {
        match commands.recv().await {
            Some(SessionCommand::End(reason)) => return reason,
            Some(_) => {}
            None => return EndReason::Agent,
        }
    }
}
