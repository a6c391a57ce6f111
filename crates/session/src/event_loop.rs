//! The event loop: waits for whatever happens, tells the machine, and carries out its actions
//! (`actions.rs`). It decides nothing.

mod actions;
mod screen;

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::UNIX_EPOCH;

use etatuki_link::{Attempt, BootClock, CustomerLink};
use etatuki_protocol::{AgentIdentity, EndpointAddress, ToAgent};
use etatuki_session_core::control_barrier::ControlBarrier;
use etatuki_session_core::gate::{BackendCapabilities, ServerCapabilities};
use etatuki_session_core::machine::{self, Event, Machine, MachineSettings};
use etatuki_session_core::opening::{Opening, OpeningStep};
use etatuki_session_core::plugin_rfb_client::{PluginRfbError, PluginRfbEvent};
use etatuki_session_core::screen_watch::DisplayFacts;
use etatuki_session_core::service_health::ServiceChange;
use etatuki_session_core::{ClockVerdict, Command, Failure, FailureName, PluginInfo, View};
use etatuki_trust::UnixTime;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinHandle, JoinSet};

use crate::agent_connection::{AgentConnection, AgentEvent, MAX_QUEUED_CONTROL};
use crate::attempt_log::AttemptLog;
use crate::config::{self, SessionConfig};
use crate::maybe::{maybe, maybe_until};
use crate::plugin::{PluginEvent, PluginHandle};
use crate::plugin_stream::PluginStream;
use crate::rendezvous::{RendezvousEvent, RendezvousSlot};
use screen::AttachedScreen;

/// A message to the loop.
#[derive(Debug)]
pub(crate) enum LoopMessage {
    /// A command of the customer's.
    Command(Command),
    /// Close the session and end the loop.
    Stop,
}

/// An event that the loop waited for.
enum LoopEvent {
    Message(Option<LoopMessage>),
    Rendezvous(RendezvousEvent),
    Plugin(PluginEvent),
    Agent(AgentEvent),
    Rfb(Result<Option<PluginRfbEvent>, PluginRfbError>),
    /// A look at the display has found something new.
    Display(DisplayFacts),
    TornDown,
    /// Whether what a restart needs is kept.
    RestartKept(bool),
    Time,
}

