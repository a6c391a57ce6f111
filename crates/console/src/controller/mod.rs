//! The agent's desk: one session at a time, the commands for it, and what the page shows of it.

mod view;
mod words;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::{broadcast, mpsc, watch};

pub(crate) use view::{Extra, Snapshot};

use crate::{
    code::Code,
    session::{self, ClipboardTo, Command, Event, Office, Why},
    viewer::Hub,
};
use view::View;

/// Presses that may wait.
const COMMANDS: usize = 16;
/// Events that may wait to be drawn.
const EVENTS: usize = 64;
/// Counters and clipboard texts that a page may be behind with.
const EXTRAS: usize = 16;

/// What the page may ask for.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Begin a session with this code.
    Connect(Box<Code>),
    /// Something for the session that runs.
    Session(Command),
}

/// A handle on the desk; clones are the same desk.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    wishes: mpsc::Sender<Wish>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    extras: broadcast::Sender<Extra>,
    hub: Arc<Mutex<Option<Arc<Hub>>>>,
}

impl Desk {
    /// A desk at which nothing goes on yet, run by a task of its own.
    pub(crate) fn open(office: Office) -> Self {
        let view = View::new(&office);
        let (wishes, wishes_end) = mpsc::channel(COMMANDS);
        let (snapshots, snapshots_end) = watch::channel(Arc::new(view.snapshot()));
        let (extras, _) = broadcast::channel(EXTRAS);
        let hub = Arc::default();
        let desk = Self {
            wishes,
            snapshots: snapshots_end,
            extras: extras.clone(),
            hub: Arc::clone(&hub),
        };
        let clerk = Clerk {
            office,
            view,
            snapshots,
            extras,
            hub,
        };
        tokio::spawn(clerk.work(wishes_end));
        desk
    }

    /// What the page shows, now and whenever it changes.
    pub(crate) fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// What passes by from now on.
    pub(crate) fn extras(&self) -> broadcast::Receiver<Extra> {
        self.extras.subscribe()
    }

    /// Where a viewer of the session that runs can be seated.
    pub(crate) fn hub(&self) -> Option<Arc<Hub>> {
        self.hub
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Asks for something; what makes no sense just now is passed over.
    pub(crate) async fn wish(&self, wish: Wish) {
        let _ = self.wishes.send(wish).await;
    }

    /// Ends what runs, without waiting for it.
    pub(crate) async fn end(&self) {
        self.wish(Wish::Session(Command::End(Why::Agent))).await;
    }

    /// Waits until no session runs.
    pub(crate) async fn idle(&self) {
        let mut snapshots = self.snapshots.clone();
        let _ = snapshots.wait_for(|snapshot| !snapshot.is_busy()).await;
    }
}

/// Does what the desk's handles ask for.
struct Clerk {
    office: Office,
    view: View,
    snapshots: watch::Sender<Arc<Snapshot>>,
    extras: broadcast::Sender<Extra>,
    hub: Arc<Mutex<Option<Arc<Hub>>>>,
}

impl Clerk {
    async fn work(mut self, mut wishes: mpsc::Receiver<Wish>) {
        while let Some(wish) = wishes.recv().await {
            if let Wish::Connect(code) = wish {
                self.session(*code, &mut wishes).await;
            }
        }
    }

    async fn session(&mut self, code: Code, wishes: &mut mpsc::Receiver<Wish>) {
        self.view.begin(&code, now());
        self.publish();
        let (commands, mut commands_end) = mpsc::channel(COMMANDS);
        let (events, mut events_end) = mpsc::channel(EVENTS);
        let Self {
            office,
            view,
            snapshots,
            extras,
            hub,
        } = self;
        let running = session::run(office, code, ClipboardTo::Page, &mut commands_end, &events);
        tokio::pin!(running);
        let finished = loop {
            tokio::select! {
                finished = &mut running => break finished,
                Some(event) = events_end.recv() => {
                    take_in(event, view, extras, hub);
                    snapshots.send_replace(Arc::new(view.snapshot()));
                }
                wish = wishes.recv() => match wish {
                    Some(Wish::Session(Command::Ask(ask))) if !view.may_ask(&ask) => {}
                    Some(Wish::Session(command)) => drop(commands.try_send(command)),
                    // One at a time: the page doesn't offer it.
                    Some(Wish::Connect(_)) => {}
                    None => drop(commands.try_send(Command::End(Why::Agent))),
                },
            }
        };
        // What was said before the end belongs into the log.
        while let Ok(event) = events_end.try_recv() {
            take_in(event, view, extras, hub);
        }
        set(hub, None);
        match finished.outcome {
            Ok(reason) => view.ended(&reason, now()),
            Err(trouble) => view.failed(&trouble, now()),
        }
        snapshots.send_replace(Arc::new(view.snapshot()));
    }

    fn publish(&self) {
        self.snapshots.send_replace(Arc::new(self.view.snapshot()));
    }
}

fn take_in(
    event: Event,
    view: &mut View,
    extras: &broadcast::Sender<Extra>,
    hub: &Mutex<Option<Arc<Hub>>>,
) {
    match event {
        Event::Linked(linked) => {
            set(hub, Some(linked));
            view.linked(now());
        }
        Event::Clipboard(text) => drop(extras.send(Extra::Clipboard { text })),
        Event::Pointer(x, y) => drop(extras.send(Extra::Pointer { x, y })),
        Event::Traffic(stats, path) => {
            let _ = extras.send(Extra::Traffic {
                sent: stats.sent,
                received: stats.received,
                path,
            });
        }
        other => view.take_in(other, now()),
    }
}

fn set(slot: &Mutex<Option<Arc<Hub>>>, hub: Option<Arc<Hub>>) {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = hub;
}

/// Milliseconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
