//! The loop: does what the machine says, and tells it what happened. It decides nothing; what only
//! looks like a decision here is the order in which two things must be ready.

use std::collections::VecDeque;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::time::Duration;

use etatuki_link::Attempt;
use etatuki_plugin_host::State as PluginState;
use etatuki_protocol::{CustomerInfo, Permissions, ToAgent, UsableBackend};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::agent_connection::{AgentConnection, AgentEvent, MAX_CONTROL_WAITING, agent_misbehaved};
use crate::config::{SessionConfig, Transport};
use crate::external_transport::ExternalTransport;
use crate::gate::{BackendCapabilities, ServerCapabilities};
use crate::handle::LoopMessage;
use crate::machine::{Action, Event, Machine, ProbedPlugin, Settings};
use crate::plugin::{PluginEvent, PluginHandle, PluginInfo};
use crate::rendezvous::{Rendezvous, RendezvousConfig, RendezvousEvent};
use crate::service_health::ServiceChange;
use crate::tool_client::{ToolError, ToolEvent};
use crate::tool_link::ToolLink;
use crate::view::{Command, Failure, FailureName, View};

/// At the end: how long the last words to the agent, and the last releases to the tool, may take.
const FAREWELL_TIMEOUT: Duration = Duration::from_millis(300);

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Something happened.
enum LoopEvent {
    Message(Option<LoopMessage>),
    RendezvousOpened(Result<Box<Rendezvous>, Failure>),
    Rendezvous(RendezvousEvent),
    Plugin(PluginEvent),
    Agent(AgentEvent),
    Tool(Result<Option<ToolEvent>, ToolError>),
    TornDown,
    Time,
}

/// Where everything of one session meets.
pub(crate) struct SessionLoop<'a> {
    config: SessionConfig,
    inbox: UnboundedReceiver<LoopMessage>,
    on_view: &'a dyn Fn(View),
    last_view: Option<View>,
    began: Instant,
    machine: Machine,
    /// For the machine; most often empty again at once.
    events: VecDeque<Event>,
    /// The thread ends once all is at rest.
    stopping: bool,
    plugin: Option<PluginHandle>,
    plugin_info: Option<PluginInfo>,
    plugin_state: PluginState,
    /// The plugin has been handed the code of the present rendezvous.
    plugin_has_code: bool,
    minting: Option<BoxFuture<Result<Box<Rendezvous>, Failure>>>,
    rendezvous: Option<Box<Rendezvous>>,
    /// What is there instead of a rendezvous when the tool brings its own transport.
    external: Option<ExternalTransport>,
    accepting: bool,
    agent: Option<AgentConnection>,
    /// What the agent hears once the plugin knows what is permitted: or his first key could be there
    /// before that, and be lost.
    pending_control: Vec<ToAgent>,
    /// Permissions that the plugin hasn't taken note of yet.
    unacked_permissions: u32,
    tool: Option<ToolLink>,
    /// Small things that are being ended and that nobody waits for before the end.
    background_tasks: JoinSet<()>,
    teardown: Option<BoxFuture<()>>,
}

impl<'a> SessionLoop<'a> {
    pub(crate) fn new(
        config: SessionConfig,
        inbox: UnboundedReceiver<LoopMessage>,
        on_view: &'a dyn Fn(View),
    ) -> Self {
        let usable = config.other_backends.iter().filter(|other| other.usable);
        let settings = Settings {
            switchable: usable.map(|other| other.id.clone()).collect(),
            resume: None,
            app_name: config.app.as_ref().map(|app| app.name.clone()),
            external_transport: config.backend.transport == Transport::External,
        };
        Self {
            config,
            inbox,
            on_view,
            last_view: None,
            began: Instant::now(),
            machine: Machine::new(settings),
            events: VecDeque::new(),
            stopping: false,
            plugin: None,
            plugin_info: None,
            plugin_state: PluginState::Closed,
            plugin_has_code: false,
            minting: None,
            rendezvous: None,
            external: None,
            accepting: false,
            agent: None,
            pending_control: Vec::new(),
            unacked_permissions: 0,
            tool: None,
            background_tasks: JoinSet::new(),
            teardown: None,
        }
    }

