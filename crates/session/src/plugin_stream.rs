//! The socket to a plugin's RFB server. It is read at all times, except while a part of an update
//! has gone to the agent; it is written without waiting.
//!
//! Input waits here as messages and not as bytes: when control ends, what the server hasn't been
//! given yet is dropped, and keys that it has been given are released.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::Duration;

use etatuki_picture::Framebuffer;
use etatuki_session_core::flood_brake::FloodBrake;
use etatuki_session_core::gate::{BackendCapabilities, PluginInput, ServerCapabilities};
use etatuki_session_core::message_progress::MessageProgress;
use etatuki_session_core::plugin_rfb_client::{PluginRfbClient, PluginRfbError, PluginRfbEvent};
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::maybe::maybe_until;

/// Time from attaching to the end of the handshake. An old tool is started in this time.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages of input that may wait for a server that doesn't read. Above, no more are taken from
/// the agent.
const MAX_QUEUED_INPUT: usize = 32;
/// Clipboard texts among them; each may have a megabyte.
const MAX_QUEUED_TEXTS: usize = 2;
/// Size of the socket's send buffer in bytes, the system's bookkeeping included: a few messages for
/// a server that doesn't read.
const SEND_BUFFER_BYTES: usize = 4096;
/// Time after which a server that reads nothing, while something waits for it, has failed.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that are read at once.
const READ_CHUNK_BYTES: usize = 256 << 10;

/// The socket to one attached plugin.
pub(crate) struct PluginStream {
    stream: UnixStream,
    client: PluginRfbClient,
    /// Input that the server hasn't been given.
    queued: VecDeque<PluginInput>,
    /// The pointer as the server was last given it.
    pointer: Pointer,
    buffer: Vec<u8>,
    /// Deadline of the handshake, while it lasts.
    handshake_deadline: Option<Instant>,
    /// Since when something waits and the server has read nothing.
    unread_since: Option<Instant>,
    began: Instant,
    progress: MessageProgress,
    flood_brake: FloodBrake,
    /// Until when nothing is read or worked off, because the server floods us.
    paused_until: Option<Instant>,
    state: StreamState,
}

