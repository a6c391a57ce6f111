//! A session as windows and JSON lines show it: state, question, notices and receipt. Plain data,
//! which the machine makes anew after every change.

use etatuki_protocol::{AgentIdentity, Ask, Permissions, ScreenCondition};
use etatuki_trust::{ShownCode, UnixTime};
use serde::Serialize;

use crate::failure::Failure;

/// The states of a session, the same for all backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing runs.
    #[default]
    Closed,
    /// The plugin is being loaded and a code is being fetched.
    Opening,
    /// The code can be read aloud; nobody is connected.
    Waiting,
    /// An agent of the vendor's is connected; [`View::permissions`] says what they may do.
    Connected,
    /// The link is interrupted and may be resumed by itself; the agent sees and controls nothing.
    Interrupted,
    /// Everything is being ended.
    Closing,
    /// The session ended by a failure, which is in [`View::failure`].
    Failed,
}

/// One session at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// State of the session.
    pub state: State,
    /// Code to read aloud: only while waiting, and not between a burnt code and its successor.
    pub code: Option<ShownCode>,
    /// Agent who is connected, or was; kept until the next `Open`.
    pub agent: Option<AgentIdentity>,
    /// The agent's present permissions: none while interrupted.
    pub permissions: Permissions,
    /// Permissions that are in force again once the link is resumed; while interrupted only.
    pub kept_permissions: Permissions,
    /// Question that waits for the customer.
    pub question: Option<Question>,
    /// Whether the launcher comes back by itself if the machine is restarted now.
    pub restart_allowed: bool,
    /// Whether the launcher has come back after a restart, and waits for the agent: while
    /// interrupted only.
    pub coming_back: bool,
    /// State of the screen that the agent sees.
    pub screen: ScreenCondition,
    /// The accounting program, once the plugin is known to be able to share it alone.
    pub app_sharing: Option<AppSharing>,
    /// Notices for the customer, oldest first; the list only grows until the next `Open`.
    pub notices: Vec<Notice>,
    /// Reason why the session failed.
    pub failure: Option<Failure>,
    /// Receipt; present once an agent had connected and the session ended.
    pub receipt: Option<Receipt>,
    /// Seconds until a fresh code replaces this one; while waiting only.
    pub waiting_seconds_left: Option<u32>,
    /// Seconds until an interrupted session is given up; while interrupted only.
    pub interrupted_seconds_left: Option<u32>,
}

/// App sharing: the accounting program, whose windows can be shared alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppSharing {
    /// Name of the program.
    pub name: String,
    /// Whether the customer chose it: then nothing else is seen or used in this session.
    pub app_only: bool,
}

/// A question that waits for the customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Number for [`Command::Answer`](crate::Command::Answer); never used twice in a process.
    pub id: u32,
    /// Permission or switch that the agent asks for.
    pub ask: Ask,
    /// Seconds until the question counts as denied.
    pub seconds_left: u32,
    /// Whether an answer is already taken; not in the question's first second.
    pub answerable: bool,
}

/// A notice to the customer during a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Somebody without a valid card of the vendor's tried the code, which was replaced.
    UnauthorizedAttempt,
    /// Such attempts go on, and the code is no longer replaced: calling again is the way out.
    UnauthorizedPersists,
    /// One of the vendor's agents was refused, because this machine's clock is wrong.
    ClockWrong {
        /// Agent who tried.
        agent: AgentIdentity,
        /// Time that this machine's clock showed.
        now: UnixTime,
    },
    /// One of the vendor's agents was refused, because their card is out of its time.
    CardOutOfTime {
        /// Agent who tried.
        agent: AgentIdentity,
    },
    /// One of the vendor's agents tried a wrong code.
    WrongCodeTried {
        /// Agent who tried.
        agent: AgentIdentity,
        /// Wrong guesses that the code still survives.
        left: u8,
    },
    /// The third wrong guess made the code worthless; a fresh one comes.
    CodeBurnt {
        /// Agent who tried last.
        agent: AgentIdentity,
    },
    /// The code had waited for ten minutes and was replaced.
    CodeRenewed,
    /// A revocation list is missing or outdated, and the registry lets agents in all the same.
    RevocationsStale,
    /// The service is out of reach: the code leads nobody here until it is back.
    ServiceLost,
    /// The service is back and still knows the code.
    ServiceBack,
    /// The service is back and doesn't know the code any more; a fresh one comes.
    CodeForgotten,
    /// The link is interrupted: the agent sees and controls nothing.
    LinkInterrupted,
    /// The agent has resumed the link.
    LinkResumed,
    /// The launcher can't come back after a restart, although the customer allowed it.
    RestartNotKept,
}

impl Notice {
    /// Returns whether the notice only tells that the code was replaced, or that the service went
    /// or came back.
    pub fn is_about_code(&self) -> bool {
        matches!(
            self,
            Notice::CodeRenewed | Notice::CodeForgotten | Notice::ServiceLost | Notice::ServiceBack
        )
    }

    /// Returns the stable name, as the JSON lines and the launcher's texts use it.
    pub fn name(&self) -> &'static str {
        match self {
            Notice::UnauthorizedAttempt => "stranger-tried",
            Notice::UnauthorizedPersists => "stranger-persists",
            Notice::ClockWrong { .. } => "wrong-clock",
            Notice::CardOutOfTime { .. } => "card-out-of-time",
            Notice::WrongCodeTried { .. } => "wrong-code-tried",
            Notice::CodeBurnt { .. } => "code-burnt",
            Notice::CodeRenewed => "code-renewed",
            Notice::RevocationsStale => "revocations-warning",
            Notice::ServiceLost => "service-lost",
            Notice::ServiceBack => "service-back",
            Notice::CodeForgotten => "code-forgotten",
            Notice::LinkInterrupted => "interrupted",
            Notice::LinkResumed => "resumed",
            Notice::RestartNotKept => "restart-not-kept",
        }
    }
}

/// A summary of a session that an agent had joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Agent who was connected.
    pub agent: AgentIdentity,
    /// Seconds for which the agent could see the screen, rounded up.
    pub viewed_seconds: u64,
    /// Seconds for which the agent could use mouse and keyboard, rounded up.
    pub controlled_seconds: u64,
    /// Name of the program that was shared alone, if the customer chose that.
    pub program: Option<String>,
    /// Id of the backend that the customer allowed to switch to, and that is to be opened next.
    pub switch_to: Option<String>,
}
