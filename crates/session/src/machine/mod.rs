//! The session's state machine: what happened and what time it is goes in, what is to be done comes
//! out. No clock, no sockets, no randomness; `docs/session.md` has the drawing, and `tests.rs` has a
//! test for every edge of it.
//!
//! Times are [`Duration`]s since any fixed moment, and never go backwards.

mod consent;
mod deadline;
#[cfg(test)]
mod tests;

use std::time::Duration;

use etatuki_protocol::{AgentIdentity, Ask, Permissions, ToAgent, UsableBackend};
use etatuki_trust::ShownCode;

use crate::view::{AppSharing, Command, Failure, FailureName, Notice, State, View};
use consent::{AnswerOutcome, Consent};

pub use consent::{ANSWER_DELAY, MAX_DENIALS, QUESTION_TIMEOUT};

/// A code that waited this long is replaced by a fresh one.
pub const CODE_LIFETIME: Duration = Duration::from_secs(600);
/// Wrong guesses that a code survives, and one more burns it.
pub const MAX_WRONG_GUESSES: u8 = 3;
/// Opening, all in all. Its parts have shorter limits of their own; this one only backs them up.
pub const OPENING_TIMEOUT: Duration = Duration::from_secs(15);
/// Shutting down, all in all: then whatever is left is dropped and killed.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// When the tool's socket ends, its plugin has this long to say why, before we say `tool-died`.
pub const STREAM_CLOSED_GRACE: Duration = Duration::from_millis(500);
/// Notices that are kept.
pub const MAX_NOTICES: usize = 256;
/// Notices of unauthorized attempts: a flood of them is known by the first ones, and must not hide an agent's name.
pub const MAX_UNAUTHORIZED_NOTICES: usize = 8;

/// What is fixed for the machine's life.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Ids of the other backends that are usable here: what an agent may ask to switch to.
    pub switchable: Vec<String>,
    /// How long a dropped link may take to come back; `None` while resuming isn't built: a dropped
    /// link then ends the session at once.
    pub resume: Option<Duration>,
    /// The name of the program that might be shared alone.
    pub app_name: Option<String>,
    /// The tool brings its own transport: no link, no agent of ours, no question.
    pub external_transport: bool,
}

/// What the loaded plugin has said of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbedPlugin {
    /// It drives a tool. Without one, whatever breaks is the plugin's own fault.
    pub has_tool: bool,
    /// It takes keys and pointer. Without them, control is refused and nobody is asked.
    pub takes_input: bool,
    /// It can share one program alone.
    pub supports_app_sharing: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The customer did something.
    Command(Command),
    /// The plugin is open, and the code is registered: it can be read aloud.
    CodeReady,
    /// The plugin is loaded and usable.
    PluginProbed(ProbedPlugin),
    /// An attempt came to nothing before it counted.
    AttemptAborted,
    /// Somebody without a valid card tried.
    UnauthorizedAttempt,
    /// An agent tried a wrong code.
    WrongGuess(AgentIdentity),
    /// The service is out of reach while the code waits.
    ServiceLost,
    /// It is back, and knows the code.
    ServiceBack,
    /// It is back, and doesn't know the code.
    CodeForgotten,
    /// An agent with a valid card and the right code is there.
    Authenticated(AgentIdentity),
    /// The agent asks for a permission.
    Asked(Ask),
    /// The agent ended the session.
    AgentEnded,
    /// The link dropped.
    LinkLost,
    /// The same agent is back on a new link.
    Resumed,
    /// The tool's or plugin's end of the RFB socket was closed.
    PluginStreamClosed,
    /// Somebody has connected by the tool's own transport.
    ExternalPeerConnected,
    /// Whoever had connected by the tool's own transport has left.
    ExternalPeerLeft,
    /// The tool with its own transport ended, or was closed by the customer.
    ExternalToolEnded,
    /// Something that the session can't go on without has failed; also an agent's breach of the rules.
    Failed(Failure),
    /// Everything that [`Action::Shutdown`] began has ended.
    ShutdownDone,
    /// Time passed; see [`Machine::deadline`].
    Tick,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start the plugin host and fetch a code, at the same time; then [`Event::CodeReady`].
    Start,
    /// The code isn't good any more: end attempts with it, forget it, delete its nameplate.
    DropCode,
    /// Fetch a fresh code and hand it to the plugin; then [`Event::CodeReady`].
    MintCode,
    /// Take one attempt with the present code; then an event that says how it went.
    AcceptAttempt,
    /// The nameplate has served: delete it at the service.
    DeleteNameplate,
    /// Say to the agent what is installed here.
    SendCustomerInfo,
    /// Say this to the agent.
    SendToAgent(ToAgent),
    /// Let through this and no more; the gate first, then the plugin.
    SetPermissions(Permissions),
    /// Drop the agent's input while `true`: a question is on the screen.
    BlockInput(bool),
    /// Release every key and button that the agent holds down.
    ReleaseInput,
    /// Have the plugin show the program alone, in every picture that is connected from now on.
    RestrictToApp,
    /// Connect the plugin's picture, afresh.
    AttachPicture,
    /// End everything, in order and with limits; then [`Event::ShutdownDone`].
    Shutdown {
        /// Why, for the agent's program.
        reason: String,
    },
    /// The limit for that is over: drop and kill whatever is left.
    ForceStop,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    phase: Phase,
    /// Who is or was connected; until the next `Open`.
    consent: Option<Consent>,
    notices: Vec<Notice>,
    failure: Option<Failure>,
    questions: u32,
    /// `None` until the plugin is loaded.
    probed: Option<ProbedPlugin>,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Closed,
    Opening {
        since: Duration,
    },
    Waiting(Waiting),
    /// The code of a tool with its own transport is out, or somebody has connected by it.
    External {
        connected: bool,
    },
    Connected {
        stream_closed: Option<Duration>,
    },
    Interrupted {
        until: Duration,
    },
    Closing(Teardown),
    Failed(Option<Teardown>),
}