    /// Runs until it is told to stop and everything is at rest.
    pub(crate) async fn run(mut self) {
        while !(self.stopping && self.machine.is_idle()) {
            self.publish_view();
            let event = self.next().await;
            self.on_event(event);
            while let Some(event) = self.events.pop_front() {
                for action in self.machine.handle(event, self.began.elapsed()) {
                    self.perform(action);
                }
            }
            self.pump();
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
        let code = self.rendezvous.as_deref().map(Rendezvous::shown_code);
        let code = code.or_else(|| {
            self.external
                .as_ref()
                .and_then(ExternalTransport::shown_code)
        });
        let view = self.machine.view(self.began.elapsed(), code.as_ref());
        if self.last_view.as_ref() != Some(&view) {
            self.last_view = Some(view.clone());
            (self.on_view)(view);
        }
    }

    async fn next(&mut self) -> LoopEvent {
        let due = self
            .machine
            .deadline(self.began.elapsed())
            .map(|due| self.began + due);
        let held = self.holds_source();
        let rendezvous = self.rendezvous.as_deref_mut().filter(|_| self.accepting);
        let tool = self.tool.as_ref();
        let picture = self
            .agent
            .as_ref()
            .and_then(|agent| agent.picture_wake_at(tool));
        let due = due.into_iter().chain(picture).min();
        let takes_input = !self.tool.as_ref().is_some_and(ToolLink::is_full);
        let tool = self.tool.as_mut().filter(|_| !held);
        tokio::select! {
            message = self.inbox.recv(), if !self.stopping => LoopEvent::Message(message),
            minted = of(self.minting.as_mut()) => LoopEvent::RendezvousOpened(minted),
            event = of(rendezvous.map(Rendezvous::next)) => LoopEvent::Rendezvous(event),
            event = of(self.plugin.as_mut().map(PluginHandle::next)) => LoopEvent::Plugin(event),
            event = of(self.agent.as_mut().map(|agent| agent.next(takes_input))) => LoopEvent::Agent(event),
            event = of(tool.map(ToolLink::next)) => LoopEvent::Tool(event),
            () = of(self.teardown.as_mut()) => LoopEvent::TornDown,
            () = of(due.map(tokio::time::sleep_until)) => LoopEvent::Time,
        }
    }

    fn on_event(&mut self, event: LoopEvent) {
        match event {
            LoopEvent::Message(message) => self.on_message(message.unwrap_or(LoopMessage::Stop)),
            LoopEvent::RendezvousOpened(minted) => {
                self.minting = None;
                match minted {
                    Ok(rendezvous) => self.rendezvous = Some(rendezvous),
                    Err(failure) => self.fail(failure),
                }
                self.try_open_plugin();
            }
            LoopEvent::Rendezvous(RendezvousEvent::Attempt(attempt)) => self.on_attempt(attempt),
            LoopEvent::Rendezvous(RendezvousEvent::Service(change)) => {
                self.push_event(match change {
                    ServiceChange::Lost => Event::ServiceLost,
                    ServiceChange::Back => Event::ServiceBack,
                    ServiceChange::CodeForgotten => Event::CodeForgotten,
                })
            }
            LoopEvent::Plugin(event) => self.on_plugin_event(event),
            LoopEvent::Agent(event) => self.on_agent_event(event),
            LoopEvent::Tool(event) => self.on_rfb_event(event),
            LoopEvent::TornDown => {
                self.teardown = None;
                self.push_event(Event::ShutdownDone);
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

    fn on_attempt(&mut self, attempt: Attempt) {
        self.accepting = false;
        let event = match attempt {
            Attempt::Authenticated(link) => {
                let (identity, agent) =
                    AgentConnection::new(*link, ServerCapabilities::declared(self.backend()));
                self.agent = Some(agent);
                Event::Authenticated(identity)
            }
            Attempt::Unauthorized { reason } => {
                tracing::warn!(reason, "somebody who isn't the vendor's tried the code");
                Event::UnauthorizedAttempt
            }
            Attempt::WrongGuess { agent } => {
                tracing::warn!(
                    name = agent.name,
                    organisation = agent.organisation,
                    "a wrong code was tried"
                );
                Event::WrongGuess(agent)
            }
            Attempt::Aborted => Event::AttemptAborted,
            Attempt::Closed => Event::Failed(Failure {
                name: FailureName::LinkFailed,
                detail: "the link's endpoint closed by itself".into(),
            }),
        };
        self.push_event(event);
    }

    fn on_plugin_event(&mut self, event: PluginEvent) {
        match event {
            PluginEvent::Started(info) => {
                self.push_event(Event::PluginProbed(ProbedPlugin {
                    has_tool: info.tool.is_some(),
                    takes_input: info.capabilities.input,
                    supports_app_sharing: info.supports_app_sharing,
                }));
                self.plugin_info = Some(info);
            }
            PluginEvent::Failed(failure) => self.fail(failure),
            PluginEvent::PermissionsAcknowledged => {
                self.unacked_permissions = self.unacked_permissions.saturating_sub(1);
                self.flush_control();
            }
            PluginEvent::Changed { state, code } => {
                self.plugin_state = state;
                match &mut self.external {
                    Some(external) => self.events.extend(external.on_plugin_state(state, code)),
                    None if state == PluginState::Waiting && self.plugin_has_code => {
                        self.plugin_opened(code.as_deref());
                    }
                    None => {}
                }
            }
        }
        self.try_open_plugin();
    }

    /// The plugin is closed and the rendezvous stands: it may have the code.
    fn try_open_plugin(&mut self) {
        let (Some(plugin), Some(_)) = (&self.plugin, &self.plugin_info) else {
            return;
        };
        let code = match (&self.rendezvous, &self.external) {
            (Some(rendezvous), _) => rendezvous.plain_code(),
            (None, Some(external)) => external.password(),
            (None, None) => return,
        };
        if self.plugin_state == PluginState::Closed && !self.plugin_has_code {
            self.plugin_has_code = true;
            plugin.open(code);
        }
    }

    /// The code is read from the plugin alone. One that makes its own needs a transport of its own.
    fn plugin_opened(&mut self, code: Option<&String>) {
        let ours = self.rendezvous.as_deref().map(Rendezvous::plain_code);
        if code.map(String::as_str) == ours.as_deref().map(String::as_str) {
            self.push_event(Event::CodeReady);
        } else {
            let detail = "the plugin doesn't show the code that it was given".into();
            self.fail(Failure {
                name: FailureName::PluginFailed,
                detail,
            });
        }
    }

    fn on_agent_event(&mut self, event: AgentEvent) {
        match event {
            AgentEvent::PermissionAsked(ask) => self.push_event(Event::Asked(ask)),
            AgentEvent::Ended => self.push_event(Event::AgentEnded),
            AgentEvent::LinkLost => self.push_event(Event::LinkLost),
            AgentEvent::Failed(failure) => self.fail(failure),
            AgentEvent::Progress => {}
            AgentEvent::Clipboard(text) => {
                let (Some(agent), Some(tool)) = (&self.agent, &mut self.tool) else {
                    return;
                };
                if let Some(input) = agent.gate.clipboard_in(text) {
                    tool.input(input);
                }
            }
            AgentEvent::InputReceived => self.forward_input(),
        }
    }

    fn forward_input(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        loop {
            match (agent.next_input(), &mut self.tool) {
                (Ok(Some(input)), Some(tool)) => {
                    agent.note_input(tool);
                    tool.input(input);
                }
                (Ok(Some(_)), None) => {}
                (Ok(None), _) => return,
                (Err(failure), _) => return self.fail(failure),
            }
        }
    }

    fn on_rfb_event(&mut self, event: Result<Option<ToolEvent>, ToolError>) {
        if let (Some(agent), Some(tool)) = (&mut self.agent, &self.tool)
            && let Err(failure) = agent.set_server(tool.server())
        {
            return self.fail(failure);
        }
        let done = match (event, &mut self.agent) {
            (Ok(Some(ToolEvent::Updated { changed: true })), Some(agent)) => {
                agent.mark_dirty();
                Ok(())
            }
            (Ok(Some(ToolEvent::CutText(text))), Some(agent)) => {
                agent.send_clipboard(text);
                Ok(())
            }
            (Ok(Some(ToolEvent::SizeAnswer(status))), Some(agent)) => {
                agent.on_desktop_size_reply(status)
            }
            (Ok(Some(_)), _) => Ok(()),
            (Ok(None), _) => {
                self.push_event(Event::PluginStreamClosed);
                Ok(())
            }
            (Err(error), _) => Err(Failure {
                name: self.machine.picture_fault(FailureName::ToolFailed),
                detail: error.to_string(),
            }),
        };
        if let Err(failure) = done {
            self.fail(failure);
        }
    }

    fn pump(&mut self) {
        if let (Some(agent), Some(tool)) = (&mut self.agent, &mut self.tool) {
            agent.drive_picture(tool);
        }
    }

    /// What the tool sends meanwhile waits in its socket.
    fn holds_source(&self) -> bool {
        self.agent
            .as_ref()
            .is_some_and(AgentConnection::holds_source)
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

    fn perform(&mut self, action: Action) {
        match action {
            Action::Start => {
                let plugin = PluginHandle::start(
                    self.config.host_exe.clone(),
                    self.config.backend.plugin.clone(),
                );
                self.plugin = Some(plugin);
                self.plugin_state = PluginState::Closed;
                self.plugin_info = None;
                self.mint_code();
            }
            Action::MintCode => self.mint_code(),
            Action::DropCode => self.drop_code(),
            Action::AcceptAttempt => self.accepting = true,
            Action::DeleteNameplate => {
                if let Some(rendezvous) = &mut self.rendezvous {
                    self.background_tasks.spawn(rendezvous.release());
                }
            }
            Action::SendCustomerInfo => {
                self.send_to_agent(ToAgent::Info(Box::new(self.customer_info())))
            }
            Action::SendToAgent(message) => self.send_to_agent(message),
            Action::SetPermissions(permissions) => self.set_permissions(permissions),
            Action::BlockInput(muted) => {
                if let Some(agent) = &mut self.agent {
                    agent.gate.mute(muted);
                }
            }
            Action::ReleaseInput => self.release_input(),
            Action::RestrictToApp => self.restrict_to_app(),
            Action::AttachPicture => self.attach_picture(),
            Action::Shutdown { reason } => self.shut_down(reason),
            Action::ForceStop => {
                tracing::warn!("the session didn't end in time; what is left is killed");
                self.teardown = None;
            }
        }
    }

    fn mint_code(&mut self) {
        self.plugin_has_code = false;
        let form = match self.config.backend.transport {
            Transport::Link(form) => form,
            Transport::External => {
                self.external = Some(ExternalTransport::new());
                return self.try_open_plugin();
            }
        };
        let plan = RendezvousConfig {
            service: self.config.service.clone(),
            form,
            vendors: self.config.vendor.keys.clone(),
            revocations: self.config.revocations.clone(),
        };
        self.minting = Some(Box::pin(async {
            Rendezvous::open(plan).await.map(Box::new)
        }));
    }

    fn drop_code(&mut self) {
        self.accepting = false;
        if let Some(minting) = self.minting.take() {
            // a nameplate may be on its way already: it goes back too
            self.background_tasks.spawn(async move {
                if let Ok(rendezvous) = minting.await {
                    rendezvous.close().await;
                }
            });
        }
        if let Some(rendezvous) = self.rendezvous.take() {
            self.background_tasks.spawn(rendezvous.close());
        }
        if let (Some(plugin), true) = (&self.plugin, self.plugin_has_code) {
            plugin.close();
        }
    }

    fn send_to_agent(&mut self, message: ToAgent) {
        if self.pending_control.len() >= MAX_CONTROL_WAITING {
            return self.fail(agent_misbehaved("it asks faster than anybody can answer"));
        }
        self.pending_control.push(message);
        if self.unacked_permissions == 0 {
            self.flush_control();
        }
    }

    fn flush_control(&mut self) {
        let Some(agent) = &mut self.agent else {
            return self.pending_control.clear();
        };
        let told = self
            .pending_control
            .drain(..)
            .try_for_each(|message| agent.send_control(message));
        if let Err(failure) = told {
            self.fail(failure);
        }
    }

    fn set_permissions(&mut self, permissions: Permissions) {
        if let Some(agent) = &mut self.agent {
            agent.gate.permit(permissions);
        }
        if let Some(plugin) = &self.plugin {
            self.unacked_permissions += 1;
            plugin.set_permissions(permissions);
        }
    }

    fn release_input(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        let held = agent.gate.release();
        if let Some(tool) = &mut self.tool {
            tool.release(held);
        }
    }

    fn restrict_to_app(&mut self) {
        if let (Some(plugin), Some(program)) = (&self.plugin, &self.config.app) {
            plugin.restrict_to_app(program.pids.clone());
        }
    }

    fn attach_picture(&mut self) {
        let backend = self.backend();
        let attached = UnixStream::pair().and_then(|(ours, theirs)| {
            let tool = ToolLink::new(ours, backend)?;
            Ok((tool, theirs))
        });
        match (attached, &self.plugin) {
            (Ok((tool, theirs)), Some(plugin)) => {
                plugin.attach(theirs);
                self.tool = Some(tool);
            }
            (Err(error), _) => {
                let detail = format!("no socket for the picture: {error}");
                self.fail(Failure {
                    name: FailureName::Internal,
                    detail,
                });
            }
            (Ok(_), None) => {}
        }
    }

    /// Tool before plugin, so that releases reach it; last words before the link; all within limits,
    /// and the machine has one over them.
    fn shut_down(&mut self, reason: String) {
        self.flush_control();
        self.unacked_permissions = 0;
        let (tool, plugin) = (self.tool.take(), self.plugin.take());
        let (agent, rendezvous) = (self.agent.take(), self.rendezvous.take());
        self.external = None;
        let mut background_tasks = std::mem::take(&mut self.background_tasks);
        self.accepting = false;
        self.teardown = Some(Box::pin(async move {
            let picture = async {
                if let Some(tool) = tool {
                    tool.finish(FAREWELL_TIMEOUT).await;
                }
                if let Some(plugin) = plugin {
                    plugin.shutdown().await;
                }
            };
            let link = async {
                if let Some(agent) = agent {
                    agent.close(&reason, FAREWELL_TIMEOUT).await;
                }
                if let Some(rendezvous) = rendezvous {
                    rendezvous.close().await;
                }
            };
            let rest = async { while background_tasks.join_next().await.is_some() {} };
            tokio::join!(picture, link, rest);
        }));
    }

    /// The descriptor's capabilities; none before the plugin is loaded.
    fn backend(&self) -> BackendCapabilities {
        self.plugin_info
            .as_ref()
            .map(|info| info.capabilities)
            .unwrap_or_default()
    }

    fn customer_info(&self) -> CustomerInfo {
        let backend = &self.config.backend;
        let info = self.plugin_info.clone().unwrap_or_default();
        let this = UsableBackend {
            id: backend.id.clone(),
            label: backend.label.clone(),
            usable: true,
            reason: None,
        };
        let others = self
            .config
            .other_backends
            .iter()
            .filter(|other| other.id != backend.id)
            .cloned();
        CustomerInfo {
            backend: backend.id.clone(),
            label: backend.label.clone(),
            tool: info.tool,
            tool_version: info.tool_version,
            plugin_version: info.version,
            system: self.config.system.clone(),
            app_version: self.config.app_version.clone(),
            usable: std::iter::once(this).chain(others).collect(),
            launcher_version: self.config.launcher_version.clone(),
            only_program: self
                .machine
                .app_sharing()
                .filter(|sharing| sharing.app_only)
                .map(|sharing| sharing.name),
            unsupported: info.capabilities.unsupported(),
        }
    }
}

/// Waits for something that may not be there.
async fn of<T>(job: Option<impl Future<Output = T>>) -> T {
    match job {
        Some(job) => job.await,
        None => std::future::pending().await,
    }
}
