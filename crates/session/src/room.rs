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

use crate::agent::{Agent, AgentEvent, MAX_CONTROL_WAITING, misbehaved};
use crate::config::{SessionConfig, Transport};
use crate::door::{Door, DoorEvent, DoorPlan};
use crate::gate::{BackendCapabilities, ServerCapabilities};
use crate::machine::{Action, Event, Machine, Probed, Settings};
use crate::own::OwnDoor;
use crate::plugin::{Facts, News, Plugin};
use crate::reach::ServiceChange;
use crate::run::Order;
use crate::tool_client::{ToolError, ToolEvent};
use crate::tool_link::ToolLink;
use crate::view::{Command, FailureName, FailureView, View};

/// At the end: how long the last words to the agent, and the last releases to the tool, may take.
const LAST_WORDS: Duration = Duration::from_millis(300);

type Job<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Something happened.
enum Signal {
    Order(Option<Order>),
    Minted(Result<Box<Door>, FailureView>),
    Door(DoorEvent),
    Plugin(News),
    Agent(AgentEvent),
    Tool(Result<Option<ToolEvent>, ToolError>),
    Ended,
    Time,
}

/// Where everything of one session meets.
pub(crate) struct Room<'a> {
    config: SessionConfig,
    inbox: UnboundedReceiver<Order>,
    on_view: &'a dyn Fn(View),
    shown: Option<View>,
    began: Instant,
    machine: Machine,
    /// For the machine; most often empty again at once.
    events: VecDeque<Event>,
    /// The thread ends once all is at rest.
    stopping: bool,
    plugin: Option<Plugin>,
    facts: Option<Facts>,
    plugin_state: PluginState,
    /// The plugin has been handed the code of the present door.
    handed_over: bool,
    minting: Option<Job<Result<Box<Door>, FailureView>>>,
    door: Option<Box<Door>>,
    /// What is there instead of a door when the tool brings its own transport.
    own: Option<OwnDoor>,
    accepting: bool,
    agent: Option<Agent>,
    /// What the agent hears once the plugin knows what is permitted: or his first key could be there
    /// before that, and be lost.
    untold: Vec<ToAgent>,
    /// Permissions that the plugin hasn't taken note of yet.
    permitting: u32,
    tool: Option<ToolLink>,
    /// Small things that are being ended and that nobody waits for before the end.
    chores: JoinSet<()>,
    ending: Option<Job<()>>,
}

impl<'a> Room<'a> {
    pub(crate) fn new(
        config: SessionConfig,
        inbox: UnboundedReceiver<Order>,
        on_view: &'a dyn Fn(View),
    ) -> Self {
        let usable = config.others.iter().filter(|other| other.usable);
        let settings = Settings {
            switchable: usable.map(|other| other.id.clone()).collect(),
            resume: None,
            program: config.program.as_ref().map(|program| program.name.clone()),
            own_transport: config.backend.transport == Transport::Own,
        };
        Self {
            config,
            inbox,
            on_view,
            shown: None,
            began: Instant::now(),
            machine: Machine::new(settings),
            events: VecDeque::new(),
            stopping: false,
            plugin: None,
            facts: None,
            plugin_state: PluginState::Closed,
            handed_over: false,
            minting: None,
            door: None,
            own: None,
            accepting: false,
            agent: None,
            untold: Vec::new(),
            permitting: 0,
            tool: None,
            chores: JoinSet::new(),
            ending: None,
        }
    }

    /// Runs until it is told to stop and everything is at rest.
    pub(crate) async fn run(mut self) {
        while !(self.stopping && self.machine.at_rest()) {
            self.show();
            let signal = self.next().await;
            self.take(signal);
            while let Some(event) = self.events.pop_front() {
                for action in self.machine.handle(event, self.began.elapsed()) {
                    self.perform(action);
                }
            }
            self.pump();
            if self.agent.as_ref().is_some_and(Agent::gives_way) {
                // The link sends what it has been given, while the rest is still to be made.
                tokio::task::yield_now().await;
            }
        }
        self.show();
    }

    fn show(&mut self) {
        let code = self.door.as_deref().map(Door::shown);
        let code = code.or_else(|| self.own.as_ref().and_then(OwnDoor::shown));
        let view = self.machine.view(self.began.elapsed(), code.as_ref());
        if self.shown.as_ref() != Some(&view) {
            self.shown = Some(view.clone());
            (self.on_view)(view);
        }
    }

