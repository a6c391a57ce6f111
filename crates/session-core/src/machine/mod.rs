//! The session's state machine: events and the time go in, actions come out. It has no clock, no
//! sockets and no randomness. `docs/session.md` has the drawing, and `tests.rs` has a test for
//! every edge of it.
//!
//! Times are [`Duration`]s since any fixed moment and never go backwards.

mod action;
mod code;
mod connected;
mod consent;
mod deadline;
mod event;
mod stopwatch;
#[cfg(test)]
mod tests;
mod view;

use std::time::Duration;

use etatuki_protocol::{AgentIdentity, ToAgent, UsableBackend};

use crate::command::Command;
use crate::failure::{Failure, FailureName};
use crate::transport::Transport;
use crate::view::{Notice, State};
use consent::Consent;

pub use action::Action;
pub use consent::{ANSWER_DELAY, MAX_DENIALS, QUESTION_TIMEOUT};
pub use event::{Event, ProbedPlugin};

/// Age at which a waiting code is replaced by a fresh one.
pub const CODE_LIFETIME: Duration = Duration::from_secs(600);
/// Wrong guesses that burn a code.
pub const MAX_WRONG_GUESSES: u8 = 3;
/// Time-out of opening as a whole. Its parts have shorter ones; this one only backs them up.
pub const OPENING_TIMEOUT: Duration = Duration::from_secs(15);
/// Reason of a shutdown that is no end: the machine goes down, and the launcher comes back.
pub const RESTARTING: &str = "restarting";
/// Time-out of the shutdown as a whole. After it, whatever is left is dropped and killed.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// Time in which a plugin may say why its RFB socket ended, before the session fails as `tool-died`
/// or, where no tool serves the socket, as `plugin-failed`.
pub const STREAM_CLOSED_GRACE: Duration = Duration::from_millis(500);
/// Notices that are kept.
pub const MAX_NOTICES: usize = 256;
/// Codes that unauthorized attempts replace, until the next `Open`. Whoever finds every fresh code
/// at once shall not keep the customer from ever reading one aloud.
pub const MAX_UNAUTHORIZED_RENEWALS: usize = 3;

/// MachineSettings that are fixed for the machine's life, except for `switchable`.
#[derive(Clone, Debug)]
pub struct MachineSettings {
    /// Ids of the other backends that are usable here: an agent may ask to switch to them.
    pub switchable: Vec<String>,
    /// Time from the interruption of the link in which it can be resumed.
    pub resume_limit: Duration,
    /// Name of the accounting program, if it is known and could be shared alone.
    pub app_name: Option<String>,
    /// The session's transport. An external one has no link, no agent of ours and no question.
    pub transport: Transport,
    /// Whether this launcher can come back after a restart of the machine.
    pub can_come_back: bool,
    /// The session that was interrupted by a restart; the first `Open` goes on with it.
    pub come_back: Option<ComeBack>,
}

/// A session that goes on after a restart of the machine.
#[derive(Clone, Debug)]
pub struct ComeBack {
    /// The agent of the link.
    pub agent: AgentIdentity,
    /// Time from `Open` in which the agent can resume the link.
    pub limit: Duration,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    settings: MachineSettings,
    phase: Phase,
    /// Consent towards the agent who is or was connected; until the next `Open`.
    consent: Option<Consent>,
    notices: Vec<Notice>,
    failure: Option<Failure>,
    /// Number of the last question.
    questions: u32,
    /// Facts about the plugin; `None` until it is loaded.
    plugin: Option<ProbedPlugin>,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Closed,
    Opening {
        since: Duration,
    },
    /// The code can be tried.
    Waiting {
        since: Duration,
        wrong_guesses: u8,
    },
    /// The old code was dropped and the fresh one isn't there yet. Publicly `waiting`.
    RenewingCode {
        since: Duration,
    },
    /// The code of a tool with its own transport is out, or somebody has connected by it.
    External {
        connected: bool,
    },
    Connected {
        /// Moment at which the session fails, because the plugin's RFB socket has ended.
        fails_at: Option<Duration>,
    },
    /// The link is interrupted; nothing is permitted until it is resumed.
    Interrupted {
        /// Moment at which the link is lost.
        until: Duration,
        /// As in `Connected`.
        fails_at: Option<Duration>,
        /// Whether the machine was restarted: nothing of the earlier process is left.
        coming_back: bool,
    },
    Closing(Teardown),
    Failed(Option<Teardown>),
}

