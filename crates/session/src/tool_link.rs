//! The socket to the plugin: drained at all times, but for the moments in which a part of an update has gone to the agent;
//! written without waiting.
//!
//! Input waits here as messages and not as bytes: when control ends, what the tool hasn't been given yet is dropped, and
//! what it holds by what it has been given is released.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::Duration;

use etatuki_picture::Framebuffer;
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::gate::{BackendCapabilities, ServerCapabilities, ToolInput};
use crate::tool_client::{ToolClient, ToolError, ToolEvent};

/// From attaching to the end of the handshake; an old tool is started in this time.
const GREETING_LIMIT: Duration = Duration::from_secs(5);
/// Messages that may wait for a tool which doesn't read, before no more are taken from the agent.
const MAX_WAITING: usize = 32;
/// What the system may hold for a tool which doesn't read, in bytes, its own books included: a few messages.
const SEND_BUFFER: usize = 4096;
/// A tool that takes nothing in for this long, while something waits for it, has failed.
const STALL_LIMIT: Duration = Duration::from_secs(10);
/// Read at once.
const PIECE: usize = 256 << 10;

/// A connected plugin.
pub(crate) struct ToolLink {
    stream: UnixStream,
    client: ToolClient,
    /// Input that the tool hasn't been given.
    waiting: VecDeque<ToolInput>,
    /// The pointer as the tool has been given it.
    pointer: (u16, u16),
    buttons: u16,
    buffer: Vec<u8>,
    /// The handshake must be done by then.
    greeted_by: Option<Instant>,
    /// Something waits since the tool last took anything in.
    waiting_since: Option<Instant>,
    gone: bool,
    /// It broke the rules: nothing more is read from it.
    failed: bool,
}

