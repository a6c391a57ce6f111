//! The loop: does what the machine says, and tells it what happened.

use std::thread::JoinHandle;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::config::SessionConfig;
use crate::view::{Command, View};

/// Starts a session's own thread. Nothing happens before [`Command::Open`]. `on_view` is called on
/// that thread after every change, and once a second while something counts down; it must not block.
pub fn start(config: SessionConfig, on_view: Box<dyn Fn(View) + Send>) -> SessionHandle {
    let (commands, inbox) = unbounded_channel();
    let thread = std::thread::Builder::new()
        .name("etatuki-session".into())
        .spawn(move || run(config, inbox, on_view))
        .ok();
    SessionHandle { commander: Commander { commands }, thread }
}

/// A running session. Dropping it closes the session without waiting for the end.
pub struct SessionHandle {
    commander: Commander,
    thread: Option<JoinHandle<()>>,
}

impl SessionHandle {
    /// Sends a command; after the end it goes nowhere.
    pub fn send(&self, command: Command) {
        self.commander.send(command);
    }

    /// A handle for sending alone, for other threads.
    pub fn commander(&self) -> Commander {
        self.commander.clone()
    }

    /// Closes the session and waits until everything is gone (bounded: about two seconds).
    pub fn join(mut self) {
        self.commander.send_stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        self.commander.send_stop();
    }
}

/// Sends commands to a session; cheap to clone. Doesn't keep the session alive.
#[derive(Clone, Debug)]
pub struct Commander {
    commands: UnboundedSender<Order>,
}

/// What reaches the session's thread.
#[derive(Debug)]
pub(crate) enum Order {
    Command(Command),
    /// Close, and end the thread.
    Stop,
}

impl Commander {
    /// Sends a command; after the end it goes nowhere.
    pub fn send(&self, command: Command) {
        let _ = self.commands.send(Order::Command(command));
    }

    fn send_stop(&self) {
        let _ = self.commands.send(Order::Stop);
    }
}

fn run(_config: SessionConfig, _inbox: UnboundedReceiver<Order>, _on_view: Box<dyn Fn(View) + Send>) {}
