//! The session's state machine: what happened and what time it is goes in, what is to be done comes
//! out. No clock, no sockets, no randomness; `docs/session.md` has the drawing, and `tests.rs` has a
//! test for every edge of it.
//!
//! Times are [`Duration`]s since any fixed moment, and never go backwards.

mod deadline;
#[cfg(test)]
mod tests;
mod visit;

use std::time::Duration;

use etatuki_protocol::{AgentIdentity, Ask, Permissions, ToAgent, UsableBackend};
use etatuki_trust::ShownCode;

use crate::view::{Command, FailureName, FailureView, Notice, Sharing, State, View};
use visit::{Answered, Visit};

pub use visit::{ASKS, QUESTION_HOLD, QUESTION_LIMIT};

/// A code that waited this long is replaced by a fresh one.
pub const WAITING_LIMIT: Duration = Duration::from_secs(600);
/// Wrong guesses that a code survives, and one more burns it.
pub const GUESSES: u8 = 3;
/// Opening, all in all. Its parts have shorter limits of their own; this one only backs them up.
pub const OPENING_LIMIT: Duration = Duration::from_secs(15);
/// Ending, all in all: then whatever is left is dropped and killed.
pub const ENDING_LIMIT: Duration = Duration::from_secs(2);
/// When the tool's socket ends, its plugin has this long to say why, before we say `tool-died`.
pub const TOOL_GONE_GRACE: Duration = Duration::from_millis(500);
/// Notices that are kept.
pub const MAX_NOTICES: usize = 256;
/// Strangers that are told of: a flood of them is known by the first ones, and must not hide an agent's name.
pub const MAX_STRANGERS: usize = 8;

/// What is fixed for the machine's life.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Ids of the other backends that are usable here: what an agent may ask to switch to.
    pub switchable: Vec<String>,
    /// How long a dropped link may take to come back; `None` while resuming isn't built: a dropped
    /// link then ends the session at once.
    pub resume: Option<Duration>,
    /// The name of the program that might be shared alone.
    pub program: Option<String>,
    /// The tool brings its own transport: no link, no agent of ours, no question.
    pub own_transport: bool,
}

/// What the loaded plugin has said of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// It drives a tool. Without one, whatever breaks is the plugin's own fault.
    pub tool: bool,
    /// It takes keys and pointer. Without them, control is refused and nobody is asked.
    pub input: bool,
    /// It can share one program alone.
    pub limits: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The customer did something.
    Command(Command),
    /// The plugin is open, and the code is registered: it can be read aloud.
    Ready,
    /// The plugin is loaded and usable.
    Probed(Probed),
    /// An attempt came to nothing before it counted.
    Noise,
    /// Somebody without a valid card tried.
    Stranger,
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
    ToolGone,
    /// Somebody has connected by the tool's own transport, or left.
    OwnConnected(bool),
    /// The tool with its own transport was ended, by the customer say.
    OwnEnded,
    /// Something that the session can't go on without has failed; also an agent's breach of the rules.
    Failed(FailureView),
    /// Everything that [`Action::Shutdown`] began has ended.
    Released,
    /// Time passed; see [`Machine::deadline`].
    Tick,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start the plugin host and fetch a code, at the same time; then [`Event::Ready`].
    Prepare,
    /// The code isn't good any more: end attempts with it, forget it, delete its nameplate.
    DropCode,
    /// Fetch a fresh code and hand it to the plugin; then [`Event::Ready`].
    Mint,
    /// Take one attempt with the present code; then an event that says how it went.
    Accept,
    /// The nameplate has served: delete it at the service.
    DeleteNameplate,
    /// Say to the agent what is installed here.
    Introduce,
    /// Say this to the agent.
    Tell(ToAgent),
    /// Let through this and no more; the gate first, then the plugin.
    Permit(Permissions),
    /// Drop the agent's input while `true`: a question is on the screen.
    Mute(bool),
    /// Release every key and button that the agent holds down.
    ReleaseInput,
    /// Have the plugin show the program alone, in every picture that is connected from now on.
    Limit,
    /// Connect the plugin's picture, afresh.
    Attach,
    /// End everything, in order and with limits; then [`Event::Released`].
    Shutdown {
        /// Why, for the agent's program.
        reason: String,
    },
    /// The limit for that is over: drop and kill whatever is left.
    Abandon,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    phase: Phase,
    /// Who is or was connected; until the next `Open`.
    visit: Option<Visit>,
    notices: Vec<Notice>,
    failure: Option<FailureView>,
    questions: u32,
    /// `None` until the plugin is loaded.
    probed: Option<Probed>,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Closed,
    Opening {
        since: Duration,
    },
    Waiting(Waiting),
    /// The code of a tool with its own transport is out, or somebody has connected by it.
    Own {
        connected: bool,
    },
    Connected {
        tool_gone: Option<Duration>,
    },
    Interrupted {
        until: Duration,
    },
    Closing(Ending),
    Failed(Option<Ending>),
}