/// The end of everything that runs, while the state is already `closing` or `failed`.
#[derive(Clone, Debug, PartialEq)]
struct Teardown {
    until: Duration,
    /// Whether the customer has meanwhile asked to open again.
    reopen: bool,
}

type Actions = Vec<Action>;

impl Machine {
    /// Makes a closed session.
    pub fn new(settings: MachineSettings) -> Self {
        Self {
            settings,
            phase: Phase::Closed,
            consent: None,
            notices: Vec::new(),
            failure: None,
            questions: 0,
            plugin: None,
        }
    }

    /// Returns the state by its public name.
    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Closed => State::Closed,
            Phase::Opening { .. } => State::Opening,
            Phase::Waiting { .. }
            | Phase::RenewingCode { .. }
            | Phase::External { connected: false } => State::Waiting,
            Phase::Connected { .. } | Phase::External { connected: true } => State::Connected,
            Phase::Interrupted { .. } => State::Interrupted,
            Phase::Closing(_) => State::Closing,
            Phase::Failed(_) => State::Failed,
        }
    }

    /// Returns whether nothing runs any more: the state is `closed` or `failed`, and the shutdown
    /// is done.
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Closed | Phase::Failed(None))
    }

    /// Handles one event and returns the actions that follow. An event that means nothing in the
    /// present state does nothing.
    pub fn handle(&mut self, event: Event, now: Duration) -> Actions {
        match event {
            Event::Command(command) => self.command(command, now),
            Event::CodeReady => self.code_ready(now),
            Event::PluginProbed(plugin) => {
                self.plugin = Some(plugin);
                vec![]
            }
            Event::AttemptAborted => self.attempt_aborted(),
            Event::UnauthorizedAttempt => self.unauthorized_attempt(now),
            Event::CardOutOfTime { agent, clock } => self.card_out_of_time(agent, clock),
            Event::WrongGuess(agent) => self.wrong_guess(agent, now),
            Event::RevocationsStale => self.revocations_stale(),
            Event::ServiceLost => self.service_changed(Notice::ServiceLost),
            Event::ServiceBack => self.service_changed(Notice::ServiceBack),
            Event::CodeForgotten => self.code_forgotten(now),
            Event::Authenticated(agent) => self.authenticated(agent, now),
            Event::Asked(ask) => self.asked(ask, now),
            Event::AgentEnded => self.agent_ended(now),
            Event::LinkInterrupted { since } => self.link_interrupted(since, now),
            Event::LinkResumed => self.link_resumed(now),
            Event::RestartKept(kept) => self.restart_kept(kept, now),
            Event::PluginStreamClosed => self.plugin_stream_closed(now),
            Event::ExternalPeerConnected => self.set_peer_connected(true),
            Event::ExternalPeerLeft => self.set_peer_connected(false),
            Event::ExternalToolEnded => self.external_tool_ended(now),
            Event::Failed(failure) => self.fail(failure, now),
            Event::ShutdownDone => self.shutdown_done(now),
            Event::Tick => self.tick(now),
        }
    }

    fn command(&mut self, command: Command, now: Duration) -> Actions {
        match command {
            Command::Open => self.open(now),
            Command::Close => self.close(now),
            Command::Answer { question, allow } => self.answer(question, allow, now),
            Command::AllowAppOnly { question } => self.allow_app_only(question, now),
            Command::QuestionShown { question, text } => self.question_shown(question, text, now),
            Command::TakeBack => self.take_back(now),
            Command::WithdrawRestart => self.withdraw_restart(),
            Command::DisplayLost => self.display_lost(now),
            Command::OtherBackends(others) => self.set_other_backends(&others),
        }
    }

    fn open(&mut self, now: Duration) -> Actions {
        match &mut self.phase {
            Phase::Closed | Phase::Failed(None) => {
                self.consent = None;
                self.notices.clear();
                self.failure = None;
                self.plugin = None;
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

    fn set_other_backends(&mut self, others: &[UsableBackend]) -> Actions {
        let usable = others.iter().filter(|other| other.usable);
        self.settings.switchable = usable.map(|other| other.id.clone()).collect();
        if matches!(self.phase, Phase::Connected { .. }) {
            vec![Action::SendCustomerInfo]
        } else {
            vec![]
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
        self.phase = Phase::Failed(Some(Teardown::new(now)));
        actions
    }

    /// Shuts the session down, in this order: what the agent holds is released while there is still
    /// something to release it in; then nothing is permitted; then the agent is told; then
    /// everything ends.
    fn shut_down(&mut self, reason: &str, now: Duration) -> Actions {
        let mut actions = vec![];
        self.settings.come_back = None;
        if let Some(consent) = &mut self.consent {
            actions.extend(consent.forget_restart());
            actions.extend(consent.end(now));
            actions.push(Action::SendToAgent(ToAgent::Ended {
                reason: reason.to_owned(),
            }));
        }
        if matches!(
            self.phase,
            Phase::Opening { .. } | Phase::Waiting { .. } | Phase::RenewingCode { .. }
        ) {
            actions.push(Action::DropCode);
        }
        actions.push(Action::Shutdown {
            reason: reason.to_owned(),
        });
        self.phase = Phase::Closing(Teardown::new(now));
        actions
    }

    fn shutdown_done(&mut self, now: Duration) -> Actions {
        let (teardown, idle) = match &self.phase {
            Phase::Closing(teardown) => (teardown, Phase::Closed),
            Phase::Failed(Some(teardown)) => (teardown, Phase::Failed(None)),
            _ => return vec![],
        };
        let reopen = teardown.reopen;
        self.phase = idle;
        if reopen { self.open(now) } else { vec![] }
    }

    fn tick(&mut self, now: Duration) -> Actions {
        match &self.phase {
            Phase::Opening { since } | Phase::RenewingCode { since }
                if now >= *since + self.opening_timeout() =>
            {
                let detail = format!("opening took longer than {:?}", self.opening_timeout());
                self.fail(Failure::new(FailureName::Internal, detail), now)
            }
            Phase::Waiting { .. } if self.code_expires_at().is_some_and(|due| now >= due) => {
                self.add_notice(Notice::CodeRenewed);
                self.renew_code(now)
            }
            Phase::Connected {
                fails_at: Some(due),
            }
            | Phase::Interrupted {
                fails_at: Some(due),
                ..
            } if now >= *due => {
                let name = self.picture_failure(FailureName::ToolDied);
                let detail = "its end of the picture's socket was closed";
                self.fail(Failure::new(name, detail), now)
            }
            Phase::Connected { .. } => self
                .consent
                .as_mut()
                .map(|consent| consent.tick(now))
                .unwrap_or_default(),
            Phase::Interrupted { until, .. } if now >= *until => {
                let detail = "the link wasn't resumed in time";
                self.fail(Failure::new(FailureName::LinkLost, detail), now)
            }
            Phase::Closing(teardown) | Phase::Failed(Some(teardown)) if now >= teardown.until => {
                let mut actions = vec![Action::ForceStop];
                actions.extend(self.shutdown_done(now));
                actions
            }
            _ => vec![],
        }
    }

    /// Returns the time-out of opening: after a restart the network may come up later than the
    /// desktop.
    fn opening_timeout(&self) -> Duration {
        let come_back = self.settings.come_back.as_ref();
        come_back.map_or(OPENING_TIMEOUT, |come_back| come_back.limit)
    }

    fn add_notice(&mut self, notice: Notice) {
        if self.notices.len() < MAX_NOTICES {
            self.notices.push(notice);
        }
    }
}

impl Teardown {
    fn new(now: Duration) -> Self {
        Self {
            until: now + SHUTDOWN_TIMEOUT,
            reopen: false,
        }
    }
}