    async fn next(&mut self) -> Signal {
        let due = self
            .machine
            .deadline(self.began.elapsed())
            .map(|due| self.began + due);
        let held = self.holds_screen();
        let door = self.door.as_deref_mut().filter(|_| self.accepting);
        let settled = self.tool.as_ref().is_some_and(ToolLink::is_settled);
        let picture = self.agent.as_ref().and_then(|agent| agent.due(settled));
        let due = due.into_iter().chain(picture).min();
        let takes_input = !self.tool.as_ref().is_some_and(ToolLink::is_full);
        let tool = self.tool.as_mut().filter(|_| !held);
        tokio::select! {
            order = self.inbox.recv(), if !self.stopping => Signal::Order(order),
            minted = of(self.minting.as_mut()) => Signal::Minted(minted),
            event = of(door.map(Door::next)) => Signal::Door(event),
            news = of(self.plugin.as_mut().map(Plugin::news)) => Signal::Plugin(news),
            event = of(self.agent.as_mut().map(|agent| agent.next(takes_input))) => Signal::Agent(event),
            event = of(tool.map(ToolLink::next)) => Signal::Tool(event),
            () = of(self.ending.as_mut()) => Signal::Ended,
            () = of(due.map(tokio::time::sleep_until)) => Signal::Time,
        }
    }

    fn take(&mut self, signal: Signal) {
        match signal {
            Signal::Order(order) => self.order(order.unwrap_or(Order::Stop)),
            Signal::Minted(minted) => {
                self.minting = None;
                match minted {
                    Ok(door) => self.door = Some(door),
                    Err(failure) => self.failed(failure),
                }
                self.hand_code_over();
            }
            Signal::Door(DoorEvent::Attempt(attempt)) => self.attempted(attempt),
            Signal::Door(DoorEvent::Service(change)) => self.happened(match change {
                ServiceChange::Lost => Event::ServiceLost,
                ServiceChange::Back => Event::ServiceBack,
                ServiceChange::Forgot => Event::CodeForgotten,
            }),
            Signal::Plugin(news) => self.heard(news),
            Signal::Agent(event) => self.agent_did(event),
            Signal::Tool(event) => self.tool_did(event),
            Signal::Ended => {
                self.ending = None;
                self.happened(Event::Released);
            }
            Signal::Time => self.happened(Event::Tick),
        }
    }

    fn order(&mut self, order: Order) {
        let command = match order {
            Order::Command(command) => command,
            Order::Stop => {
                self.stopping = true;
                Command::Close
            }
        };
        if let Command::Others(others) = &command {
            self.config.others.clone_from(others);
        }
        self.happened(Event::Command(command));
    }

    fn attempted(&mut self, attempt: Attempt) {
        self.accepting = false;
        let event = match attempt {
            Attempt::Authenticated(link) => {
                let (identity, agent) =
                    Agent::new(*link, ServerCapabilities::declared(self.backend()));
                self.agent = Some(agent);
                Event::Authenticated(identity)
            }
            Attempt::Stranger { reason } => {
                tracing::warn!(reason, "somebody who isn't the vendor's tried the code");
                Event::Stranger
            }
            Attempt::WrongGuess { agent } => {
                tracing::warn!(
                    name = agent.name,
                    organisation = agent.organisation,
                    "a wrong code was tried"
                );
                Event::WrongGuess(agent)
            }
            Attempt::Noise => Event::Noise,
            Attempt::Closed => Event::Failed(FailureView {
                name: FailureName::LinkFailed,
                detail: "the link's endpoint closed by itself".into(),
            }),
        };
        self.happened(event);
    }

    fn heard(&mut self, news: News) {
        match news {
            News::Started(facts) => {
                self.happened(Event::Probed(Probed {
                    tool: facts.tool.is_some(),
                    input: facts.capabilities.input,
                    limits: facts.limits,
                }));
                self.facts = Some(facts);
            }
            News::Failed(failure) => self.failed(failure),
            News::Permitted => {
                self.permitting = self.permitting.saturating_sub(1);
                self.tell_all();
            }
            News::Changed { state, code } => {
                self.plugin_state = state;
                match &mut self.own {
                    Some(own) => self.events.extend(own.heard(state, code)),
                    None if state == PluginState::Waiting && self.handed_over => {
                        self.plugin_opened(code.as_deref());
                    }
                    None => {}
                }
            }
        }
        self.hand_code_over();
    }