#[derive(Clone, Copy, Default)]
struct Pointer {
    buttons: u16,
    x: u16,
    y: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StreamState {
    Open,
    /// The plugin closed its end.
    Closed,
    /// The plugin broke the protocol: nothing more is read from it.
    Failed,
}

impl PluginStream {
    /// Takes our end of a pair of sockets; the plugin gets the other one.
    pub(crate) fn new(
        stream: std::os::unix::net::UnixStream,
        backend: BackendCapabilities,
    ) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES)?;
        Ok(Self {
            stream: UnixStream::from_std(stream)?,
            client: PluginRfbClient::new(backend),
            queued: VecDeque::new(),
            pointer: Pointer::default(),
            buffer: vec![0; READ_CHUNK_BYTES],
            handshake_deadline: Some(Instant::now() + HANDSHAKE_TIMEOUT),
            unread_since: None,
            began: Instant::now(),
            progress: MessageProgress::default(),
            flood_brake: FloodBrake::default(),
            paused_until: None,
            state: StreamState::Open,
        })
    }

    /// Returns the declared capabilities, with everything that the server has confirmed so far.
    pub(crate) fn server_capabilities(&self) -> ServerCapabilities {
        self.client.server_capabilities()
    }

    /// Returns the framebuffer, once there is one.
    pub(crate) fn framebuffer(&mut self) -> Option<&mut Framebuffer> {
        self.client.framebuffer()
    }

    /// Returns whether the framebuffer shows a state that the server's screen really had.
    pub(crate) fn is_between_updates(&self) -> bool {
        self.client.is_between_updates()
    }

    /// Returns whether the server has painted the framebuffer. Before, there is nothing to show.
    pub(crate) fn has_pixels(&self) -> bool {
        self.client.has_pixels()
    }

    /// Requests the next update, unless a request is outstanding.
    pub(crate) fn request_update(&mut self) {
        self.client.request_update();
        self.write();
    }

    /// Asks the server for one pixel, which shows whether it is alive.
    pub(crate) fn probe(&mut self) {
        self.client.probe();
        self.write();
    }

    /// Sends input that has passed the gate. A new clipboard text replaces one that waits, unless
    /// other input lies between: that may paste the earlier one.
    pub(crate) fn send_input(&mut self, input: PluginInput) {
        if is_text(&input) && self.queued.back().is_some_and(is_text) {
            self.queued.pop_back();
        }
        self.queued.push_back(input);
        self.write();
    }

    /// Returns whether so much input waits that nothing more should be taken from the agent.
    pub(crate) fn is_full(&self) -> bool {
        let texts = self.queued.iter().filter(|input| is_text(input));
        self.queued.len() > MAX_QUEUED_INPUT || texts.count() > MAX_QUEUED_TEXTS
    }

    /// Drops the input that waits, because control ends or pauses. The `releases` of the keys that
    /// the agent holds down are sent, with every release that was dropped. The buttons are released
    /// where the server has the pointer.
    pub(crate) fn release_input(&mut self, releases: Vec<PluginInput>) {
        let dropped = std::mem::take(&mut self.queued);
        let releases = dropped.into_iter().chain(releases).filter(is_key_release);
        self.queued.extend(releases);
        let Pointer { buttons, x, y } = self.pointer;
        if buttons != 0 {
            self.queued
                .push_back(PluginInput::Pointer { buttons: 0, x, y });
        }
        self.write();
    }

    /// Waits for the next event; `None` once, when the plugin has closed its end. No event follows
    /// an error. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<PluginRfbEvent>, PluginRfbError> {
        if self.state != StreamState::Open {
            return std::future::pending().await;
        }
        let event = self.next_open().await;
        match event {
            Ok(Some(_)) => {}
            Ok(None) => self.state = StreamState::Closed,
            Err(_) => self.state = StreamState::Failed,
        }
        event
    }

    async fn next_open(&mut self) -> Result<Option<PluginRfbEvent>, PluginRfbError> {
        let was_full = self.is_full();
        loop {
            if self.paused_until.is_none() {
                let event = self.client.next();
                self.write();
                let event = event?;
                if event == Some(PluginRfbEvent::Opened) {
                    self.handshake_deadline = None;
                }
                self.note_progress()?;
                if event.is_some() {
                    return Ok(event);
                }
            }
            if was_full && !self.is_full() {
                return Ok(Some(PluginRfbEvent::InputDrained));
            }
            if !self.read_or_write().await? {
                return Ok(None);
            }
        }
    }

    /// Sends what waits and closes our end. Then waits until the plugin has closed its own, so that
    /// it can take in the last releases; for `timeout` at most.
    pub(crate) async fn drain_and_close(mut self, timeout: Duration) {
        let drained = async {
            while self.state != StreamState::Closed && self.has_pending_output() {
                if self.stream.writable().await.is_err() {
                    return;
                }
                self.write();
            }
            let _ = self.stream.shutdown().await;
            while self.stream.readable().await.is_ok() {
                match self.stream.try_read(&mut self.buffer) {
                    Ok(0) => return,
                    Err(error) if error.kind() != ErrorKind::WouldBlock => return,
                    _ => {}
                }
            }
        };
        let _ = tokio::time::timeout(timeout, drained).await;
    }

    /// Waits until the socket can be read or written, or a time is over. Returns false at its end.
    async fn read_or_write(&mut self) -> Result<bool, PluginRfbError> {
        let writes = self.has_pending_output();
        let stalled = self.unread_since.map(|since| since + STALL_TIMEOUT);
        let stands_still = self.progress.deadline().map(|due| self.began + due);
        let paused_until = self.paused_until;
        // First what is there: while others had their turn, a time may have passed.
        tokio::select! {
            biased;
            ready = self.stream.readable(), if paused_until.is_none() => {
                ready.map_err(socket_error)?;
                self.read()
            }
            ready = self.stream.writable(), if writes => {
                ready.map_err(socket_error)?;
                self.write();
                Ok(true)
            }
            () = maybe_until(paused_until) => {
                self.paused_until = None;
                Ok(true)
            }
            () = maybe_until(stands_still), if paused_until.is_none() => {
                Err(PluginRfbError::StandsStill)
            }
            () = maybe_until(self.handshake_deadline) => Err(PluginRfbError::Silent),
            () = maybe_until(stalled) => Err(PluginRfbError::Stalled),
        }
    }

    /// Notes, after each event, how far the server is, and whether it is to be left alone for a
    /// while.
    fn note_progress(&mut self) -> Result<(), PluginRfbError> {
        let now = self.began.elapsed();
        let (completed, mid_message) = (self.client.take_completed(), self.client.is_mid_message());
        // A drip is read at once whenever it comes, so that its time is checked here.
        if !completed && self.progress.deadline().is_some_and(|due| now >= due) {
            return Err(PluginRfbError::StandsStill);
        }
        self.progress.on_parsed(completed, mid_message, now);
        let cheap_messages = self.client.take_cheap_messages();
        if let Some(pause) = self.flood_brake.on_work(cheap_messages, now) {
            self.paused_until = Some(Instant::now() + pause);
        }
        Ok(())
    }

    fn read(&mut self) -> Result<bool, PluginRfbError> {
        match self.stream.try_read(&mut self.buffer) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.client.push(&self.buffer[..count]);
                self.progress.on_read(self.began.elapsed());
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(socket_error(error)),
        }
    }

    fn has_pending_output(&mut self) -> bool {
        !self.client.out().is_empty() || !self.queued.is_empty()
    }

    /// Writes as much as the socket takes now. Input becomes bytes one message at a time, when
    /// everything before it has left.
    fn write(&mut self) {
        while self.flush() {
            let Some(input) = self.queued.pop_front() else {
                break;
            };
            if let PluginInput::Pointer { buttons, x, y } = input {
                self.pointer = Pointer { buttons, x, y };
            }
            self.client.send_input(&input);
        }
        if self.has_pending_output() {
            self.unread_since.get_or_insert(Instant::now());
        }
    }

    /// Returns whether all bytes have left.
    fn flush(&mut self) -> bool {
        let out = self.client.out();
        while !out.is_empty() {
            match self.stream.try_write(out) {
                Ok(count) => {
                    out.drain(..count);
                    self.unread_since = None;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                // The plugin is going; reading will tell.
                Err(_) => {
                    out.clear();
                    self.queued.clear();
                }
            }
        }
        true
    }
}

fn is_text(input: &PluginInput) -> bool {
    matches!(input, PluginInput::CutText(_))
}

fn is_key_release(input: &PluginInput) -> bool {
    matches!(
        input,
        PluginInput::Key { down: false, .. } | PluginInput::QemuKey { down: false, .. }
    )
}

fn socket_error(error: std::io::Error) -> PluginRfbError {
    PluginRfbError::Socket(error.kind())
}

#[cfg(test)]
mod tests;