#[derive(Clone, Debug, PartialEq)]
struct Waiting {
    since: Duration,
    wrong_guesses: u8,
    /// The old code was dropped and the new one isn't there yet.
    minting: bool,
}

/// Things that are being ended, while the state already says `closing` or `failed`.
#[derive(Clone, Debug, PartialEq)]
struct Teardown {
    until: Duration,
    /// The customer has asked to open again meanwhile.
    reopen: bool,
}

type Actions = Vec<Action>;

impl Machine {
    /// A closed session.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            phase: Phase::Closed,
            consent: None,
            notices: Vec::new(),
            failure: None,
            questions: 0,
            probed: None,
        }
    }

    /// The state by its public name.
    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Closed => State::Closed,
            Phase::Opening { .. } => State::Opening,
            Phase::Waiting(_) | Phase::External { connected: false } => State::Waiting,
            Phase::Connected { .. } | Phase::External { connected: true } => State::Connected,
            Phase::Interrupted { .. } => State::Interrupted,
            Phase::Closing(_) => State::Closing,
            Phase::Failed(_) => State::Failed,
        }
    }

    /// Whether nothing is running any more: the state is `closed` or `failed`, and all is released.
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Closed | Phase::Failed(None))
    }

    /// Takes one event in. An event that means nothing in the present state does nothing.
    pub fn handle(&mut self, event: Event, now: Duration) -> Actions {
        match event {
            Event::Command(command) => self.command(command, now),
            Event::CodeReady => self.code_ready(now),
            Event::PluginProbed(probed) => {
                self.probed = Some(probed);
                vec![]
            }
            Event::AttemptAborted => self.attempt_aborted(),
            Event::UnauthorizedAttempt => self.unauthorized_attempt(),
            Event::WrongGuess(agent) => self.wrong_guess(agent, now),
            Event::ServiceLost => self.service_changed(Notice::ServiceLost),
            Event::ServiceBack => self.service_changed(Notice::ServiceBack),
            Event::CodeForgotten => self.code_forgotten(now),
            Event::Authenticated(agent) => self.authenticated(agent, now),
            Event::Asked(ask) => self.permission_asked(ask, now),
            Event::AgentEnded => self.agent_ended(now),
            Event::LinkLost => self.link_lost(now),
            Event::Resumed => self.resumed(now),
            Event::PluginStreamClosed => self.stream_closed(now),
            Event::ExternalPeerConnected => self.external_peer(true),
            Event::ExternalPeerLeft => self.external_peer(false),
            Event::ExternalToolEnded => self.external_tool_ended(now),
            Event::Failed(failure) => self.fail(failure, now),
            Event::ShutdownDone => self.shutdown_done(now),
            Event::Tick => self.tick(now),
        }
    }

    /// The session as a window shows it. `code` is shown only where the state lets it be seen.
    pub fn view(&self, now: Duration, code: Option<&ShownCode>) -> View {
        let code_is_out = self.accepts_attempts() || matches!(self.phase, Phase::External { .. });
        let over = matches!(
            self.phase,
            Phase::Closed | Phase::Closing(_) | Phase::Failed(_)
        );
        let consent = self.consent.as_ref();
        View {
            state: self.state(),
            code: code.filter(|_| code_is_out).cloned(),
            agent: consent.map(|consent| consent.agent.clone()),
            permissions: consent.map(Consent::permissions).unwrap_or_default(),
            question: consent.and_then(|consent| consent.question(now)),
            app_sharing: self.app_sharing(),
            notices: self.notices.clone(),
            failure: self.failure.clone(),
            receipt: consent.filter(|_| over).map(|consent| consent.receipt(now)),
            waiting_seconds_left: self
                .code_expires_at()
                .map(|due| deadline::seconds_left(due, now)),
            interrupted_seconds_left: self
                .resume_deadline()
                .map(|due| deadline::seconds_left(due, now)),
        }
    }

    fn command(&mut self, command: Command, now: Duration) -> Actions {
        match command {
            Command::Open => self.open(now),
            Command::Close => self.close(now),
            Command::Answer { question, allow } => self.answer(question, allow, now),
            Command::AllowAppOnly { question } => self.allow_app_only(question, now),
            Command::TakeBack => self.take_back(now),
            Command::DisplayLost => self.fail(display_lost(), now),
            Command::OtherBackends(others) => self.set_other_backends(&others),
        }
    }

    fn open(&mut self, now: Duration) -> Actions {
        match &mut self.phase {
            Phase::Closed | Phase::Failed(None) => {
                self.consent = None;
                self.notices.clear();
                self.failure = None;
                self.probed = None;
                self.phase = Phase::Opening { since: now };
                vec![Action::Start]
            }
            Phase::Closing(teardown) | Phase::Failed(Some(teardown)) => {
                teardown.reopen = true;
                vec![]
            }
            _ => vec![],
        }
    }

    fn close(&mut self, now: Duration) -> Actions {
        match &mut self.phase {
            Phase::Closed | Phase::Failed(None) => vec![],
            Phase::Closing(teardown) | Phase::Failed(Some(teardown)) => {
                teardown.reopen = false;
                vec![]
            }
            _ => self.shut_down("customer-closed", now),
        }
    }

    fn code_ready(&mut self, now: Duration) -> Actions {
        let coming = match &self.phase {
            Phase::Opening { .. } => true,
            Phase::Waiting(waiting) => waiting.minting,
            _ => false,
        };
        if !coming {
            return vec![];
        }
        if self.settings.external_transport {
            self.phase = Phase::External { connected: false };
            return vec![];
        }
        self.phase = Phase::Waiting(Waiting {
            since: now,
            wrong_guesses: 0,
            minting: false,
        });
        vec![Action::AcceptAttempt]
    }

    fn attempt_aborted(&mut self) -> Actions {
        if self.accepts_attempts() {
            vec![Action::AcceptAttempt]
        } else {
            vec![]
        }
    }

    fn unauthorized_attempt(&mut self) -> Actions {
        if !self.accepts_attempts() {
            return vec![];
        }
        let strangers = self
            .notices
            .iter()
            .filter(|notice| **notice == Notice::UnauthorizedAttempt);
        if strangers.count() < MAX_UNAUTHORIZED_NOTICES {
            self.add_notice(Notice::UnauthorizedAttempt);
        }
        vec![Action::AcceptAttempt]
    }

    fn wrong_guess(&mut self, agent: AgentIdentity, now: Duration) -> Actions {
        let Phase::Waiting(waiting) = &mut self.phase else {
            return vec![];
        };
        if waiting.minting {
            return vec![];
        }
        waiting.wrong_guesses += 1;
        let left = MAX_WRONG_GUESSES.saturating_sub(waiting.wrong_guesses);
        if left > 0 {
            self.add_notice(Notice::WrongCodeTried { agent, left });
            return vec![Action::AcceptAttempt];
        }
        self.add_notice(Notice::CodeBurnt { agent });
        self.renew_code(now)
    }

    /// The customer reads it; the code waits on.
    fn service_changed(&mut self, notice: Notice) -> Actions {
        if self.accepts_attempts() {
            self.add_notice(notice);
        }
        vec![]
    }

    fn code_forgotten(&mut self, now: Duration) -> Actions {
        if !self.accepts_attempts() {
            return vec![];
        }
        self.add_notice(Notice::CodeForgotten);
        self.renew_code(now)
    }

    fn renew_code(&mut self, now: Duration) -> Actions {
        self.phase = Phase::Waiting(Waiting {
            since: now,
            wrong_guesses: 0,
            minting: true,
        });
        vec![Action::DropCode, Action::MintCode]
    }

    fn accepts_attempts(&self) -> bool {
        matches!(&self.phase, Phase::Waiting(waiting) if !waiting.minting)
    }

    fn authenticated(&mut self, agent: AgentIdentity, now: Duration) -> Actions {
        if !self.accepts_attempts() {
            return vec![];
        }
        self.phase = Phase::Connected {
            stream_closed: None,
        };
        let consent = self.consent.insert(Consent::new(agent));
        let mut actions = vec![Action::DeleteNameplate, Action::SendCustomerInfo];
        self.questions += 1;
        actions.extend(consent.ask(Ask::View, self.questions, now));
        actions
    }

    fn permission_asked(&mut self, ask: Ask, now: Duration) -> Actions {
        let (Phase::Connected { .. }, Some(consent)) = (&self.phase, &mut self.consent) else {
            return vec![];
        };
        let possible = match &ask {
            Ask::View => true,
            Ask::Control => self.probed.is_none_or(|probed| probed.takes_input),
            Ask::Switch { backend } => self.settings.switchable.contains(backend),
        };
        if !possible {
            return vec![consent.refusal(ask)];
        }
        self.questions += 1;
        consent.ask(ask, self.questions, now)
    }

    fn answer(&mut self, question: u32, allow: bool, now: Duration) -> Actions {
        let (Phase::Connected { .. }, Some(consent)) = (&self.phase, &mut self.consent) else {
            return vec![];
        };
        match consent.answer(question, allow, now) {
            AnswerOutcome::Ignored => vec![],
            AnswerOutcome::Continue(actions) => actions,
            AnswerOutcome::Switch(mut actions) => {
                actions.extend(self.shut_down("switch", now));
                actions
            }
        }
    }

    /// The program that can be shared alone, and whether it is.
    pub fn app_sharing(&self) -> Option<AppSharing> {
        let limits = self
            .probed
            .is_some_and(|probed| probed.supports_app_sharing);
        let name = self.settings.app_name.as_ref().filter(|_| limits)?;
        Some(AppSharing {
            name: name.clone(),
            app_only: self
                .consent
                .as_ref()
                .is_some_and(|consent| consent.app_only),
        })
    }

    fn allow_app_only(&mut self, question: u32, now: Duration) -> Actions {
        let offered = self.app_sharing().is_some();
        match (&self.phase, &mut self.consent) {
            (Phase::Connected { .. }, Some(consent)) if offered => {
                consent.allow_app_only(question, now)
            }
            _ => vec![],
        }
    }

    fn take_back(&mut self, now: Duration) -> Actions {
        match (&self.phase, &mut self.consent) {
            (Phase::Connected { .. } | Phase::Interrupted { .. }, Some(consent)) => {
                consent.take_back(now)
            }
            _ => vec![],
        }
    }

    fn set_other_backends(&mut self, others: &[UsableBackend]) -> Actions {
        let usable = others.iter().filter(|other| other.usable);
        self.settings.switchable = usable.map(|other| other.id.clone()).collect();
        if matches!(self.phase, Phase::Connected { .. }) {
            vec![Action::SendCustomerInfo]
        } else {
            vec![]
        }
    }

    fn agent_ended(&mut self, now: Duration) -> Actions {
        match self.phase {
            Phase::Connected { .. } | Phase::Interrupted { .. } => {
                self.shut_down("agent-ended", now)
            }
            _ => vec![],
        }
    }

    fn link_lost(&mut self, now: Duration) -> Actions {
        let (Phase::Connected { .. }, Some(consent)) = (&self.phase, &mut self.consent) else {
            return vec![];
        };
        match self.settings.resume {
            Some(limit) => {
                self.phase = Phase::Interrupted { until: now + limit };
                consent.interrupt(now)
            }
            None => self.fail(link_lost("the link to the agent dropped"), now),
        }
    }

    fn resumed(&mut self, now: Duration) -> Actions {
        let (Phase::Interrupted { .. }, Some(consent)) = (&self.phase, &mut self.consent) else {
            return vec![];
        };
        self.phase = Phase::Connected {
            stream_closed: None,
        };
        consent.resume(now)
    }

    fn stream_closed(&mut self, now: Duration) -> Actions {
        if let Phase::Connected { stream_closed } = &mut self.phase {
            stream_closed.get_or_insert(now + STREAM_CLOSED_GRACE);
        }
        vec![]
    }

    /// The name of a failure of the picture's socket: `tool` where a tool serves it, else the plugin's own.
    pub fn picture_fault(&self, tool_failure: FailureName) -> FailureName {
        match self.probed {
            Some(ProbedPlugin {
                has_tool: false, ..
            }) => FailureName::PluginFailed,
            _ => tool_failure,
        }
    }

    fn external_peer(&mut self, now_connected: bool) -> Actions {
        if let Phase::External { connected } = &mut self.phase {
            *connected = now_connected;
        }
        vec![]
    }

    fn external_tool_ended(&mut self, now: Duration) -> Actions {
        match self.phase {
            Phase::External { .. } => self.shut_down("tool-ended", now),
            _ => vec![],
        }
    }

    fn fail(&mut self, failure: Failure, now: Duration) -> Actions {
        if matches!(
            self.phase,
            Phase::Closed | Phase::Closing(_) | Phase::Failed(_)
        ) {
            return vec![];
        }
        let actions = self.shut_down(failure.name.as_str(), now);
        self.failure = Some(failure);
        self.phase = Phase::Failed(Some(Teardown {
            until: now + SHUTDOWN_TIMEOUT,
            reopen: false,
        }));
        actions
    }

    /// The stop order. What the agent holds is released while there is still something to release it
    /// in; then nothing is permitted; then the agent hears it; then everything ends.
    fn shut_down(&mut self, reason: &str, now: Duration) -> Actions {
        let mut actions = vec![];
        if let Some(consent) = &mut self.consent {
            actions.extend(consent.end(now));
            actions.push(Action::SendToAgent(ToAgent::Ended {
                reason: reason.to_owned(),
            }));
        }
        if matches!(self.phase, Phase::Opening { .. } | Phase::Waiting(_)) {
            actions.push(Action::DropCode);
        }
        actions.push(Action::Shutdown {
            reason: reason.to_owned(),
        });
        self.phase = Phase::Closing(Teardown {
            until: now + SHUTDOWN_TIMEOUT,
            reopen: false,
        });
        actions
    }

    fn shutdown_done(&mut self, now: Duration) -> Actions {
        let (teardown, rest) = match &self.phase {
            Phase::Closing(teardown) => (teardown, Phase::Closed),
            Phase::Failed(Some(teardown)) => (teardown, Phase::Failed(None)),
            _ => return vec![],
        };
        let reopen = teardown.reopen;
        self.phase = rest;
        if reopen { self.open(now) } else { vec![] }
    }

    fn tick(&mut self, now: Duration) -> Actions {
        match &self.phase {
            Phase::Opening { since } if now >= *since + OPENING_TIMEOUT => {
                self.fail(too_slow(), now)
            }
            Phase::Waiting(waiting)
                if waiting.minting && now >= waiting.since + OPENING_TIMEOUT =>
            {
                self.fail(too_slow(), now)
            }
            Phase::Waiting(_) if self.code_expires_at().is_some_and(|due| now >= due) => {
                self.add_notice(Notice::CodeRenewed);
                self.renew_code(now)
            }
            Phase::Connected {
                stream_closed: Some(due),
            } if now >= *due => {
                let detail = "its end of the picture's socket was closed".to_owned();
                self.fail(
                    Failure {
                        name: self.picture_fault(FailureName::ToolDied),
                        detail,
                    },
                    now,
                )
            }
            Phase::Connected { .. } => self
                .consent
                .as_mut()
                .map(|consent| consent.tick(now))
                .unwrap_or_default(),
            Phase::Interrupted { until } if now >= *until => {
                self.fail(link_lost("the link didn't come back in time"), now)
            }
            Phase::Closing(teardown) | Phase::Failed(Some(teardown)) if now >= teardown.until => {
                let mut actions = vec![Action::ForceStop];
                actions.extend(self.shutdown_done(now));
                actions
            }
            _ => vec![],
        }
    }

    fn add_notice(&mut self, notice: Notice) {
        if self.notices.len() < MAX_NOTICES {
            self.notices.push(notice);
        }
    }
}

fn display_lost() -> Failure {
    Failure {
        name: FailureName::DisplayLost,
        detail: "the display of the session's windows died".to_owned(),
    }
}

fn too_slow() -> Failure {
    let detail = format!("opening took longer than {} s", OPENING_TIMEOUT.as_secs());
    Failure {
        name: FailureName::Internal,
        detail,
    }
}

fn link_lost(detail: &str) -> Failure {
    Failure {
        name: FailureName::LinkLost,
        detail: detail.to_owned(),
    }
}
