//! The task that talks to the child: writes requests, matches replies, passes events on, holds every call to its
//! limit, and sees to it that nothing of the child is left.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use etatuki_backend_api::{Fault, State};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::LIMIT;
use super::spawn::{Handles, Spawned};
use crate::error::{FailureReport, HostError};
use crate::events::{EventQueue, LogLevel};
use crate::group::Group;
use crate::lines::{Messages, Printed};
use crate::wire::{self, Call, FromChild, PROTOCOL, Request};

/// Where the answer to a call goes.
pub(super) type Reply = oneshot::Sender<Result<serde_json::Value, HostError>>;

/// What the handle asks of the task. When no handle is left, the child is killed.
pub(super) enum Order {
    Call {
        call: Call,
        stream: Option<UnixStream>,
        reply: Reply,
    },
    Shutdown(oneshot::Sender<()>),
}

/// How long to wait for what a dead child left in its pipes.
const LEFTOVERS: Duration = Duration::from_millis(100);
/// Part of [`LIMIT`] that a shutdown leaves for the child's own end.
const LAST_STEP: Duration = Duration::from_millis(200);

pub(super) struct Driver {
    group: Arc<Group>,
    death: AsyncFd<OwnedFd>,
    stdin: Option<pipe::Sender>,
    stdout: pipe::Receiver,
    stderr: Option<pipe::Receiver>,
    handles: Handles,
    queue: Arc<EventQueue>,
    messages: Messages,
    printed: Printed,
    greeted: bool,
    last_id: u64,
    /// Calls that were sent and not answered, oldest first. The child answers in order.
    pending: VecDeque<Pending>,
    /// When the oldest of them has hung.
    deadline: Option<Instant>,
}

struct Pending {
    id: u64,
    name: &'static str,
    reply: Reply,
}

/// Why the child's service is over.
enum End {
    /// It died, or closed its pipe.
    Died,
    /// It hung in this call.
    Hung(String),
    /// It said something that isn't in the protocol.
    Broke(String),
    /// Nobody has the handle any more.
    Dropped,
    /// The handle asked for it.
    Shutdown(oneshot::Sender<()>),
}