#[derive(Clone, Debug, PartialEq)]
struct Waiting {
    since: Duration,
    guesses: u8,
    /// The old code was dropped and the new one isn't there yet.
    minting: bool,
}

/// Things that are being ended, while the state already says `closing` or `failed`.
#[derive(Clone, Debug, PartialEq)]
struct Ending {
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
            visit: None,
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
            Phase::Waiting(_) | Phase::Own { connected: false } => State::Waiting,
            Phase::Connected { .. } | Phase::Own { connected: true } => State::Connected,
            Phase::Interrupted { .. } => State::Interrupted,
            Phase::Closing(_) => State::Closing,
            Phase::Failed(_) => State::Failed,
        }
    }

    /// Whether nothing is running any more: the state is `closed` or `failed`, and all is released.
    pub fn at_rest(&self) -> bool {
        matches!(self.phase, Phase::Closed | Phase::Failed(None))
    }

    /// Takes one event in. An event that means nothing in the present state does nothing.
    pub fn handle(&mut self, event: Event, now: Duration) -> Actions {
        match event {
            Event::Command(command) => self.command(command, now),
            Event::Ready => self.ready(now),
            Event::Probed(probed) => {
                self.probed = Some(probed);
                vec![]
            }
            Event::Noise => self.noise(),
            Event::Stranger => self.stranger(),
            Event::WrongGuess(agent) => self.wrong_guess(agent, now),
            Event::ServiceLost => self.service(Notice::ServiceLost),
            Event::ServiceBack => self.service(Notice::ServiceBack),
            Event::CodeForgotten => self.code_forgotten(now),
            Event::Authenticated(agent) => self.authenticated(agent, now),
            Event::Asked(ask) => self.asked(ask, now),
            Event::AgentEnded => self.agent_ended(now),
            Event::LinkLost => self.link_lost(now),
            Event::Resumed => self.resumed(now),
            Event::ToolGone => self.tool_gone(now),
            Event::OwnConnected(connected) => self.own_connected(connected),
            Event::OwnEnded => self.own_ended(now),
            Event::Failed(failure) => self.fail(failure, now),
            Event::Released => self.released(now),
            Event::Tick => self.tick(now),
        }
    }

    /// The session as a window shows it. `code` is shown only where the state lets it be seen.
    pub fn view(&self, now: Duration, code: Option<&ShownCode>) -> View {
        let code_is_out = self.listening() || matches!(self.phase, Phase::Own { .. });
        let over = matches!(
            self.phase,
            Phase::Closed | Phase::Closing(_) | Phase::Failed(_)
        );
        let visit = self.visit.as_ref();
        View {
            state: self.state(),
            code: code.filter(|_| code_is_out).cloned(),
            agent: visit.map(|visit| visit.agent.clone()),
            permissions: visit.map(Visit::permissions).unwrap_or_default(),
            question: visit.and_then(|visit| visit.question(now)),
            program: self.program(),
            notices: self.notices.clone(),
            failure: self.failure.clone(),
            receipt: visit.filter(|_| over).map(|visit| visit.receipt(now)),
            waiting_seconds_left: self
                .renewal_due()
                .map(|due| deadline::seconds_left(due, now)),
            interrupted_seconds_left: self
                .given_up_at()
                .map(|due| deadline::seconds_left(due, now)),
        }
    }

    fn command(&mut self, command: Command, now: Duration) -> Actions {
        match command {
            Command::Open => self.open(now),
            Command::Close => self.close(now),
            Command::Answer { question, allow } => self.answer(question, allow, now),
            Command::AllowProgram { question } => self.allow_program(question, now),
            Command::TakeBack => self.take_back(now),
            Command::DisplayLost => self.fail(display_lost(), now),
            Command::Others(others) => self.others(&others),
        }
    }

    fn open(&mut self, now: Duration) -> Actions {
        match &mut self.phase {
            Phase::Closed | Phase::Failed(None) => {
                self.visit = None;
                self.notices.clear();
                self.failure = None;
                self.probed = None;
                self.phase = Phase::Opening { since: now };
                vec![Action::Prepare]
            }
            Phase::Closing(ending) | Phase::Failed(Some(ending)) => {
                ending.reopen = true;
                vec![]
            }
            _ => vec![],
        }
    }

    fn close(&mut self, now: Duration) -> Actions {
        match &mut self.phase {
            Phase::Closed | Phase::Failed(None) => vec![],
            Phase::Closing(ending) | Phase::Failed(Some(ending)) => {
                ending.reopen = false;
                vec![]
            }
            _ => self.end("customer-closed", now),
        }
    }

    fn ready(&mut self, now: Duration) -> Actions {
        let coming = match &self.phase {
            Phase::Opening { .. } => true,
            Phase::Waiting(waiting) => waiting.minting,
            _ => false,
        };
        if !coming {
            return vec![];
        }
        if self.settings.own_transport {
            self.phase = Phase::Own { connected: false };
            return vec![];
        }
        self.phase = Phase::Waiting(Waiting {
            since: now,
            guesses: 0,
            minting: false,
        });
        vec![Action::Accept]
    }

    fn noise(&mut self) -> Actions {
        if self.listening() {
            vec![Action::Accept]
        } else {
            vec![]
        }
    }

    fn stranger(&mut self) -> Actions {
        if !self.listening() {
            return vec![];
        }
        let strangers = self
            .notices
            .iter()
            .filter(|notice| **notice == Notice::StrangerTried);
        if strangers.count() < MAX_STRANGERS {
            self.notice(Notice::StrangerTried);
        }
        vec![Action::Accept]
    }

    fn wrong_guess(&mut self, agent: AgentIdentity, now: Duration) -> Actions {
        let Phase::Waiting(waiting) = &mut self.phase else {
            return vec![];
        };
        if waiting.minting {
            return vec![];
        }
        waiting.guesses += 1;
        let left = GUESSES.saturating_sub(waiting.guesses);
        if left > 0 {
            self.notice(Notice::WrongCodeTried { agent, left });
            return vec![Action::Accept];
        }
        self.notice(Notice::CodeBurnt { agent });
        self.mint(now)
    }

    /// The customer reads it; the code waits on.
    fn service(&mut self, notice: Notice) -> Actions {
        if self.listening() {
            self.notice(notice);
        }
        vec![]
    }

    fn code_forgotten(&mut self, now: Duration) -> Actions {
        if !self.listening() {
            return vec![];
        }
        self.notice(Notice::CodeForgotten);
        self.mint(now)
    }

    fn mint(&mut self, now: Duration) -> Actions {
        self.phase = Phase::Waiting(Waiting {
            since: now,
            guesses: 0,
            minting: true,
        });
        vec![Action::DropCode, Action::Mint]
    }

    fn listening(&self) -> bool {
        matches!(&self.phase, Phase::Waiting(waiting) if !waiting.minting)
    }

    fn authenticated(&mut self, agent: AgentIdentity, now: Duration) -> Actions {
        if !self.listening() {
            return vec![];
        }
        self.phase = Phase::Connected { tool_gone: None };
        let visit = self.visit.insert(Visit::new(agent));
        let mut actions = vec![Action::DeleteNameplate, Action::Introduce];
        self.questions += 1;
        actions.extend(visit.ask(Ask::View, self.questions, now));
        actions
    }

    fn asked(&mut self, ask: Ask, now: Duration) -> Actions {
        let (Phase::Connected { .. }, Some(visit)) = (&self.phase, &mut self.visit) else {
            return vec![];
        };
        let possible = match &ask {
            Ask::View => true,
            Ask::Control => self.probed.is_none_or(|probed| probed.input),
            Ask::Switch { backend } => self.settings.switchable.contains(backend),
        };
        if !possible {
            return vec![visit.refusal(ask)];
        }
        self.questions += 1;
        visit.ask(ask, self.questions, now)
    }

    fn answer(&mut self, question: u32, allow: bool, now: Duration) -> Actions {
        let (Phase::Connected { .. }, Some(visit)) = (&self.phase, &mut self.visit) else {
            return vec![];
        };
        match visit.answer(question, allow, now) {
            Answered::Nothing => vec![],
            Answered::Actions(actions) => actions,
            Answered::Switch(mut actions) => {
                actions.extend(self.end("switch", now));
                actions
            }
        }
    }

    /// The program that can be shared alone, and whether it is.
    pub fn program(&self) -> Option<Sharing> {
        let limits = self.probed.is_some_and(|probed| probed.limits);
        let name = self.settings.program.as_ref().filter(|_| limits)?;
        Some(Sharing {
            name: name.clone(),
            alone: self.visit.as_ref().is_some_and(|visit| visit.alone),
        })
    }

    fn allow_program(&mut self, question: u32, now: Duration) -> Actions {
        let offered = self.program().is_some();
        match (&self.phase, &mut self.visit) {
            (Phase::Connected { .. }, Some(visit)) if offered => visit.allow_program(question, now),
            _ => vec![],
        }
    }

    fn take_back(&mut self, now: Duration) -> Actions {
        match (&self.phase, &mut self.visit) {
            (Phase::Connected { .. } | Phase::Interrupted { .. }, Some(visit)) => {
                visit.take_back(now)
            }
            _ => vec![],
        }
    }

    fn others(&mut self, others: &[UsableBackend]) -> Actions {
        let usable = others.iter().filter(|other| other.usable);
        self.settings.switchable = usable.map(|other| other.id.clone()).collect();
        if matches!(self.phase, Phase::Connected { .. }) {
            vec![Action::Introduce]
        } else {
            vec![]
        }
    }

    fn agent_ended(&mut self, now: Duration) -> Actions {
        match self.phase {
            Phase::Connected { .. } | Phase::Interrupted { .. } => self.end("agent-ended", now),
            _ => vec![],
        }
    }

    fn link_lost(&mut self, now: Duration) -> Actions {
        let (Phase::Connected { .. }, Some(visit)) = (&self.phase, &mut self.visit) else {
            return vec![];
        };
        match self.settings.resume {
            Some(limit) => {
                self.phase = Phase::Interrupted { until: now + limit };
                visit.interrupt(now)
            }
            None => self.fail(link_lost("the link to the agent dropped"), now),
        }
    }

    fn resumed(&mut self, now: Duration) -> Actions {
        let (Phase::Interrupted { .. }, Some(visit)) = (&self.phase, &mut self.visit) else {
            return vec![];
        };
        self.phase = Phase::Connected { tool_gone: None };
        visit.resume(now)
    }

    fn tool_gone(&mut self, now: Duration) -> Actions {
        if let Phase::Connected { tool_gone } = &mut self.phase {
            tool_gone.get_or_insert(now + TOOL_GONE_GRACE);
        }
        vec![]
    }

    /// The name of a failure of the picture's socket: `tool` where a tool serves it, else the plugin's own.
    pub fn picture_fault(&self, tool: FailureName) -> FailureName {
        match self.probed {
            Some(Probed { tool: false, .. }) => FailureName::PluginFailed,
            _ => tool,
        }
    }

    fn own_connected(&mut self, now_connected: bool) -> Actions {
        if let Phase::Own { connected } = &mut self.phase {
            *connected = now_connected;
        }
        vec![]
    }

    fn own_ended(&mut self, now: Duration) -> Actions {
        match self.phase {
            Phase::Own { .. } => self.end("tool-ended", now),
            _ => vec![],
        }
    }

    fn fail(&mut self, failure: FailureView, now: Duration) -> Actions {
        if matches!(
            self.phase,
            Phase::Closed | Phase::Closing(_) | Phase::Failed(_)
        ) {
            return vec![];
        }
        let actions = self.end(failure.name.as_str(), now);
        self.failure = Some(failure);
        self.phase = Phase::Failed(Some(Ending {
            until: now + ENDING_LIMIT,
            reopen: false,
        }));
        actions
    }

    /// The stop order. What the agent holds is released while there is still something to release it
    /// in; then nothing is permitted; then the agent hears it; then everything ends.
    fn end(&mut self, reason: &str, now: Duration) -> Actions {
        let mut actions = vec![];
        if let Some(visit) = &mut self.visit {
            actions.extend(visit.end(now));
            actions.push(Action::Tell(ToAgent::Ended {
                reason: reason.to_owned(),
            }));
        }
        if matches!(self.phase, Phase::Opening { .. } | Phase::Waiting(_)) {
            actions.push(Action::DropCode);
        }
        actions.push(Action::Shutdown {
            reason: reason.to_owned(),
        });
        self.phase = Phase::Closing(Ending {
            until: now + ENDING_LIMIT,
            reopen: false,
        });
        actions
    }

    fn released(&mut self, now: Duration) -> Actions {
        let (ending, rest) = match &self.phase {
            Phase::Closing(ending) => (ending, Phase::Closed),
            Phase::Failed(Some(ending)) => (ending, Phase::Failed(None)),
            _ => return vec![],
        };
        let reopen = ending.reopen;
        self.phase = rest;
        if reopen { self.open(now) } else { vec![] }
    }

    fn tick(&mut self, now: Duration) -> Actions {
        match &self.phase {
            Phase::Opening { since } if now >= *since + OPENING_LIMIT => self.fail(too_slow(), now),
            Phase::Waiting(waiting) if waiting.minting && now >= waiting.since + OPENING_LIMIT => {
                self.fail(too_slow(), now)
            }
            Phase::Waiting(_) if self.renewal_due().is_some_and(|due| now >= due) => {
                self.notice(Notice::CodeRenewed);
                self.mint(now)
            }
            Phase::Connected {
                tool_gone: Some(due),
            } if now >= *due => {
                let detail = "its end of the picture's socket was closed".to_owned();
                self.fail(
                    FailureView {
                        name: self.picture_fault(FailureName::ToolDied),
                        detail,
                    },
                    now,
                )
            }
            Phase::Connected { .. } => self
                .visit
                .as_mut()
                .map(|visit| visit.tick(now))
                .unwrap_or_default(),
            Phase::Interrupted { until } if now >= *until => {
                self.fail(link_lost("the link didn't come back in time"), now)
            }
            Phase::Closing(ending) | Phase::Failed(Some(ending)) if now >= ending.until => {
                let mut actions = vec![Action::Abandon];
                actions.extend(self.released(now));
                actions
            }
            _ => vec![],
        }
    }

    fn notice(&mut self, notice: Notice) {
        if self.notices.len() < MAX_NOTICES {
            self.notices.push(notice);
        }
    }
}

fn display_lost() -> FailureView {
    FailureView {
        name: FailureName::DisplayLost,
        detail: "the display of the session's windows died".to_owned(),
    }
}

fn too_slow() -> FailureView {
    let detail = format!("opening took longer than {} s", OPENING_LIMIT.as_secs());
    FailureView {
        name: FailureName::Internal,
        detail,
    }
}

fn link_lost(detail: &str) -> FailureView {
    FailureView {
        name: FailureName::LinkLost,
        detail: detail.to_owned(),
    }
}
