//! A session's own thread, and the handle on it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::config::SessionConfig;
use crate::event_loop::SessionLoop;
use crate::view::{Command, Failure, FailureName, State, View};

/// Starts a session's own thread. Nothing happens before [`Command::Open`]. `on_view` is called on
/// that thread after every change, and once a second while something counts down; it must not block.
pub fn start(config: SessionConfig, on_view: Box<dyn Fn(View) + Send>) -> SessionHandle {
    let (messages, inbox) = unbounded_channel();
    let thread = std::thread::Builder::new()
        .name("etatuki-session".into())
        .spawn(move || run(config, inbox, &*on_view));
    let thread = thread
        .inspect_err(|error| tracing::error!(%error, "no thread for a session"))
        .ok();
    SessionHandle {
        sender: SessionSender { messages },
        thread,
    }
}

/// A running session. Dropping it closes the session without waiting for the end.
pub struct SessionHandle {
    sender: SessionSender,
    thread: Option<JoinHandle<()>>,
}

impl SessionHandle {
    /// Sends a command; after the end it goes nowhere.
    pub fn send(&self, command: Command) {
        self.sender.send(command);
    }

    /// Whether its thread has ended, so that no command does anything any more.
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// A handle for sending alone, for other threads.
    pub fn sender(&self) -> SessionSender {
        self.sender.clone()
    }

    /// Closes the session and waits until everything is gone (bounded: about two seconds).
    pub fn join(mut self) {
        self.sender.send_stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        self.sender.send_stop();
    }
}

/// Sends messages to a session; cheap to clone. Doesn't keep the session alive.
#[derive(Clone, Debug)]
pub struct SessionSender {
    messages: UnboundedSender<LoopMessage>,
}

/// What reaches the session's thread.
#[derive(Debug)]
pub(crate) enum LoopMessage {
    /// The customer's doing.
    Command(Command),
    /// Close, and end the thread.
    Stop,
}

impl SessionSender {
    /// Sends a command; after the end it goes nowhere.
    pub fn send(&self, command: Command) {
        let _ = self.messages.send(LoopMessage::Command(command));
    }

    /// For a process that must end because its display died: fails the session by that name, and waits until all of
    /// it is at rest, for `limit` at most. False when it was over already.
    pub fn display_lost(&self, limit: Duration) -> bool {
        if self.messages.is_closed() {
            return false;
        }
        self.send(Command::DisplayLost);
        self.send_stop();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        if let Ok(runtime) = runtime {
            let _ = runtime
                .block_on(async { tokio::time::timeout(limit, self.messages.closed()).await });
        }
        true
    }

    fn send_stop(&self) {
        let _ = self.messages.send(LoopMessage::Stop);
    }
}

/// The thread. A panic in it becomes a named failure: the window that shows it goes on.
fn run(config: SessionConfig, inbox: UnboundedReceiver<LoopMessage>, on_view: &dyn Fn(View)) {
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(SessionLoop::new(config, inbox, on_view).run());
        // a name that is still being resolved holds nobody up
        runtime.shutdown_timeout(Duration::from_millis(100));
        Ok::<(), std::io::Error>(())
    }));
    match ran {
        Ok(Ok(())) => {}
        Ok(Err(error)) => on_view(internal(format!("no runtime for the session: {error}"))),
        Err(_) => on_view(internal("the session's thread panicked".into())),
    }
}

/// A failure of our own, outside of the machine.
pub(crate) fn internal(detail: String) -> View {
    let failure = Failure {
        name: FailureName::Internal,
        detail,
    };
    View {
        state: State::Failed,
        failure: Some(failure),
        ..View::default()
    }
}