impl Driver {
    pub(super) fn new(child: Spawned, queue: Arc<EventQueue>) -> io::Result<Self> {
        Ok(Self {
            death: watch(child.group.watch()?)?,
            group: child.group,
            stdin: Some(pipe::Sender::from_owned_fd(child.stdin)?),
            stdout: pipe::Receiver::from_owned_fd(child.stdout)?,
            stderr: Some(pipe::Receiver::from_owned_fd(child.stderr)?),
            handles: child.handles,
            queue,
            messages: Messages::default(),
            printed: Printed::default(),
            greeted: false,
            last_id: 0,
            pending: VecDeque::new(),
            deadline: None,
        })
    }

    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let end = match self.serve(&mut orders).await {
            End::Shutdown(done) => {
                // Whatever happens on the way, it ends with the group gone.
                let _ = timeout(LIMIT, self.shut_down()).await;
                End::Shutdown(done)
            }
            end => end,
        };
        let group = Arc::clone(&self.group);
        let _ = timeout(LIMIT, tokio::task::spawn_blocking(move || group.end())).await;
        self.group.kill();
        let _ = timeout(LEFTOVERS, self.leftovers()).await;
        let _ = timeout(LIMIT, self.death.readable()).await;
        let how = self.group.how_it_ended();
        self.group.reap();
        let group = Arc::clone(&self.group);
        let _ = timeout(LIMIT, tokio::task::spawn_blocking(move || group.sweep())).await;
        orders.close();
        self.report(end, how);
    }

    /// One thing after the other until it is over.
    async fn serve(&mut self, orders: &mut mpsc::Receiver<Order>) -> End {
        loop {
            let step = tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Call { call, stream, reply }) => self.send(call, stream, reply).await,
                    Some(Order::Shutdown(done)) => Err(End::Shutdown(done)),
                    None => Err(End::Dropped),
                },
                step = self.step() => step,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Waits for the child: a line, something printed, its death, or that it is late. Cancel safe.
    async fn step(&mut self) -> Result<(), End> {
        let mut line = [0; 8192];
        let mut print = [0; 4096];
        let (deadline, stderr) = (self.deadline, &mut self.stderr);
        // One that never stops talking is late all the same.
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(self.hung());
        }
        tokio::select! {
            biased; // what it said before it died comes first
            read = self.stdout.read(&mut line) => match read {
                Ok(0) | Err(_) => Err(End::Died),
                Ok(length) => self.heard(&line[..length]),
            },
            read = async { match stderr { Some(stderr) => stderr.read(&mut print).await, None => pending().await } } => {
                match read {
                    Ok(0) | Err(_) => self.stderr = None,
                    Ok(length) => self.printed(&print[..length]),
                }
                Ok(())
            }
            _ = self.death.readable() => Err(End::Died),
            () = async { match deadline { Some(deadline) => sleep_until(deadline).await, None => pending().await } } => {
                Err(self.hung())
            }
        }
    }

    fn hung(&self) -> End {
        let call = self.pending.front().map_or("a call", |call| call.name);
        End::Hung(call.to_owned())
    }

    async fn send(
        &mut self,
        call: Call,
        stream: Option<UnixStream>,
        reply: Reply,
    ) -> Result<(), End> {
        self.last_id += 1;
        let (id, name) = (self.last_id, call.name());
        if let Call::Open { code } = &call {
            self.queue.learn(code);
        }
        self.pending.push_back(Pending { id, name, reply });
        self.deadline.get_or_insert_with(|| Instant::now() + LIMIT);
        if let Some(stream) = stream {
            // The header promises a blocking socket, and whoever made it may not have.
            let sent = stream
                .set_nonblocking(false)
                .and_then(|()| self.handles.send(id, &stream));
            sent.map_err(|_| End::Died)?;
        }
        let line =
            wire::line(&Request { id, call }).map_err(|error| End::Broke(error.to_string()))?;
        if line.len() > wire::MAX_LINE {
            return Err(End::Broke(format!("{name} is too long to be sent")));
        }
        let Some(stdin) = &mut self.stdin else {
            return Err(End::Died);
        };
        match timeout(LIMIT, stdin.write_all(&line)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Died),
            Err(_) => Err(End::Hung(name.to_owned())),
        }
    }

    fn heard(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.messages.push(bytes);
        let broke = |reason: &str| End::Broke(reason.to_owned());
        while let Some(line) = self
            .messages
            .next()
            .map_err(|_| broke("a line is too long"))?
        {
            let message =
                serde_json::from_slice(&line).map_err(|_| broke("a line is not a message"))?;
            self.handle(message)?;
        }
        Ok(())
    }

    fn handle(&mut self, message: FromChild) -> Result<(), End> {
        match message {
            FromChild::Hello {
                protocol: PROTOCOL, ..
            } if !self.greeted => self.greeted = true,
            FromChild::Hello { protocol, .. } => {
                return Err(End::Broke(format!("hello with protocol {protocol}")));
            }
            _ if !self.greeted => return Err(End::Broke("the first line is not hello".to_owned())),
            FromChild::Done { id, value } => self.answered(id, Ok(value))?,
            FromChild::Failed { id, error } => self.answered(id, Err(error.into()))?,
            FromChild::Changed {
                state,
                code,
                failure,
            } => {
                self.queue.changed(state.0, code, failure.map(Into::into));
            }
            FromChild::Log { level, text } => self.queue.log(log_level(level), &text),
            FromChild::Hung { call } => return Err(End::Hung(call)),
        }
        Ok(())
    }

    fn answered(
        &mut self,
        id: u64,
        answer: Result<serde_json::Value, HostError>,
    ) -> Result<(), End> {
        let Some(call) = self.pending.pop_front_if(|call| call.id == id) else {
            return Err(End::Broke(format!(
                "an answer to call {id}, which is not due"
            )));
        };
        // The next one has its own two seconds from now, since the child has only begun with it.
        self.deadline = self.pending.front().map(|_| Instant::now() + LIMIT);
        let _ = call.reply.send(answer);
        Ok(())
    }

    fn printed(&mut self, bytes: &[u8]) {
        let queue = &self.queue;
        self.printed
            .push(bytes, |line| queue.log(LogLevel::Info, &line));
    }

    /// Asks for the end and waits until the child has died.
    async fn shut_down(&mut self) {
        let (reply, answer) = oneshot::channel();
        if self.send(Call::Shutdown, None, reply).await.is_err() {
            return;
        }
        let destroyed = async { while self.step().await.is_ok() && !self.pending.is_empty() {} };
        let _ = timeout(LIMIT - LAST_STEP, destroyed).await;
        drop(answer);
        self.stdin = None; // the child's sign to end
        while self.step().await.is_ok() {}
    }

    /// Reads what the child said and printed before it died.
    async fn leftovers(&mut self) {
        let mut buffer = [0; 8192];
        while let Ok(length) = self.stdout.read(&mut buffer).await
            && length > 0
            && self.heard(&buffer[..length]).is_ok()
        {}
        if let Some(mut stderr) = self.stderr.take() {
            while let Ok(length) = stderr.read(&mut buffer).await
                && length > 0
            {
                self.printed(&buffer[..length]);
            }
        }
    }

    /// Tells everybody who waits.
    fn report(mut self, end: End, how: Option<String>) {
        let queue = Arc::clone(&self.queue);
        self.printed.flush(|line| queue.log(LogLevel::Info, &line));
        let how = how.unwrap_or_else(|| "it could not be waited for".to_owned());
        let first = self.pending.pop_front();
        let (description, error) = match end {
            End::Died => (how.clone(), HostError::Died(how)),
            End::Hung(call) => (
                format!("the plugin hung in {call}"),
                HostError::Hung { call },
            ),
            End::Broke(reason) => (
                format!("it broke the protocol: {reason}"),
                HostError::Protocol(reason),
            ),
            End::Dropped => return queue.end(),
            End::Shutdown(done) => {
                queue.end();
                let _ = done.send(());
                return;
            }
        };
        // Nobody may be waiting for an answer: the failure has to be told as one, by its own name.
        if !matches!(error, HostError::Died(_)) {
            let failure = FailureReport {
                fault: Fault::Ours,
                name: error.name().to_owned(),
                text: description.clone(),
            };
            queue.changed(State::Failed, None, Some(failure));
        }
        if let Some(call) = first {
            let _ = call.reply.send(Err(error));
        }
        for call in self.pending {
            let _ = call.reply.send(Err(HostError::Died(description.clone())));
        }
        queue.died(description);
    }
}

/// Becomes readable when the process that the handle is of has died.
fn watch(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is one open descriptor as long as it lives, and the `AsyncFd` owns it.
    Ok(unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) }?)
}

fn log_level(level: u32) -> LogLevel {
    use etatuki_backend_api::raw;
    match level {
        raw::LOG_ERROR => LogLevel::Error,
        raw::LOG_WARN => LogLevel::Warn,
        raw::LOG_INFO => LogLevel::Info,
        _ => LogLevel::Debug,
    }
}
