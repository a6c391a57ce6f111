//! The task that talks to the child: writes requests, matches replies, forwards events, enforces
//! every call's time-out, and cleans up after the child.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use etatuki_backend_api::{Fault, LogLevel, State};
use etatuki_rfb::plain_text;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::spawned_child::{HandleSocket, SpawnedChild};
use crate::error::{FailureReport, HostError};
use crate::events::EventQueue;
use crate::line_decoder::LineDecoder;
use crate::log_lines::LogLines;
use crate::supervised_process::SupervisedProcess;
use crate::wire::{self, CALL_TIMEOUT, Call, ChildMessage, PROTOCOL_VERSION, Request};

/// Channel for the result of a call.
pub(super) type Reply = oneshot::Sender<Result<serde_json::Value, HostError>>;

/// Command of the handle. When the handle is gone, the task kills the child.
pub(super) enum HostCommand {
    Call {
        call: Call,
        stream: Option<UnixStream>,
        reply: Reply,
    },
    Shutdown(oneshot::Sender<()>),
}

/// Time in which a child whose pipe has ended must be dead, or else it has closed the pipe itself.
const DEATH_NOTICE_TIMEOUT: Duration = Duration::from_secs(1);
/// Reads from each pipe of a child that is being ended; a pipe holds no more by default.
const MAX_LAST_READS: usize = 16;
/// Longest time to read what a dead child left in its pipes.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(100);
/// Part of [`CALL_TIMEOUT`] that a shutdown leaves for the child's own exit.
const EXIT_TIME: Duration = Duration::from_millis(200);

pub(super) struct HostTask {
    process: Arc<SupervisedProcess>,
    /// Readable when the child has died, and its supervisor after it.
    pidfd: AsyncFd<OwnedFd>,
    stdin: Option<pipe::Sender>,
    stdout: pipe::Receiver,
    stderr: Option<pipe::Receiver>,
    handles: HandleSocket,
    queue: Arc<EventQueue>,
    decoder: LineDecoder,
    log_lines: LogLines,
    /// Whether the child's hello has come.
    greeted: bool,
    last_id: u64,
    /// Calls without a reply, oldest first. The child replies in order.
    pending: VecDeque<PendingCall>,
    /// Time at which the oldest pending call counts as hung.
    deadline: Option<Instant>,
}

struct PendingCall {
    id: u64,
    name: &'static str,
    reply: Reply,
}

/// Reason why the task stops.
enum StopReason {
    /// The child died.
    Died,
    /// A closed pipe or socket of a child that lives on.
    ClosedPipe,
    /// The plugin hung in this call.
    Hung(String),
    /// The child sent something that isn't in the protocol.
    ProtocolBroken(String),
    /// The handle was dropped.
    Dropped,
    /// The handle asked for a shutdown.
    Shutdown(oneshot::Sender<()>),
}