    /// The plugin is closed and the door stands: it may have the code.
    fn hand_code_over(&mut self) {
        let (Some(plugin), Some(_)) = (&self.plugin, &self.facts) else {
            return;
        };
        let code = match (&self.door, &self.own) {
            (Some(door), _) => door.plain(),
            (None, Some(own)) => own.handed(),
            (None, None) => return,
        };
        if self.plugin_state == PluginState::Closed && !self.handed_over {
            self.handed_over = true;
            plugin.open(code);
        }
    }

    /// The code is read from the plugin alone. One that makes its own needs a transport of its own.
    fn plugin_opened(&mut self, code: Option<&String>) {
        let ours = self.door.as_deref().map(Door::plain);
        if code.map(String::as_str) == ours.as_deref().map(String::as_str) {
            self.happened(Event::Ready);
        } else {
            let detail = "the plugin doesn't show the code that it was given".into();
            self.failed(FailureView {
                name: FailureName::PluginFailed,
                detail,
            });
        }
    }

    fn agent_did(&mut self, event: AgentEvent) {
        match event {
            AgentEvent::Asked(ask) => self.happened(Event::Asked(ask)),
            AgentEvent::Ended => self.happened(Event::AgentEnded),
            AgentEvent::Lost => self.happened(Event::LinkLost),
            AgentEvent::Failed(failure) => self.failed(failure),
            AgentEvent::Sent => {}
            AgentEvent::Clipboard(text) => {
                let (Some(agent), Some(tool)) = (&self.agent, &mut self.tool) else {
                    return;
                };
                if let Some(input) = agent.gate.clipboard_in(text) {
                    tool.input(input);
                }
            }
            AgentEvent::Input => self.let_through(),
        }
    }

    fn let_through(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        loop {
            match (agent.passed(), &mut self.tool) {
                (Ok(Some(input)), Some(tool)) => {
                    agent.acts(tool);
                    tool.input(input);
                }
                (Ok(Some(_)), None) => {}
                (Ok(None), _) => return,
                (Err(failure), _) => return self.failed(failure),
            }
        }
    }

    fn tool_did(&mut self, event: Result<Option<ToolEvent>, ToolError>) {
        if let (Some(agent), Some(tool)) = (&mut self.agent, &self.tool)
            && let Err(failure) = agent.set_server(tool.server())
        {
            return self.failed(failure);
        }
        let done = match (event, &mut self.agent) {
            (Ok(Some(ToolEvent::Updated { changed: true })), Some(agent)) => {
                agent.changed();
                Ok(())
            }
            (Ok(Some(ToolEvent::CutText(text))), Some(agent)) => {
                agent.copied(text);
                Ok(())
            }
            (Ok(Some(ToolEvent::SizeAnswer(status))), Some(agent)) => agent.size_answer(status),
            (Ok(Some(_)), _) => Ok(()),
            (Ok(None), _) => {
                self.happened(Event::ToolGone);
                Ok(())
            }
            (Err(error), _) => Err(FailureView {
                name: self.machine.picture_fault(FailureName::ToolFailed),
                detail: error.to_string(),
            }),
        };
        if let Err(failure) = done {
            self.failed(failure);
        }
    }

    fn pump(&mut self) {
        if let (Some(agent), Some(tool)) = (&mut self.agent, &mut self.tool) {
            agent.pump(tool);
        }
    }

    /// What the tool sends meanwhile waits in its socket.
    fn holds_screen(&self) -> bool {
        self.agent.as_ref().is_some_and(Agent::holds_screen)
    }

    fn happened(&mut self, event: Event) {
        self.events.push_back(event);
    }