/// The event loop of one session.
pub(crate) struct SessionLoop<'a> {
    config: SessionConfig,
    inbox: UnboundedReceiver<LoopMessage>,
    on_view: &'a dyn Fn(View),
    last_view: Option<View>,
    /// The machine's clock.
    clock: BootClock,
    machine: Machine,
    /// Events that the machine hasn't handled; most often empty.
    events: VecDeque<Event>,
    /// Whether the loop ends once the machine is idle.
    stopping: bool,
    opening: Opening,
    rendezvous: RendezvousSlot,
    plugin: Option<PluginHandle>,
    /// Facts about the plugin; empty until it is loaded.
    plugin_info: PluginInfo,
    plugin_stream: Option<PluginStream>,
    agent: Option<AgentConnection>,
    /// A link that the agent has resumed, until the machine adopts it.
    resumed: Option<CustomerLink>,
    /// Whether what a restart needs has to be kept.
    restart_due: bool,
    /// That, under way: a secret store may take its time.
    keeping_restart: Option<JoinHandle<bool>>,
    /// The watch over the attached picture.
    screen: Option<AttachedScreen>,
    control_barrier: ControlBarrier,
    attempt_log: AttemptLog,
    /// Small tasks that end by themselves; only the shutdown waits for them.
    background_tasks: JoinSet<()>,
    teardown: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<'a> SessionLoop<'a> {
    pub(crate) fn new(
        config: SessionConfig,
        inbox: UnboundedReceiver<LoopMessage>,
        on_view: &'a dyn Fn(View),
    ) -> Self {
        let usable = config.other_backends.iter().filter(|other| other.usable);
        let transport = config.backend.transport;
        let settings = MachineSettings {
            switchable: usable.map(|other| other.id.clone()).collect(),
            resume_limit: config.resume_limit,
            app_name: config.app.as_ref().map(|app| app.name.clone()),
            transport,
            can_come_back: config.restart.is_some(),
            come_back: match &config.come_back {
                Some(Ok(come_back)) => Some(after_restart(come_back)),
                Some(Err(_)) | None => None,
            },
        };
        Self {
            config,
            inbox,
            on_view,
            last_view: None,
            clock: BootClock::start(),
            machine: Machine::new(settings),
            events: VecDeque::new(),
            stopping: false,
            opening: Opening::new(transport),
            rendezvous: RendezvousSlot::default(),
            plugin: None,
            plugin_info: PluginInfo::default(),
            plugin_stream: None,
            agent: None,
            resumed: None,
            restart_due: false,
            keeping_restart: None,
            screen: None,
            control_barrier: ControlBarrier::new(MAX_QUEUED_CONTROL),
            attempt_log: AttemptLog::default(),
            background_tasks: JoinSet::new(),
            teardown: None,
        }
    }

    /// Runs until it is told to stop and the machine is idle.
    pub(crate) async fn run(mut self) {
        while !(self.stopping && self.machine.is_idle()) {
            self.publish_view();
            let event = self.next_event().await;
            self.on_event(event);
            self.keep_restart_if_due();
            while let Some(event) = self.events.pop_front() {
                for action in self.machine.handle(event, self.clock.elapsed()) {
                    self.perform(action);
                }
            }
            self.drive_picture();
            self.update_screen();
            if self
                .agent
                .as_ref()
                .is_some_and(AgentConnection::should_yield)
            {
                // The link sends what it has been given, while the rest is still to be made.
                tokio::task::yield_now().await;
            }
        }
        self.publish_view();
    }

    fn publish_view(&mut self) {
        let code = self.rendezvous.shown_code();
        let code = code.or_else(|| self.opening.external_code());
        let mut view = self.machine.view(self.clock.elapsed(), code.as_ref());
        view.screen = self.screen_condition();
        if self.last_view.as_ref() != Some(&view) {
            self.last_view = Some(view.clone());
            (self.on_view)(view);
        }
    }

    async fn next_event(&mut self) -> LoopEvent {
        let due = self.machine.deadline(self.clock.elapsed());
        let due = due.map(|due| self.clock.instant(due));
        let plugin_stream = self.plugin_stream.as_ref();
        let picture = self
            .agent
            .as_ref()
            .and_then(|agent| agent.picture_wake_at(plugin_stream));
        let due = due.into_iter().chain(picture).chain(self.screen_deadline());
        let due = due.min();
        let takes_input = !plugin_stream.is_some_and(PluginStream::is_full);
        // Meanwhile the plugin's bytes wait in its socket.
        let held = self
            .agent
            .as_ref()
            .is_some_and(AgentConnection::holds_source);
        let plugin_stream = self.plugin_stream.as_mut().filter(|_| !held);
        tokio::select! {
            message = self.inbox.recv(), if !self.stopping => LoopEvent::Message(message),
            event = self.rendezvous.next() => LoopEvent::Rendezvous(event),
            event = maybe(self.plugin.as_mut().map(PluginHandle::next)) => LoopEvent::Plugin(event),
            event = maybe(self.agent.as_mut().map(|agent| agent.next(takes_input))) => {
                LoopEvent::Agent(event)
            }
            event = maybe(plugin_stream.map(PluginStream::next)) => LoopEvent::Rfb(event),
            facts = maybe(self.screen.as_mut().map(AttachedScreen::next)) => LoopEvent::Display(facts),
            kept = maybe(self.keeping_restart.as_mut()) => LoopEvent::RestartKept(kept.unwrap_or(false)),
            () = maybe(self.teardown.as_mut()) => LoopEvent::TornDown,
            () = maybe_until(due) => LoopEvent::Time,
        }
    }

    fn on_event(&mut self, event: LoopEvent) {
        match event {
            LoopEvent::Message(message) => self.on_message(message.unwrap_or(LoopMessage::Stop)),
            LoopEvent::Rendezvous(event) => self.on_rendezvous_event(event),
            LoopEvent::Plugin(event) => self.on_plugin_event(event),
            LoopEvent::Agent(event) => self.on_agent_event(event),
            LoopEvent::Rfb(event) => self.on_rfb_event(event),
            LoopEvent::Display(facts) => self.on_display(facts),
            LoopEvent::TornDown => {
                self.teardown = None;
                self.push_event(Event::ShutdownDone);
            }
            LoopEvent::RestartKept(kept) => {
                self.keeping_restart = None;
                self.push_event(Event::RestartKept(kept));
            }
            LoopEvent::Time => self.push_event(Event::Tick),
        }
    }

    fn on_message(&mut self, message: LoopMessage) {
        let command = match message {
            LoopMessage::Command(command) => command,
            LoopMessage::Stop => {
                self.stopping = true;
                Command::Close
            }
        };
        if let Command::OtherBackends(others) = &command {
            self.config.other_backends.clone_from(others);
        }
        self.push_event(Event::Command(command));
    }

    fn on_rendezvous_event(&mut self, event: RendezvousEvent) {
        match event {
            RendezvousEvent::Opened(Ok(code)) => {
                if self.rendezvous.has_stale_revocations() {
                    self.push_event(Event::RevocationsStale);
                }
                let step = self.opening.code_minted(code);
                self.perform_steps(step);
            }
            RendezvousEvent::Opened(Err(failure)) => self.fail(failure),
            RendezvousEvent::Attempt(attempt) => self.on_attempt(attempt),
            RendezvousEvent::AddressChanged(address) => self.tell_address(address),
            RendezvousEvent::PeerLeft => self.push_event(Event::AgentEnded),
            RendezvousEvent::Service(change) => self.push_event(match change {
                ServiceChange::Lost => Event::ServiceLost,
                ServiceChange::Back => Event::ServiceBack,
                ServiceChange::CodeForgotten => Event::CodeForgotten,
            }),
        }
    }

    fn on_attempt(&mut self, attempt: Attempt) {
        let event = match attempt {
            Attempt::Authenticated(link) => {
                let server = ServerCapabilities::declared(self.backend_capabilities());
                let (identity, agent) = AgentConnection::new(*link, server, self.clock);
                self.agent = Some(agent);
                Event::Authenticated(identity)
            }
            // Whoever it is, nobody can say whether they are support, and they weren't let in.
            Attempt::Unauthorized {
                reason: "revocations-stale",
            } => {
                tracing::warn!(
                    "an agent's card couldn't be checked: its key's revocation list is outdated"
                );
                Event::AttemptAborted
            }
            Attempt::Unauthorized { reason } => {
                if self.attempt_log.admit() {
                    tracing::warn!(reason, "somebody who isn't the vendor's tried the code");
                }
                Event::UnauthorizedAttempt
            }
            Attempt::CardOutOfTime { agent, validity } => {
                let (ours, service) = (now(), self.rendezvous.service_time());
                let clock = ClockVerdict::judge(validity, ours, service);
                if self.attempt_log.admit() {
                    tracing::warn!(
                        name = agent.name,
                        ?validity,
                        %ours,
                        ?service,
                        "an agent's card is out of its time"
                    );
                }
                Event::CardOutOfTime { agent, clock }
            }
            Attempt::WrongGuess { agent } => {
                tracing::warn!(
                    name = agent.name,
                    organisation = agent.organisation,
                    "a wrong code was tried"
                );
                Event::WrongGuess(agent)
            }
            Attempt::Resumed(link) => {
                self.resumed = Some(*link);
                Event::LinkResumed
            }
            Attempt::ResumeRefused { reason } => return self.log_refused_resume(reason),
            Attempt::Aborted => Event::AttemptAborted,
            Attempt::Closed => {
                let detail = "the link's endpoint closed by itself";
                Event::Failed(Failure::new(FailureName::LinkFailed, detail))
            }
        };
        self.push_event(event);
    }

    fn log_refused_resume(&mut self, reason: &'static str) {
        if self.attempt_log.admit() {
            tracing::warn!(reason, "an attempt to resume the link was refused");
        }
    }

    fn on_plugin_event(&mut self, event: PluginEvent) {
        match event {
            PluginEvent::Started(info) => {
                self.push_event(Event::PluginProbed(info.probed()));
                self.plugin_info = info;
                let step = self.opening.plugin_loaded();
                self.perform_steps(step);
            }
            PluginEvent::Failed(failure) => self.fail(failure),
            PluginEvent::PermissionsAcknowledged => {
                let passing = self.control_barrier.permissions_acknowledged();
                self.send_to_agent(passing);
            }
            PluginEvent::Changed { state, code } => {
                let steps = self.opening.plugin_changed(state, code);
                self.perform_steps(steps);
            }
        }
    }

    fn perform_steps(&mut self, steps: impl IntoIterator<Item = OpeningStep>) {
        for step in steps {
            match (step, &self.plugin) {
                (OpeningStep::OpenPlugin(code), Some(plugin)) => plugin.open(code),
                (OpeningStep::ClosePlugin, Some(plugin)) => plugin.close(),
                (OpeningStep::OpenPlugin(_) | OpeningStep::ClosePlugin, None) => {}
                (OpeningStep::Report(Event::Failed(failure)), _) => self.fail(failure),
                (OpeningStep::Report(event), _) => self.push_event(event),
            }
        }
    }

    fn on_agent_event(&mut self, event: AgentEvent) {
        match event {
            AgentEvent::PermissionAsked(ask) => self.push_event(Event::Asked(ask)),
            AgentEvent::Ended => self.push_event(Event::AgentEnded),
            AgentEvent::LinkInterrupted { since } => {
                self.push_event(Event::LinkInterrupted { since });
            }
            AgentEvent::Failed(failure) => self.fail(failure),
            AgentEvent::Progress => {}
            AgentEvent::Clipboard(text) => {
                let (Some(agent), Some(plugin)) = (&self.agent, &mut self.plugin_stream) else {
                    return;
                };
                if let Some(input) = agent.gate.clipboard_in(text) {
                    plugin.send_input(input);
                }
            }
            AgentEvent::InputReceived => self.forward_input(),
        }
    }

    /// Forwards everything that passes the gate.
    fn forward_input(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        let now = self.clock.elapsed();
        loop {
            match (agent.next_input(), &mut self.plugin_stream) {
                (Ok(Some(input)), Some(plugin)) => {
                    agent.note_input(plugin);
                    plugin.send_input(input);
                    if let Some(screen) = &mut self.screen {
                        screen.on_input(now);
                    }
                }
                (Ok(Some(_)), None) => {}
                (Ok(None), _) => return,
                (Err(failure), _) => return self.fail(failure),
            }
        }
    }

    fn on_rfb_event(&mut self, event: Result<Option<PluginRfbEvent>, PluginRfbError>) {
        let handled = match event {
            Ok(Some(event)) => {
                self.note_source_heard(&event);
                self.forward_rfb_event(event)
            }
            Ok(None) => {
                self.push_event(Event::PluginStreamClosed);
                Ok(())
            }
            Err(error) => {
                let name = self.machine.picture_failure(FailureName::ToolFailed);
                Err(Failure::new(name, error.to_string()))
            }
        };
        if let Err(failure) = handled {
            self.fail(failure);
        }
    }

    fn forward_rfb_event(&mut self, event: PluginRfbEvent) -> Result<(), Failure> {
        let (Some(agent), Some(plugin)) = (&mut self.agent, &self.plugin_stream) else {
            return Ok(());
        };
        agent.set_server_capabilities(plugin.server_capabilities())?;
        match event {
            PluginRfbEvent::Updated { changed: true } => agent.on_source_changed(),
            PluginRfbEvent::CutText(text) => agent.send_clipboard(text),
            PluginRfbEvent::DesktopSizeReply(status) => agent.on_desktop_size_reply(status)?,
            PluginRfbEvent::Opened
            | PluginRfbEvent::Updated { changed: false }
            | PluginRfbEvent::WorkBudgetUsed
            | PluginRfbEvent::InputDrained => {}
        }
        Ok(())
    }

    /// Tells the agent's end the address at which it can resume the link.
    fn tell_address(&mut self, address: Value) {
        match EndpointAddress::new(address) {
            Ok(address) => self.send_to_agent([ToAgent::Address(address)]),
            Err(error) => tracing::warn!(%error, "this machine's address can't be told"),
        }
    }

    fn drive_picture(&mut self) {
        if let (Some(agent), Some(plugin)) = (&mut self.agent, &mut self.plugin_stream) {
            agent.drive_picture(plugin);
        }
    }

    fn push_event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    fn fail(&mut self, failure: Failure) {
        tracing::warn!(
            name = failure.name.as_str(),
            detail = failure.detail,
            "the session failed"
        );
        self.push_event(Event::Failed(failure));
    }

    fn backend_capabilities(&self) -> BackendCapabilities {
        self.plugin_info.capabilities
    }

    /// Sends control messages to the agent, if one is connected.
    fn send_to_agent(&mut self, messages: impl IntoIterator<Item = ToAgent>) {
        let Some(agent) = &mut self.agent else { return };
        let sent = messages
            .into_iter()
            .try_for_each(|message| agent.send_control(message));
        if let Err(failure) = sent {
            self.fail(failure);
        }
    }
}

fn after_restart(come_back: &config::ComeBack) -> machine::ComeBack {
    let link = &come_back.link;
    machine::ComeBack {
        agent: AgentIdentity {
            name: link.agent_name.clone(),
            organisation: link.agent_organisation.clone(),
        },
        limit: come_back.limit,
    }
}

/// Returns the time by this machine's clock.
fn now() -> UnixTime {
    UnixTime(UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()))
}