impl HostTask {
    pub(super) fn new(child: SpawnedChild, queue: Arc<EventQueue>) -> io::Result<Self> {
        Ok(Self {
            pidfd: register_pidfd(child.process.pidfd()?)?,
            process: child.process,
            stdin: Some(pipe::Sender::from_owned_fd(child.stdin)?),
            stdout: pipe::Receiver::from_owned_fd(child.stdout)?,
            stderr: Some(pipe::Receiver::from_owned_fd(child.stderr)?),
            handles: child.handles,
            queue,
            decoder: LineDecoder::default(),
            log_lines: LogLines::default(),
            greeted: false,
            last_id: 0,
            pending: VecDeque::new(),
            deadline: None,
        })
    }

    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<HostCommand>) {
        let reason = match self.serve(&mut commands).await {
            StopReason::Shutdown(done) => {
                // The group is killed below, whatever happens here.
                let _ = timeout(CALL_TIMEOUT, self.shut_down()).await;
                StopReason::Shutdown(done)
            }
            reason => reason,
        };
        self.drain_now();
        let last_words = self.queue.last_words();
        self.process.end();
        if timeout(CALL_TIMEOUT, self.pidfd.readable()).await.is_err() {
            self.process.kill_supervisor();
            let _ = timeout(CALL_TIMEOUT, self.pidfd.readable()).await;
        }
        let _ = timeout(DRAIN_TIMEOUT, self.drain_pipes()).await;
        let ending = self.process.exit_description();
        let process = Arc::clone(&self.process);
        let _ = timeout(
            CALL_TIMEOUT,
            tokio::task::spawn_blocking(move || process.reap()),
        )
        .await;
        commands.close();
        self.report(reason, ending, last_words);
    }

    /// Serves commands and the child, until there is a reason to stop.
    async fn serve(&mut self, commands: &mut mpsc::Receiver<HostCommand>) -> StopReason {
        loop {
            let step = tokio::select! {
                command = commands.recv() => match command {
                    Some(HostCommand::Call { call, stream, reply }) => self.send(call, stream, reply).await,
                    Some(HostCommand::Shutdown(done)) => Err(StopReason::Shutdown(done)),
                    None => Err(StopReason::Dropped),
                },
                step = self.serve_child() => step,
            };
            if let Err(reason) = step {
                return reason;
            }
        }
    }

    /// Waits for the child's next line, output, death or time-out, and handles it. Cancel safe.
    async fn serve_child(&mut self) -> Result<(), StopReason> {
        let mut line = [0; 8192];
        let mut output = [0; 4096];
        let (deadline, stderr) = (self.deadline, &mut self.stderr);
        // A child that never stops sending reaches its deadline all the same.
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(self.hung());
        }
        tokio::select! {
            biased; // lines and output from before its death come first
            read = self.stdout.read(&mut line) => match read {
                Ok(0) | Err(_) => Err(self.on_pipe_end().await),
                Ok(length) => self.on_bytes(&line[..length]),
            },
            read = async { match stderr { Some(stderr) => stderr.read(&mut output).await, None => pending().await } } => {
                match read {
                    Ok(0) | Err(_) => self.stderr = None,
                    Ok(length) => self.on_output(&output[..length]),
                }
                Ok(())
            }
            _ = self.pidfd.readable() => Err(StopReason::Died),
            () = async { match deadline { Some(deadline) => sleep_until(deadline).await, None => pending().await } } => {
                Err(self.hung())
            }
        }
    }

    /// Returns why a pipe or socket of the child's has ended: mostly because it died, which shows a moment later.
    async fn on_pipe_end(&self) -> StopReason {
        match timeout(DEATH_NOTICE_TIMEOUT, self.pidfd.readable()).await {
            Ok(_) => StopReason::Died,
            Err(_) => StopReason::ClosedPipe,
        }
    }

    fn hung(&self) -> StopReason {
        let call = self.pending.front().map_or("a call", |call| call.name);
        StopReason::Hung(call.to_owned())
    }

    async fn send(
        &mut self,
        call: Call,
        stream: Option<UnixStream>,
        reply: Reply,
    ) -> Result<(), StopReason> {
        self.last_id += 1;
        let (id, name) = (self.last_id, call.name());
        if let Call::Open { code } = &call {
            self.queue.redact_code(code);
        }
        self.pending.push_back(PendingCall { id, name, reply });
        self.deadline
            .get_or_insert_with(|| Instant::now() + CALL_TIMEOUT);
        if let Some(stream) = stream {
            // The header promises a blocking socket; the caller's may not be one.
            let sent = stream
                .set_nonblocking(false)
                .and_then(|()| self.handles.send(id, &stream));
            if sent.is_err() {
                return Err(self.on_pipe_end().await);
            }
        }
        let line = wire::encode_line(&Request { id, call })
            .map_err(|error| StopReason::ProtocolBroken(error.to_string()))?;
        if line.len() > wire::MAX_LINE_BYTES {
            return Err(StopReason::ProtocolBroken(format!(
                "{name} is too long to be sent"
            )));
        }
        let Some(stdin) = &mut self.stdin else {
            return Err(StopReason::Died);
        };
        match timeout(CALL_TIMEOUT, stdin.write_all(&line)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.on_pipe_end().await),
            Err(_) => Err(StopReason::Hung(name.to_owned())),
        }
    }

    fn on_bytes(&mut self, bytes: &[u8]) -> Result<(), StopReason> {
        self.decoder.push(bytes);
        let broken = |reason: &str| StopReason::ProtocolBroken(reason.to_owned());
        while let Some(line) = self
            .decoder
            .next()
            .map_err(|_| broken("a line is too long"))?
        {
            let message =
                serde_json::from_slice(&line).map_err(|_| broken("a line is not a message"))?;
            self.on_message(message)?;
        }
        Ok(())
    }

    fn on_message(&mut self, message: ChildMessage) -> Result<(), StopReason> {
        match message {
            ChildMessage::Hello {
                protocol: PROTOCOL_VERSION,
                ..
            } if !self.greeted => self.greeted = true,
            ChildMessage::Hello { protocol, .. } => {
                return Err(StopReason::ProtocolBroken(format!(
                    "hello with protocol {protocol}"
                )));
            }
            _ if !self.greeted => {
                return Err(StopReason::ProtocolBroken(
                    "the first line is not hello".to_owned(),
                ));
            }
            ChildMessage::Done { id, mut value } => {
                clean(&mut value);
                self.on_reply(id, Ok(value))?;
            }
            ChildMessage::Failed { id, error } => self.on_reply(id, Err(error.into()))?,
            ChildMessage::Changed {
                state,
                code,
                failure,
            } => {
                self.queue
                    .push_changed(state.0, code, failure.map(Into::into));
            }
            ChildMessage::Log { level, text } => {
                self.queue.push_log(LogLevel::from_raw(level), &text)
            }
            ChildMessage::Hung { call } => return Err(StopReason::Hung(plain_text(&call))),
        }
        Ok(())
    }

    fn on_reply(
        &mut self,
        id: u64,
        result: Result<serde_json::Value, HostError>,
    ) -> Result<(), StopReason> {
        let Some(call) = self.pending.pop_front_if(|call| call.id == id) else {
            return Err(StopReason::ProtocolBroken(format!(
                "an answer to call {id}, which is not due"
            )));
        };
        // The next call has its own time-out from now on, since the child begins with it only now.
        self.deadline = self.pending.front().map(|_| Instant::now() + CALL_TIMEOUT);
        let _ = call.reply.send(result);
        Ok(())
    }

    fn on_output(&mut self, bytes: &[u8]) {
        let queue = &self.queue;
        self.log_lines
            .push(bytes, |line| queue.push_log(LogLevel::Info, &line));
    }

    /// Requests the shutdown, and waits until the child has died.
    async fn shut_down(&mut self) {
        let (reply, result) = oneshot::channel();
        if self.send(Call::Shutdown, None, reply).await.is_err() {
            return;
        }
        let destroyed =
            async { while self.serve_child().await.is_ok() && !self.pending.is_empty() {} };
        let _ = timeout(CALL_TIMEOUT - EXIT_TIME, destroyed).await;
        drop(result);
        self.stdin = None; // the end of the pipe tells the child to exit
        while self.serve_child().await.is_ok() {}
    }

    /// Reads what the child has sent and printed by now, before its end makes its tool talk.
    fn drain_now(&mut self) {
        let mut buffer = [0; 8192];
        for _ in 0..MAX_LAST_READS {
            match self.stdout.try_read(&mut buffer) {
                Ok(length @ 1..) if self.on_bytes(&buffer[..length]).is_ok() => {}
                _ => break,
            }
        }
        let stderr = self.stderr.take();
        for _ in 0..MAX_LAST_READS {
            match stderr.as_ref().map(|stderr| stderr.try_read(&mut buffer)) {
                Some(Ok(length @ 1..)) => self.on_output(&buffer[..length]),
                _ => break,
            }
        }
        self.stderr = stderr;
        let queue = Arc::clone(&self.queue);
        self.log_lines
            .flush(|line| queue.push_log(LogLevel::Info, &line));
    }

    /// Reads what the child sent and printed before it died.
    async fn drain_pipes(&mut self) {
        let mut buffer = [0; 8192];
        while let Ok(length) = self.stdout.read(&mut buffer).await
            && length > 0
            && self.on_bytes(&buffer[..length]).is_ok()
        {}
        if let Some(mut stderr) = self.stderr.take() {
            while let Ok(length) = stderr.read(&mut buffer).await
                && length > 0
            {
                self.on_output(&buffer[..length]);
            }
        }
    }

    /// Fails the pending calls, and pushes the last events.
    fn report(mut self, reason: StopReason, ending: Option<String>, last_words: String) {
        let queue = Arc::clone(&self.queue);
        self.log_lines
            .flush(|line| queue.push_log(LogLevel::Info, &line));
        let ending = ending.unwrap_or_else(|| "it could not be waited for".to_owned());
        let first = self.pending.pop_front();
        let (description, error) = match reason {
            StopReason::Died => {
                let ending = format!("{ending}{last_words}");
                (ending.clone(), HostError::Died(ending))
            }
            StopReason::ClosedPipe => {
                let ending = format!("it closed its pipe, and was ended for that{last_words}");
                (ending.clone(), HostError::Died(ending))
            }
            StopReason::Hung(call) => {
                let error = HostError::Hung { call, last_words };
                (error.to_string(), error)
            }
            StopReason::ProtocolBroken(reason) => (
                format!("it broke the protocol: {reason}"),
                HostError::Protocol(reason),
            ),
            StopReason::Dropped => return queue.end(),
            StopReason::Shutdown(done) => {
                queue.end();
                let _ = done.send(());
                return;
            }
        };
        // Perhaps nobody waits for a reply, so the failure is an event too, by its own name.
        if !matches!(error, HostError::Died(_)) {
            let failure = FailureReport {
                fault: Fault::Plugin,
                name: error.name().to_owned(),
                text: description.clone(),
            };
            queue.push_changed(State::Failed, None, Some(failure));
        }
        if let Some(call) = first {
            let _ = call.reply.send(Err(error));
        }
        for call in self.pending {
            let _ = call.reply.send(Err(HostError::Died(description.clone())));
        }
        queue.end_with_death(description);
    }
}

/// Cleans every text of a reply: it is the plugin's, and goes to logs, windows and the agent.
fn clean(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => *text = plain_text(text),
        serde_json::Value::Array(values) => values.iter_mut().for_each(clean),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(clean),
        _ => {}
    }
}

/// Registers a pidfd with the runtime; it becomes readable when its process has died.
fn register_pidfd(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is one open descriptor as long as it lives, and the `AsyncFd` owns it.
    Ok(unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) }?)
}