impl ToolLink {
    /// Our end of the pair whose other end the plugin has got.
    pub(crate) fn new(
        stream: std::os::unix::net::UnixStream,
        backend: BackendCapabilities,
    ) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        set_socket_send_buffer_size(&stream, SEND_BUFFER)?;
        Ok(Self {
            stream: UnixStream::from_std(stream)?,
            client: ToolClient::new(backend),
            waiting: VecDeque::new(),
            pointer: (0, 0),
            buttons: 0,
            buffer: vec![0; PIECE],
            greeted_by: Some(Instant::now() + GREETING_LIMIT),
            waiting_since: None,
            gone: false,
            failed: false,
        })
    }

    /// Declared capabilities, and what the server has confirmed so far.
    pub(crate) fn server(&self) -> ServerCapabilities {
        self.client.server()
    }

    /// The screen, once there is one.
    pub(crate) fn screen(&mut self) -> Option<&mut Framebuffer> {
        self.client.screen()
    }

    /// Whether the screen shows a state that the tool's screen really had.
    pub(crate) fn is_settled(&self) -> bool {
        self.client.is_settled()
    }

    /// Whether the tool has painted the screen; before, there is nothing to show.
    pub(crate) fn is_painted(&self) -> bool {
        self.client.is_painted()
    }

    /// Asks for the next update, unless that was done already.
    pub(crate) fn ask(&mut self) {
        self.client.ask();
        self.write();
    }

    /// Gives the tool what came through the gate.
    pub(crate) fn input(&mut self, input: ToolInput) {
        if matches!(input, ToolInput::CutText(_)) {
            // the newest text is the one that counts, and the others are long
            let is_text = |waiting: &ToolInput| matches!(waiting, ToolInput::CutText(_));
            self.waiting.retain(|waiting| !is_text(waiting));
        }
        self.waiting.push_back(input);
        self.write();
    }

    /// Whether so much waits for the tool that nothing more should be taken from the agent.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() > MAX_WAITING
    }

    /// Control ends, or pauses: what waits is dropped, and `held`, what releases the keys that the agent holds down,
    /// goes to the tool, with every release that was dropped. The pointer is released where the tool has it.
    pub(crate) fn release(&mut self, held: Vec<ToolInput>) {
        let dropped = std::mem::take(&mut self.waiting);
        let releases = dropped.into_iter().chain(held).filter(is_key_release);
        self.waiting.extend(releases);
        if self.buttons != 0 {
            let (x, y) = self.pointer;
            self.waiting
                .push_back(ToolInput::Pointer { buttons: 0, x, y });
        }
        self.write();
    }

    /// The next event; `None` once, when the tool has closed its end. After an error none comes any more. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<ToolEvent>, ToolError> {
        if self.gone || self.failed {
            return std::future::pending().await;
        }
        let event = self.listen().await;
        self.gone = matches!(event, Ok(None));
        self.failed = event.is_err();
        event
    }

    async fn listen(&mut self) -> Result<Option<ToolEvent>, ToolError> {
        let was_full = self.is_full();
        loop {
            let event = self.client.next();
            self.write();
            if let Some(event) = event? {
                if event == ToolEvent::Opened {
                    self.greeted_by = None;
                }
                return Ok(Some(event));
            }
            if was_full && !self.is_full() {
                return Ok(Some(ToolEvent::InputDrained));
            }
            if !self.wait().await? {
                return Ok(None);
            }
        }
    }

    /// Sends what waits, closes our end, and lets the tool take it in: until it closes its own, or for
    /// as long as `limit`.
    pub(crate) async fn finish(mut self, limit: Duration) {
        let drained = async {
            while !self.gone && self.owes() {
                if self.stream.writable().await.is_err() {
                    return;
                }
                self.write();
            }
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.stream).await;
            while self.stream.readable().await.is_ok() {
                match self.stream.try_read(&mut self.buffer) {
                    Ok(0) => return,
                    Err(error) if error.kind() != ErrorKind::WouldBlock => return,
                    _ => {}
                }
            }
        };
        let _ = tokio::time::timeout(limit, drained).await;
    }

    /// Waits for the socket or for a limit; false at its end.
    async fn wait(&mut self) -> Result<bool, ToolError> {
        let waits = self.owes();
        let stalled = self.waiting_since.map(|since| since + STALL_LIMIT);
        tokio::select! {
            ready = self.stream.readable() => {
                ready.map_err(socket)?;
                self.read()
            }
            ready = self.stream.writable(), if waits => {
                ready.map_err(socket)?;
                self.write();
                Ok(true)
            }
            () = until(self.greeted_by) => Err(ToolError::Silent),
            () = until(stalled) => Err(ToolError::Stalled),
        }
    }

    fn read(&mut self) -> Result<bool, ToolError> {
        match self.stream.try_read(&mut self.buffer) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.client.push(&self.buffer[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(socket(error)),
        }
    }

    /// Whether something waits for the tool.
    fn owes(&mut self) -> bool {
        !self.client.out().is_empty() || !self.waiting.is_empty()
    }

    /// Writes what the socket takes now; the rest waits. Input becomes bytes one message at a time, when everything
    /// before it has left.
    fn write(&mut self) {
        while self.flush() {
            let Some(input) = self.waiting.pop_front() else {
                break;
            };
            if let ToolInput::Pointer { buttons, x, y } = input {
                (self.buttons, self.pointer) = (buttons, (x, y));
            }
            self.client.input(&input);
        }
        if self.owes() {
            self.waiting_since.get_or_insert(Instant::now());
        }
    }

    /// Whether all bytes have left.
    fn flush(&mut self) -> bool {
        let out = self.client.out();
        while !out.is_empty() {
            match self.stream.try_write(out) {
                Ok(count) => {
                    out.drain(..count);
                    self.waiting_since = None;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                // the tool is going; reading says so
                Err(_) => {
                    out.clear();
                    self.waiting.clear();
                }
            }
        }
        true
    }
}

fn is_key_release(input: &ToolInput) -> bool {
    matches!(
        input,
        ToolInput::Key { down: false, .. } | ToolInput::QemuKey { down: false, .. }
    )
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn socket(error: std::io::Error) -> ToolError {
    ToolError::Socket(error.kind())
}

#[cfg(test)]
mod tests;