    fn failed(&mut self, failure: FailureView) {
        tracing::warn!(
            name = failure.name.as_str(),
            detail = failure.detail,
            "the session failed"
        );
        self.happened(Event::Failed(failure));
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Prepare => {
                let plugin = Plugin::start(
                    self.config.host_exe.clone(),
                    self.config.backend.plugin.clone(),
                );
                self.plugin = Some(plugin);
                self.plugin_state = PluginState::Closed;
                self.facts = None;
                self.mint();
            }
            Action::Mint => self.mint(),
            Action::DropCode => self.drop_code(),
            Action::Accept => self.accepting = true,
            Action::DeleteNameplate => {
                if let Some(door) = &mut self.door {
                    self.chores.spawn(door.release());
                }
            }
            Action::Introduce => self.tell(ToAgent::Info(Box::new(self.info()))),
            Action::Tell(message) => self.tell(message),
            Action::Permit(permissions) => self.permit(permissions),
            Action::Mute(muted) => {
                if let Some(agent) = &mut self.agent {
                    agent.gate.mute(muted);
                }
            }
            Action::ReleaseInput => self.release_input(),
            Action::Limit => self.limit(),
            Action::Attach => self.attach(),
            Action::Shutdown { reason } => self.shut_down(reason),
            Action::Abandon => {
                tracing::warn!("the session didn't end in time; what is left is killed");
                self.ending = None;
            }
        }
    }

    fn mint(&mut self) {
        self.handed_over = false;
        let form = match self.config.backend.transport {
            Transport::Link(form) => form,
            Transport::Own => {
                self.own = Some(OwnDoor::new());
                return self.hand_code_over();
            }
        };
        let plan = DoorPlan {
            service: self.config.service.clone(),
            form,
            vendors: self.config.vendor.keys.clone(),
            revocations: self.config.revocations.clone(),
        };
        self.minting = Some(Box::pin(async { Door::open(plan).await.map(Box::new) }));
    }

    fn drop_code(&mut self) {
        self.accepting = false;
        if let Some(minting) = self.minting.take() {
            // a nameplate may be on its way already: it goes back too
            self.chores.spawn(async move {
                if let Ok(door) = minting.await {
                    door.close().await;
                }
            });
        }
        if let Some(door) = self.door.take() {
            self.chores.spawn(door.close());
        }
        if let (Some(plugin), true) = (&self.plugin, self.handed_over) {
            plugin.close();
        }
    }

    fn tell(&mut self, message: ToAgent) {
        if self.untold.len() >= MAX_CONTROL_WAITING {
            return self.failed(misbehaved("it asks faster than anybody can answer"));
        }
        self.untold.push(message);
        if self.permitting == 0 {
            self.tell_all();
        }
    }

    fn tell_all(&mut self) {
        let Some(agent) = &mut self.agent else {
            return self.untold.clear();
        };
        let told = self
            .untold
            .drain(..)
            .try_for_each(|message| agent.tell(message));
        if let Err(failure) = told {
            self.failed(failure);
        }
    }

    fn permit(&mut self, permissions: Permissions) {
        if let Some(agent) = &mut self.agent {
            agent.gate.permit(permissions);
        }
        if let Some(plugin) = &self.plugin {
            self.permitting += 1;
            plugin.permissions(permissions);
        }
    }

    fn release_input(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        let held = agent.gate.release();
        if let Some(tool) = &mut self.tool {
            tool.release(held);
        }
    }

    fn limit(&mut self) {
        if let (Some(plugin), Some(program)) = (&self.plugin, &self.config.program) {
            plugin.limit(program.pids.clone());
        }
    }

    fn attach(&mut self) {
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
                self.failed(FailureView {
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
        self.tell_all();
        self.permitting = 0;
        let (tool, plugin) = (self.tool.take(), self.plugin.take());
        let (agent, door) = (self.agent.take(), self.door.take());
        self.own = None;
        let mut chores = std::mem::take(&mut self.chores);
        self.accepting = false;
        self.ending = Some(Box::pin(async move {
            let picture = async {
                if let Some(tool) = tool {
                    tool.finish(LAST_WORDS).await;
                }
                if let Some(plugin) = plugin {
                    plugin.shutdown().await;
                }
            };
            let link = async {
                if let Some(agent) = agent {
                    agent.goodbye(&reason, LAST_WORDS).await;
                }
                if let Some(door) = door {
                    door.close().await;
                }
            };
            let rest = async { while chores.join_next().await.is_some() {} };
            tokio::join!(picture, link, rest);
        }));
    }

    /// The descriptor's capabilities; none before the plugin is loaded.
    fn backend(&self) -> BackendCapabilities {
        self.facts
            .as_ref()
            .map(|facts| facts.capabilities)
            .unwrap_or_default()
    }

    fn info(&self) -> CustomerInfo {
        let backend = &self.config.backend;
        let facts = self.facts.clone().unwrap_or_default();
        let this = UsableBackend {
            id: backend.id.clone(),
            label: backend.label.clone(),
            usable: true,
            reason: None,
        };
        let others = self
            .config
            .others
            .iter()
            .filter(|other| other.id != backend.id)
            .cloned();
        CustomerInfo {
            backend: backend.id.clone(),
            label: backend.label.clone(),
            tool: facts.tool,
            tool_version: facts.tool_version,
            plugin_version: facts.version,
            system: self.config.system.clone(),
            app_version: self.config.app_version.clone(),
            usable: std::iter::once(this).chain(others).collect(),
            launcher_version: self.config.launcher_version.clone(),
            only_program: self
                .machine
                .program()
                .filter(|program| program.alone)
                .map(|program| program.name),
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
