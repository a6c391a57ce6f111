//! The socket to the plugin: drained always, written without waiting.

use std::io::ErrorKind;
use std::time::Duration;

use etatuki_picture::Screen;
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::gate::{Abilities, ToolInput};
use crate::tool_client::{ToolClient, ToolError, ToolEvent};

/// From attaching to the end of the handshake; an old tool is started in this time.
const GREETING_LIMIT: Duration = Duration::from_secs(5);
/// Input that waits for a tool which doesn't read, at most.
const MAX_WAITING: usize = 2 << 20;
/// A tool that takes nothing in for this long, while something waits for it, has failed.
const STALL_LIMIT: Duration = Duration::from_secs(10);
/// Read at once.
const PIECE: usize = 256 << 10;

/// A connected plugin.
pub(crate) struct ToolLink {
    stream: UnixStream,
    client: ToolClient,
    buffer: Vec<u8>,
    /// The handshake must be done by then.
    greeted_by: Option<Instant>,
    /// Something waits since the tool last took anything in.
    waiting_since: Option<Instant>,
    gone: bool,
}

impl ToolLink {
    /// Our end of the pair whose other end the plugin has got.
    pub(crate) fn new(
        stream: std::os::unix::net::UnixStream,
        abilities: Abilities,
    ) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: UnixStream::from_std(stream)?,
            client: ToolClient::new(abilities),
            buffer: vec![0; PIECE],
            greeted_by: Some(Instant::now() + GREETING_LIMIT),
            waiting_since: None,
            gone: false,
        })
    }

    /// The screen, once there is one.
    pub(crate) fn screen(&mut self) -> Option<&mut Screen> {
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
    pub(crate) fn input(&mut self, input: &ToolInput) {
        self.client.input(input);
        self.write();
    }

    /// The next event; `None` once, when the tool has closed its end. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<ToolEvent>, ToolError> {
        if self.gone {
            return std::future::pending().await;
        }
        loop {
            let event = self.client.next();
            self.write();
            if let Some(event) = event? {
                if event == ToolEvent::Opened {
                    self.greeted_by = None;
                }
                return Ok(Some(event));
            }
            if !self.wait().await? {
                self.gone = true;
                return Ok(None);
            }
        }
    }

    /// Sends what waits, closes our end, and lets the tool take it in: until it closes its own, or for
    /// as long as `limit`.
    pub(crate) async fn finish(mut self, limit: Duration) {
        let drained = async {
            while !self.gone && !self.client.out().is_empty() {
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
        let waits = !self.client.out().is_empty();
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

    /// Writes what the socket takes now; the rest waits.
    fn write(&mut self) {
        let out = self.client.out();
        while !out.is_empty() {
            match self.stream.try_write(out) {
                Ok(count) => {
                    out.drain(..count);
                    self.waiting_since = None;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // the tool is going; reading says so
                Err(_) => out.clear(),
            }
        }
        if !out.is_empty() {
            let limit = Instant::now();
            self.waiting_since.get_or_insert(limit);
        }
        if out.len() > MAX_WAITING {
            // as good as stalled: the limit is over at the next wait
            self.waiting_since = Instant::now().checked_sub(STALL_LIMIT);
            out.clear();
        }
    }
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
