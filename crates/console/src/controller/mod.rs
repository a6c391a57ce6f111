//! The agent's desk: one session at a time, the commands for it, and what the page shows of it.

mod log_messages;
mod view_model;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::{broadcast, mpsc, watch};

pub(crate) use view_model::{EphemeralEvent, Snapshot};

use crate::{
    code::Code,
    session::{self, AgentContext, ClipboardTo, EndReason, SessionCommand, SessionEvent},
    viewer::ViewerHub,
};
use view_model::ViewModel;

/// Presses that may wait.
const COMMANDS: usize = 16;
/// Events that may wait to be drawn.
const EVENTS: usize = 64;
/// Counters and clipboard texts that a page may be behind with.
const EXTRAS: usize = 16;

/// What the page may ask for.
#[derive(Debug)]
pub(crate) enum UiCommand {
    /// Begin a session with this code.
    Connect(Box<Code>),
    /// Something for the session that runs.
    Session(SessionCommand),
}

/// A handle on the desk; clones are the same desk.
#[derive(Clone, Debug)]
pub(crate) struct SessionController {
    commands: mpsc::Sender<UiCommand>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    ephemeral: broadcast::Sender<EphemeralEvent>,
    hub: Arc<Mutex<Option<Arc<ViewerHub>>>>,
}

impl SessionController {
    /// A desk at which nothing goes on yet, run by a task of its own.
    pub(crate) fn open(context: AgentContext) -> Self {
        let view_model = ViewModel::new(&context);
        let (commands, commands_end) = mpsc::channel(COMMANDS);
        let (snapshots, snapshots_end) = watch::channel(Arc::new(view_model.snapshot()));
        let (ephemeral, _) = broadcast::channel(EXTRAS);
        let hub = Arc::default();
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

    /// What the page shows, now and whenever it changes.
    pub(crate) fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// What passes by from now on.
    pub(crate) fn ephemeral(&self) -> broadcast::Receiver<EphemeralEvent> {
        self.ephemeral.subscribe()
    }

    /// Where a viewer of the session that runs can be seated.
    pub(crate) fn hub(&self) -> Option<Arc<ViewerHub>> {
        self.hub
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Asks for something; what makes no sense just now is passed over.
    pub(crate) async fn command(&self, command: UiCommand) {
        let _ = self.commands.send(command).await;
    }

    /// Ends what runs, without waiting for it.
    pub(crate) async fn end(&self) {
        self.command(UiCommand::Session(SessionCommand::End(EndReason::Agent)))
            .await;
    }

    /// Waits until no session runs.
    pub(crate) async fn idle(&self) {
        let mut snapshots = self.snapshots.clone();
        let _ = snapshots.wait_for(|snapshot| !snapshot.is_busy()).await;
    }
}

/// Does what the desk's handles ask for.
struct ControllerTask {
    context: AgentContext,
    view_model: ViewModel,
    snapshots: watch::Sender<Arc<Snapshot>>,
    ephemeral: broadcast::Sender<EphemeralEvent>,
    hub: Arc<Mutex<Option<Arc<ViewerHub>>>>,
}

impl ControllerTask {
    async fn run(mut self, mut ui_commands: mpsc::Receiver<UiCommand>) {
        while let Some(command) = ui_commands.recv().await {
            if let UiCommand::Connect(code) = command {
                self.run_session(*code, &mut ui_commands).await;
            }
        }
    }

    async fn run_session(&mut self, code: Code, ui_commands: &mut mpsc::Receiver<UiCommand>) {
        self.view_model.begin(&code, now());
        self.publish();
        let (commands, mut commands_end) = mpsc::channel(COMMANDS);
        let (events, mut events_end) = mpsc::channel(EVENTS);
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
                    Some(UiCommand::Session(SessionCommand::Ask(ask))) if !view_model.may_ask(&ask) => {}
                    Some(UiCommand::Session(command)) => drop(commands.try_send(command)),
                    // One at a time: the page doesn't offer it.
                    Some(UiCommand::Connect(_)) => {}
                    None => drop(commands.try_send(SessionCommand::End(EndReason::Agent))),
                },
            }
        };
        // What was said before the end belongs into the log.
        while let Ok(event) = events_end.try_recv() {
            handle_event(event, view_model, ephemeral, hub);
        }
        set(hub, None);
        match finished.outcome {
            Ok(reason) => view_model.ended(&reason, now()),
            Err(session_error) => view_model.failed(&session_error, now()),
        }
        snapshots.send_replace(Arc::new(view_model.snapshot()));
    }

    fn publish(&self) {
        self.snapshots
            .send_replace(Arc::new(self.view_model.snapshot()));
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
            set(hub, Some(linked));
            view_model.linked(now());
        }
        SessionEvent::Clipboard(text) => drop(ephemeral.send(EphemeralEvent::Clipboard { text })),
        SessionEvent::Pointer(x, y) => drop(ephemeral.send(EphemeralEvent::Pointer { x, y })),
        SessionEvent::Traffic(stats, path) => {
            let _ = ephemeral.send(EphemeralEvent::Traffic {
                sent: stats.sent,
                received: stats.received,
                path,
            });
        }
        other => view_model.on_event(other, now()),
    }
}

fn set(slot: &Mutex<Option<Arc<ViewerHub>>>, hub: Option<Arc<ViewerHub>>) {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = hub;
}

/// Milliseconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
