//! Keys and buttons of the agent that nobody else releases: their tool or plugin is gone, or the
//! launcher of an earlier session was killed. The X server releases none by itself.
//!
//! While an agent has control, a thread holds a connection of its own to the display, with a trace
//! on it. Whatever the gate releases, this thread releases too.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use etatuki_screen::{CancelToken, ControlTrace};
use etatuki_session::InputRelease;

/// Time in which the X server must have noticed that a plugin is dead.
const DEATH_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause between two attempts: the X server notices a dead client with a delay.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// The thread's inbox. The thread ends when this is dropped.
#[derive(Debug)]
pub(crate) struct HeldInput {
    tasks: Sender<Task>,
}

/// A task of the thread.
enum Task {
    LeaveTrace,
    Release,
    Finish(Box<dyn FnOnce() + Send>),
}

impl HeldInput {
    /// Starts the thread; it does nothing before an agent is given control.
    pub(crate) fn start() -> Self {
        let (tasks, inbox) = channel();
        start_thread(move || run(&inbox));
        Self { tasks }
    }
}

impl InputRelease for HeldInput {
    fn control_given(&self) {
        let _ = self.tasks.send(Task::LeaveTrace);
    }

    fn release(&self) {
        let _ = self.tasks.send(Task::Release);
    }

    fn finish(&self, done: Box<dyn FnOnce() + Send>) {
        let _ = self.tasks.send(Task::Finish(done));
    }
}

/// Releases what a launcher that was killed has left held, on a thread of its own.
pub(crate) fn release_of_earlier_sessions() {
    start_thread(|| {
        let Ok(cancel) = CancelToken::new() else {
            return;
        };
        if let Err(error) = etatuki_screen::release_stale_input(None, &cancel) {
            tracing::warn!("what an earlier session held down may be held still: {error}");
        }
    });
}

fn start_thread(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().name("etatuki-held".into());
    if let Err(error) = thread.spawn(run) {
        tracing::warn!("no thread to release held input: {error}");
    }
}

fn run(inbox: &Receiver<Task>) {
    let Ok(cancel) = CancelToken::new() else {
        return tracing::warn!("held input can't be released from here");
    };
    let mut trace = None;
    loop {
        match inbox.recv() {
            Ok(Task::LeaveTrace) if trace.is_none() => match ControlTrace::leave(None, &cancel) {
                Ok(left) => trace = Some(left),
                Err(error) => {
                    tracing::warn!("held input can't be released from here: {error}");
                }
            },
            Ok(Task::LeaveTrace) => {}
            Ok(Task::Release) => release(trace.as_ref()),
            Ok(Task::Finish(done)) => {
                finish(trace.take(), &cancel);
                done();
            }
            Err(_) => return finish(trace.take(), &cancel),
        }
    }
}

fn release(trace: Option<&ControlTrace>) {
    if let Some(Err(error)) = trace.map(ControlTrace::release_input) {
        tracing::warn!("what the agent held down may be held still: {error}");
    }
}

/// Releases what a session with control has left held, once its plugin is gone.
fn finish(trace: Option<ControlTrace>, cancel: &CancelToken) {
    let Some(trace) = trace else { return };
    release(Some(&trace));
    drop(trace);
    // A built-in module that was killed has left keycodes behind as well.
    release_left(cancel);
}

/// Releases what a launcher that was killed has left held: for its plugins' supervisors, which
/// outlive it.
pub fn release_after_launcher() {
    if let Ok(cancel) = CancelToken::new() {
        release_left(&cancel);
    }
}

/// Waits until the X server has noticed the deaths of those who pressed, and releases what they have
/// left held.
fn release_left(cancel: &CancelToken) {
    let until = Instant::now() + DEATH_TIMEOUT;
    while Instant::now() < until {
        match etatuki_screen::release_stale_input(None, cancel) {
            Ok(true) => return,
            Ok(false) => std::thread::sleep(RETRY_INTERVAL),
            Err(error) => return tracing::warn!("nothing could be put right: {error}"),
        }
    }
}
