//! The controller behind the page: one session at a time, the page's commands for it, and the state
//! that the page shows.

pub(crate) mod log_messages;
mod readiness;
mod snapshot;
mod view_model;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::{broadcast, mpsc, watch};

pub(crate) use snapshot::{EphemeralEvent, Snapshot};

use crate::{
    code::Code,
    session::{
        self, AgentContext, COMMAND_QUEUE, ClipboardTo, EVENT_QUEUE, EndReason, SessionCommand,
        SessionEvent,
    },
    viewer::ViewerHub,
};
use readiness::Schedule;
use view_model::ViewModel;

/// Ephemeral events that a page may lag behind; it misses older ones.
const EPHEMERAL_QUEUE: usize = 16;

/// A command of the page.
#[derive(Debug)]
pub(crate) enum UiCommand {
    /// Starts a session with a code.
    Connect(Box<Code>),
    /// A command for the running session.
    Session(SessionCommand),
}

/// The hub of the running session, if there is one.
type HubSlot = Arc<Mutex<Option<Arc<ViewerHub>>>>;

/// A handle to the controller's task; clones share the task.
#[derive(Clone, Debug)]
pub(crate) struct SessionController {
    commands: mpsc::Sender<UiCommand>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    ephemeral: broadcast::Sender<EphemeralEvent>,
    hub: HubSlot,
}

impl SessionController {
    /// Spawns the task, without a session.
    pub(crate) fn spawn(context: AgentContext) -> Self {
        let view_model = ViewModel::new(&context);
        let (commands, commands_end) = mpsc::channel(COMMAND_QUEUE);
        let (snapshots, snapshots_end) = watch::channel(Arc::new(view_model.snapshot()));
        let (ephemeral, _) = broadcast::channel(EPHEMERAL_QUEUE);
        let hub = HubSlot::default();
        let controller = Self {
            commands,
            snapshots: snapshots_end,
            ephemeral: ephemeral.clone(),
            hub: Arc::clone(&hub),
        };
        let task = ControllerTask {
            context,
            view_model,
            snapshots,
            ephemeral,
            hub,
        };
        tokio::spawn(task.run(commands_end));
        controller
    }

    /// Returns a receiver of the page's state, now and after each change.
    pub(crate) fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// Returns a receiver of the ephemeral events from now on.
    pub(crate) fn ephemeral(&self) -> broadcast::Receiver<EphemeralEvent> {
        self.ephemeral.subscribe()
    }

    /// Returns the running session's hub, where a viewer can be attached.
    pub(crate) fn hub(&self) -> Option<Arc<ViewerHub>> {
        self.hub
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sends a command. The task ignores commands that don't fit the state.
    pub(crate) async fn send(&self, command: UiCommand) {
        let _ = self.commands.send(command).await;
    }

    /// Ends the running session, without waiting for its end.
    pub(crate) async fn end_session(&self) {
        self.send(UiCommand::Session(SessionCommand::End(EndReason::Agent)))
            .await;
    }

    /// Waits until no session runs.
    pub(crate) async fn wait_idle(&self) {
        let mut snapshots = self.snapshots.clone();
        let _ = snapshots.wait_for(|snapshot| !snapshot.is_busy()).await;
    }
}

/// The task that runs the sessions, one after the other.
struct ControllerTask {
    context: AgentContext,
    view_model: ViewModel,
    snapshots: watch::Sender<Arc<Snapshot>>,
    ephemeral: broadcast::Sender<EphemeralEvent>,
    hub: HubSlot,
}

impl ControllerTask {
    async fn run(mut self, mut ui_commands: mpsc::Receiver<UiCommand>) {
        let mut schedule = Schedule::default();
        loop {
            tokio::select! {
                command = ui_commands.recv() => match command {
                    Some(UiCommand::Connect(code)) => {
                        self.run_session(*code, &mut ui_commands).await;
                        schedule.check_now();
                    }
                    Some(UiCommand::Session(_)) => {}
                    None => return,
                },
                readiness = schedule.next_check(&self.context) => {
                    schedule.on_checked(&readiness);
                    self.view_model.on_readiness(readiness);
                    self.snapshots
                        .send_replace(Arc::new(self.view_model.snapshot()));
                }
            }
        }
    }

    async fn run_session(&mut self, code: Code, ui_commands: &mut mpsc::Receiver<UiCommand>) {
        self.view_model.on_connect(&code, now());
        self.snapshots
            .send_replace(Arc::new(self.view_model.snapshot()));
        let (commands, mut commands_end) = mpsc::channel(COMMAND_QUEUE);
        let (events, mut events_end) = mpsc::channel(EVENT_QUEUE);
        let Self {
            context,
            view_model,
            snapshots,
            ephemeral,
            hub,
        } = self;
        let running = session::run(context, code, ClipboardTo::Page, &mut commands_end, &events);
        tokio::pin!(running);
        let finished = loop {
            tokio::select! {
                finished = &mut running => break finished,
                Some(event) = events_end.recv() => {
                    handle_event(event, view_model, ephemeral, hub);
                    snapshots.send_replace(Arc::new(view_model.snapshot()));
                }
                command = ui_commands.recv() => match command {
                    Some(UiCommand::Session(SessionCommand::Ask(ask)))
                        if !view_model.accept_ask(&ask) => {}
                    Some(UiCommand::Session(command)) => drop(commands.try_send(command)),
                    // The page offers no second session while one runs.
                    Some(UiCommand::Connect(_)) => {}
                    None => drop(commands.try_send(SessionCommand::End(EndReason::Agent))),
                },
            }
        };
        // Events before the end belong in the log.
        while let Ok(event) = events_end.try_recv() {
            handle_event(event, view_model, ephemeral, hub);
        }
        set_hub(hub, None);
        match finished.outcome {
            Ok(reason) => view_model.on_ended(&reason, now()),
            Err(error) => view_model.on_failed(&error, now()),
        }
        snapshots.send_replace(Arc::new(view_model.snapshot()));
    }
}

fn handle_event(
    event: SessionEvent,
    view_model: &mut ViewModel,
    ephemeral: &broadcast::Sender<EphemeralEvent>,
    hub: &Mutex<Option<Arc<ViewerHub>>>,
) {
    match event {
        SessionEvent::Linked(linked) => {
            set_hub(hub, Some(linked));
            view_model.on_linked(now());
        }
        SessionEvent::Clipboard(text) => drop(ephemeral.send(EphemeralEvent::Clipboard { text })),
        SessionEvent::Pointer(x, y) => drop(ephemeral.send(EphemeralEvent::Pointer { x, y })),
        SessionEvent::Traffic(report) => {
            let _ = ephemeral.send(EphemeralEvent::from(report));
        }
        other => view_model.on_event(other, now()),
    }
}

fn set_hub(slot: &Mutex<Option<Arc<ViewerHub>>>, hub: Option<Arc<ViewerHub>>) {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = hub;
}

/// Returns the Unix time in milliseconds.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
