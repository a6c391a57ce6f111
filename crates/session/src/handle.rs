//! The thread of a session, and the handles on it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::Duration;

use etatuki_session_core::{Command, Failure, FailureName, State, View};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::config::SessionConfig;
use crate::event_loop::{LoopMessage, SessionLoop};

/// Time that the runtime's blocking tasks get at the end: a host name may still be resolving.
const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(100);

/// Starts a session on a thread of its own. Nothing happens before [`Command::Open`].
///
/// `on_view` is called on that thread after every change, and once a second while something counts
/// down. It must not block.
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

/// A running session. Dropping the handle closes the session without waiting for the end.
pub struct SessionHandle {
    sender: SessionSender,
    thread: Option<JoinHandle<()>>,
}

impl SessionHandle {
    /// Sends a command. Does nothing after the session's end.
    pub fn send(&self, command: Command) {
        self.sender.send(command);
    }

    /// Returns whether the session's thread has ended, so that commands do nothing any more.
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Returns a handle for sending alone, for other threads.
    pub fn sender(&self) -> SessionSender {
        self.sender.clone()
    }

    /// Closes the session and waits until everything is gone, for about two seconds at most.
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

/// A handle that sends commands to a session. Cheap to clone; doesn't keep the session alive.
#[derive(Clone, Debug)]
pub struct SessionSender {
    messages: UnboundedSender<LoopMessage>,
}

impl SessionSender {
    /// Sends a command. Does nothing after the session's end.
    pub fn send(&self, command: Command) {
        let _ = self.messages.send(LoopMessage::Command(command));
    }

    /// Fails the session as `display-lost`, and waits until plugin and link are closed, for `timeout`
    /// at most. Returns false if the session was over before.
    ///
    /// For a process that must end because its display died.
    pub fn display_lost(&self, timeout: Duration) -> bool {
        if self.messages.is_closed() {
            return false;
        }
        self.send(Command::DisplayLost);
        self.send_stop();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        if let Ok(runtime) = runtime {
            let closed = async { tokio::time::timeout(timeout, self.messages.closed()).await };
            let _ = runtime.block_on(closed);
        }
        true
    }

    fn send_stop(&self) {
        let _ = self.messages.send(LoopMessage::Stop);
    }
}

/// Runs the session's loop to its end. A panic in it becomes a named failure, so that the window
/// which shows the session goes on.
fn run(config: SessionConfig, inbox: UnboundedReceiver<LoopMessage>, on_view: &dyn Fn(View)) {
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(SessionLoop::new(config, inbox, on_view).run());
        runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
        Ok::<(), std::io::Error>(())
    }));
    match ran {
        Ok(Ok(())) => {}
        Ok(Err(error)) => on_view(internal_failure(format!(
            "no runtime for the session: {error}"
        ))),
        Err(_) => on_view(internal_failure("the session's thread panicked")),
    }
}

/// Returns the view of a session that failed outside of its machine.
pub(crate) fn internal_failure(detail: impl Into<String>) -> View {
    View {
        state: State::Failed,
        failure: Some(Failure::new(FailureName::Internal, detail)),
        ..View::default()
    }
}
