//! What a session looks like from outside: the states, the questions and the receipt that a window or
//! the JSON-lines front shows. Plain data, made anew by the machine after every change.

use etatuki_protocol::{AgentIdentity, Ask, Permissions, UsableBackend};
use etatuki_trust::ShownCode;
use serde::Serialize;

/// What the customer can do, or the launcher for him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open the connection: ask for a code. Also after `Closed` and `Failed`.
    Open,
    /// End the session, whatever it is doing.
    Close,
    /// Answer the question with this id. Ignored when that question isn't open (any more), and in the
    /// first second after it appeared.
    Answer {
        /// [`Question::id`].
        question: u32,
        /// Whether the customer allows what was asked.
        allow: bool,
    },
    /// Allow what the question with this id asks, which is to look on, but let only the program be seen and
    /// used. Ignored as `Answer` is, and where [`View::app_sharing`] doesn't offer it.
    AllowAppOnly {
        /// [`Question::id`].
        question: u32,
    },
    /// Take control back; looking on stays allowed.
    TakeBack,
    /// The display that windows and bar are on has died, and with it whoever could be asked: fails the session.
    DisplayLost,
    /// Replaces [`SessionConfig::others`](crate::SessionConfig::others): the launcher may find out
    /// what else is usable here while the code is waiting already.
    OtherBackends(Vec<UsableBackend>),
}

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
    /// An agent of the vendor's is connected; what he may do is in [`View::permissions`].
    Connected,
    /// The link dropped and may come back by itself.
    Interrupted,
    /// Everything is being ended.
    Closing,
    /// It ended by a failure, which is in [`View::failure`].
    Failed,
}

/// One session as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The state.
    pub state: State,
    /// The code to read aloud: only while waiting, and not between a burnt code and its successor.
    pub code: Option<ShownCode>,
    /// Who is connected, or was (kept until the next `Open`).
    pub agent: Option<AgentIdentity>,
    /// What the agent may do now.
    pub permissions: Permissions,
    /// The question that waits for the customer.
    pub question: Option<Question>,
    /// The program that can be shared alone; there once the plugin is known to be able to do that.
    pub app_sharing: Option<AppSharing>,
    /// What happened that the customer must know, oldest first; it only grows until the next `Open`.
    pub notices: Vec<Notice>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Who looked and who controlled for how long; there once an agent had connected and it ended.
    pub receipt: Option<Receipt>,
    /// Seconds until the code is replaced by a fresh one; while waiting only.
    pub waiting_seconds_left: Option<u32>,
    /// Seconds until an interrupted session is given up; while interrupted only.
    pub interrupted_seconds_left: Option<u32>,
}

/// The program that can be shared alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppSharing {
    /// Its name.
    pub name: String,
    /// The customer chose that: nothing else is seen or used in this session.
    pub app_only: bool,
}

/// A question that waits for the customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Names this question in [`Command::Answer`]; never used twice in a process.
    pub id: u32,
    /// What is asked.
    pub ask: Ask,
    /// Seconds until it counts as denied.
    pub seconds_left: u32,
    /// Whether an answer is taken already; not in its first second.
    pub answerable: bool,
}

/// Something the customer must know although the session goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Somebody without a valid card of the vendor's tried the code.
    UnauthorizedAttempt,
    /// One of the vendor's agents tried with a wrong code.
    WrongCodeTried {
        /// Who.
        agent: AgentIdentity,
        /// How many wrong tries the code still stands.
        left: u8,
    },
    /// The third wrong try: the code is worthless, a new one comes.
    CodeBurnt {
        /// Who tried last.
        agent: AgentIdentity,
    },
    /// The code had waited for ten minutes and was replaced.
    CodeRenewed,
    /// The service is out of reach: nobody can be led here by the code until it is back.
    ServiceLost,
    /// It is back, and still knows the code.
    ServiceBack,
    /// It is back, and doesn't know the code any more: a new one comes.
    CodeForgotten,
}

impl Notice {
    /// The stable name, as the JSON lines and the launcher's texts use it.
    pub fn name(&self) -> &'static str {
        match self {
            Notice::UnauthorizedAttempt => "stranger-tried",
            Notice::WrongCodeTried { .. } => "wrong-code-tried",
            Notice::CodeBurnt { .. } => "code-burnt",
            Notice::CodeRenewed => "code-renewed",
            Notice::ServiceLost => "service-lost",
            Notice::ServiceBack => "service-back",
            Notice::CodeForgotten => "code-forgotten",
        }
    }
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The launcher's or its plugin's.
    Ours,
    /// The installed tool's, or the display's that it needs.
    Tool,
    /// The network's or the service's.
    Network,
    /// The agent's program broke the rules.
    Agent,
    /// The installation is wrong: a plugin that isn't there, isn't trusted or doesn't fit.
    Setup,
}

/// The stable names of failures. Every one has a sentence per language in the launcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(
    missing_docs,
    reason = "the names are the documentation; docs/session.md lists them in words"
)]
pub enum FailureName {
    ServiceUnreachable,
    ServiceError,
    NoNameplate,
    DisplayMissing,
    DisplayUnsupported,
    DisplayLost,
    ToolMissing,
    ToolTooOld,
    ToolDied,
    ToolFailed,
    RegistryBroken,
    PluginMissing,
    PluginRefused,
    PluginWrongVersion,
    PluginDied,
    PluginHung,
    PluginFailed,
    LinkFailed,
    LinkLost,
    AgentMisbehaved,
    Internal,
}

impl FailureName {
    /// All of them, for tables of texts and of exit codes.
    pub const ALL: [FailureName; 21] = [
        FailureName::ServiceUnreachable,
        FailureName::ServiceError,
        FailureName::NoNameplate,
        FailureName::DisplayMissing,
        FailureName::DisplayUnsupported,
        FailureName::DisplayLost,
        FailureName::ToolMissing,
        FailureName::ToolTooOld,
        FailureName::ToolDied,
        FailureName::ToolFailed,
        FailureName::RegistryBroken,
        FailureName::PluginMissing,
        FailureName::PluginRefused,
        FailureName::PluginWrongVersion,
        FailureName::PluginDied,
        FailureName::PluginHung,
        FailureName::PluginFailed,
        FailureName::LinkFailed,
        FailureName::LinkLost,
        FailureName::AgentMisbehaved,
        FailureName::Internal,
    ];

    /// The name as it is written everywhere: `tool-missing`.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureName::ServiceUnreachable => "service-unreachable",
            FailureName::ServiceError => "service-error",
            FailureName::NoNameplate => "no-nameplate",
            FailureName::DisplayMissing => "display-missing",
            FailureName::DisplayUnsupported => "display-unsupported",
            FailureName::DisplayLost => "display-lost",
            FailureName::ToolMissing => "tool-missing",
            FailureName::ToolTooOld => "tool-too-old",
            FailureName::ToolDied => "tool-died",
            FailureName::ToolFailed => "tool-failed",
            FailureName::RegistryBroken => "registry-broken",
            FailureName::PluginMissing => "plugin-missing",
            FailureName::PluginRefused => "plugin-refused",
            FailureName::PluginWrongVersion => "plugin-wrong-version",
            FailureName::PluginDied => "plugin-died",
            FailureName::PluginHung => "plugin-hung",
            FailureName::PluginFailed => "plugin-failed",
            FailureName::LinkFailed => "link-failed",
            FailureName::LinkLost => "link-lost",
            FailureName::AgentMisbehaved => "agent-misbehaved",
            FailureName::Internal => "internal",
        }
    }

    /// The failure of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// Whose fault a failure of this name is.
    pub fn fault(self) -> Fault {
        match self {
            FailureName::ServiceUnreachable
            | FailureName::ServiceError
            | FailureName::NoNameplate
            | FailureName::LinkFailed
            | FailureName::LinkLost => Fault::Network,
            FailureName::DisplayMissing
            | FailureName::DisplayUnsupported
            | FailureName::DisplayLost
            | FailureName::ToolMissing
            | FailureName::ToolTooOld
            | FailureName::ToolDied
            | FailureName::ToolFailed => Fault::Tool,
            FailureName::RegistryBroken
            | FailureName::PluginMissing
            | FailureName::PluginRefused
            | FailureName::PluginWrongVersion => Fault::Setup,
            FailureName::PluginDied
            | FailureName::PluginHung
            | FailureName::PluginFailed
            | FailureName::Internal => Fault::Ours,
            FailureName::AgentMisbehaved => Fault::Agent,
        }
    }
}

/// Why a session failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The stable name; the launcher has the sentence for it.
    pub name: FailureName,
    /// What exactly happened, in English, for the log and for support. No secrets.
    pub detail: String,
}

impl Failure {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        self.name.fault()
    }
}

/// What was done in a session that an agent had joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Who it was.
    pub agent: AgentIdentity,
    /// For how long he could see the screen.
    pub viewed_seconds: u64,
    /// For how long he could use mouse and keyboard.
    pub controlled_seconds: u64,
    /// The backend that the customer allowed to switch to: open that one next.
    pub switch_to: Option<String>,
}
