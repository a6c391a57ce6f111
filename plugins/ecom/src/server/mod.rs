//! A plain RFB server for one client: no security (the socket is private, and the gate stands
//! before it), Raw pixels of the damage, the pointer's shape, sizes, keys and pointer.
//!
//! One thread. It sleeps until the client, the X server or the [`Share`] wakes it, or, while the
//! pointer moves, until its next position is due. While the client hasn't requested an update, or
//! hasn't read the last one, damage only accumulates.

mod input_injector;
mod pending_pixels;
mod pointer_throttle;
mod send_buffer;
mod sent_tiles;
mod update;
mod viewer;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use etatuki_rfb::{
    ClientMessage, ClientParser, Limits, PixelFormat, PointerFormat, ProtocolError, Rect, Security,
    ServerHandshake, ServerInit,
};
use etatuki_screen::{Capture, ScreenError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::share::Share;
use input_injector::InputInjector;
use send_buffer::SendBuffer;
use sent_tiles::SentTiles;
use viewer::Viewer;

/// Longest time for the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that are read from the client at a time.
const READ_CHUNK: usize = 64 * 1024;

/// Why a client could not be served to its end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The screen is missing, can't be shared, or was lost.
    #[error(transparent)]
    Screen(#[from] ScreenError),
    /// The client broke the protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The client didn't finish its handshake in time.
    #[error("the client did not finish its handshake in {} s", HANDSHAKE_TIMEOUT.as_secs())]
    Silent,
    /// The operating system refused something.
    #[error("the operating system refused: {0}")]
    System(#[from] io::Error),
}

impl ServeError {
    /// Returns the stable name: the screen's own (`display-missing`, `display-lost`, …),
    /// `protocol`, `silent` or `internal`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Screen(e) => e.name(),
            Self::Protocol(_) => "protocol",
            Self::Silent => "silent",
            Self::System(_) => "internal",
        }
    }
}

/// Serves the client on `stream` (a connected socket) until it hangs up or the share is stopped.
/// Blocks.
///
/// # Errors
/// [`ServeError`]. A client that hangs up, in whatever way, is no error.
pub fn serve(share: &Share, stream: impl Into<OwnedFd>) -> Result<(), ServeError> {
    let socket = stream.into();
    rustix::io::ioctl_fionbio(&socket, true).map_err(io::Error::from)?;
    let ended = ClientConnection::open(share, socket).and_then(|connection| match connection {
        Some(mut connection) => connection.run(),
        None => Ok(()),
    });
    match ended {
        Err(ServeError::Screen(ScreenError::Cancelled)) => Ok(()),
        ended => ended,
    }
}

/// One client being served.
struct ClientConnection<'a> {
    share: &'a Share,
    socket: OwnedFd,
    parser: ClientParser,
    buffer: SendBuffer,
    viewer: Viewer,
    sent: SentTiles,
    /// The bounding box of the client's full requests since the last update: it has lost these
    /// pixels.
    invalidated: Rect,
    capture: Capture,
    injector: InputInjector<'a>,
}

/// Whether the client is still connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientStatus {
    Connected,
    Gone,
}

impl<'a> ClientConnection<'a> {
    /// Opens the screen and takes the client through the handshake. Returns `None` when it hung up.
    fn open(share: &'a Share, socket: OwnedFd) -> Result<Option<Self>, ServeError> {
        let capture = Capture::open(share.display(), share.app(), share.cancel_token())?;
        let size = (capture.size().width, capture.size().height);
        let mut parser = ClientParser::new(Limits::default());
        let Some(rest) = run_handshake(share, &socket, size)? else {
            return Ok(None);
        };
        parser.push(&rest);
        let hash_seed = RandomState::new().build_hasher().finish();
        let mut connection = Self {
            share,
            socket,
            parser,
            buffer: SendBuffer::default(),
            viewer: Viewer::new(size),
            sent: SentTiles::new(hash_seed),
            invalidated: Rect::default(),
            capture,
            injector: InputInjector::new(share),
        };
        connection.handle_messages()?;
        connection.pump_input()?;
        Ok(Some(connection))
    }

    fn run(&mut self) -> Result<(), ServeError> {
        let mut chunk = vec![0; READ_CHUNK];
        loop {
            let append_grabbed =
                |part, out: &mut Vec<u8>| update::append_grabbed(&self.capture, part, out);
            if self.buffer.write(&self.socket, append_grabbed)? == ClientStatus::Gone {
                return Ok(());
            }
            self.capture.pump()?;
            if self.compose_update()? {
                // The update must be sent, and a reply of the X server may have brought events
                // along: `poll` sees neither.
                continue;
            }
            let ready = self.wait()?;
            if ready.cancelled {
                return Ok(());
            }
            if ready.permissions {
                self.share.clear_wake();
            }
            if ready.client && self.read_messages(&mut chunk)? == ClientStatus::Gone {
                return Ok(());
            }
            if ready.client || ready.permissions || ready.input_devices || self.is_input_due() {
                // After the messages, for a reply of the X server may have brought events along.
                self.pump_input()?;
            }
        }
    }

    /// See [`InputInjector::pump`].
    fn pump_input(&mut self) -> Result<(), ServeError> {
        let encoding = self.viewer.cut_text_encoding();
        self.injector.pump(encoding, self.buffer.replies())
    }

    /// Makes the next update, if the client waits for one and there is something to show. Returns
    /// whether it made a request to the X server.
    fn compose_update(&mut self) -> Result<bool, ServeError> {
        if !self.buffer.is_empty() || !self.share.may_view() {
            return Ok(false);
        }
        let invalidated = std::mem::take(&mut self.invalidated);
        self.capture
            .mark_damaged(update::to_screen_rect(invalidated));
        self.sent.invalidate(invalidated);
        let client_position = self.injector.client_position();
        update::compose_update(
            &mut self.capture,
            &mut self.viewer,
            &mut self.sent,
            &mut self.buffer,
            client_position,
        )
    }

    /// Sleeps until a descriptor is ready, or the pointer's position or waiting input is due.
    fn wait(&self) -> Result<Ready, ServeError> {
        let mut wanted = PollFlags::empty();
        let may_read = self.buffer.accepts_replies() && self.injector.accepts_input();
        wanted.set(PollFlags::IN, may_read);
        wanted.set(PollFlags::OUT, !self.buffer.is_empty());
        let wake = self.share.wake_fd();
        let mut fds = vec![
            PollFd::new(&self.socket, wanted),
            PollFd::new(self.share.cancel_token(), PollFlags::IN),
            PollFd::from_borrowed_fd(wake, PollFlags::IN),
            PollFd::new(&self.capture, PollFlags::IN),
        ];
        let input_fds = self.injector.fds();
        fds.extend(input_fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, self.poll_timeout().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        let is_ready = |index: usize| !fds[index].revents().is_empty();
        Ok(Ready {
            client: fds[0].revents().intersects(!PollFlags::OUT),
            cancelled: is_ready(1),
            permissions: is_ready(2),
            input_devices: (4..fds.len()).any(is_ready),
        })
    }

    /// Returns the time until the pointer's position must be sent, or waiting input is due; `None`
    /// when neither is.
    fn poll_timeout(&self) -> Option<Timespec> {
        let may_send = self.buffer.is_empty() && self.share.may_view();
        let may_send = may_send && self.viewer.owed_area().is_some();
        let pointer = update::pointer_position_due_in(&self.capture, &self.viewer);
        let pointer = pointer.filter(|_| may_send);
        let first = pointer.into_iter().chain(self.injector.due_in()).min();
        first.map(to_timespec)
    }

    fn is_input_due(&self) -> bool {
        self.injector.due_in().is_some_and(|left| left.is_zero())
    }

    /// Reads once from the client, and handles the messages that are complete.
    fn read_messages(&mut self, chunk: &mut [u8]) -> Result<ClientStatus, ServeError> {
        match rustix::io::read(&self.socket, &mut *chunk) {
            Ok(0) => return Ok(ClientStatus::Gone),
            Ok(read) => self.parser.push(&chunk[..read]),
            Err(Errno::AGAIN | Errno::INTR) => return Ok(ClientStatus::Connected),
            Err(_) => return Ok(ClientStatus::Gone),
        }
        self.handle_messages()?;
        Ok(ClientStatus::Connected)
    }

    fn handle_messages(&mut self) -> Result<(), ServeError> {
        while let Some(message) = self.parser.next()? {
            self.handle_message(message)?;
        }
        self.injector.flush()
    }

    fn handle_message(&mut self, message: ClientMessage) -> Result<(), ServeError> {
        match message {
            ClientMessage::SetPixelFormat(format) => self.viewer.set_format(format),
            ClientMessage::SetEncodings(list) => {
                self.viewer.set_encodings(&list, self.buffer.replies());
                self.parser.set_pointer_format(PointerFormat::negotiated(
                    self.viewer.uses_extended_buttons(),
                ));
            }
            ClientMessage::UpdateRequest { incremental, rect } => {
                if !incremental {
                    self.invalidated = self.invalidated.union(&rect);
                }
                self.viewer.request_update(incremental, rect);
            }
            ClientMessage::EnableContinuousUpdates { enable, rect } => {
                let area = enable.then_some(rect);
                self.viewer
                    .set_continuous_updates(area, self.buffer.replies());
            }
            ClientMessage::Fence { flags, payload } => {
                self.viewer.on_fence(flags, &payload, self.buffer.replies());
            }
            ClientMessage::SetDesktopSize { .. } => self.viewer.refuse_resize(),
            other => {
                let encoding = self.viewer.cut_text_encoding();
                self.injector.inject(&other, encoding)?;
            }
        }
        Ok(())
    }
}

/// The descriptors that `poll` reported. The capture isn't among them: its events are read anyway.
struct Ready {
    client: bool,
    cancelled: bool,
    permissions: bool,
    /// The connections of input and clipboard.
    input_devices: bool,
}

/// Runs the handshake. Returns the bytes after it, or `None` when the client hung up or the share
/// was stopped.
fn run_handshake(
    share: &Share,
    socket: &OwnedFd,
    (width, height): (u16, u16),
) -> Result<Option<Vec<u8>>, ServeError> {
    let (format, name) = (PixelFormat::BGRX, "screen".to_owned());
    let init = ServerInit {
        width,
        height,
        format,
        name,
    };
    let mut handshake = ServerHandshake::new(init, Security::None);
    let (mut buffer, deadline) = (SendBuffer::default(), Instant::now() + HANDSHAKE_TIMEOUT);
    let mut bytes = [0; 512];
    loop {
        let step = handshake.step();
        buffer.replies().extend(handshake.take_output());
        if buffer.write(socket, |_, _| {})? == ClientStatus::Gone {
            return Ok(None);
        }
        if step?.is_some() && buffer.is_empty() {
            return Ok(Some(handshake.into_rest()));
        }
        let wanted = if buffer.is_empty() {
            PollFlags::IN
        } else {
            PollFlags::OUT
        };
        let mut fds = [
            PollFd::new(socket, wanted),
            PollFd::new(share.cancel_token(), PollFlags::IN),
        ];
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(&mut fds, Some(&to_timespec(left))) {
            Ok(0) => return Err(ServeError::Silent),
            Ok(_) if !fds[1].revents().is_empty() => return Ok(None),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        match rustix::io::read(socket.as_fd(), &mut bytes) {
            Ok(0) => return Ok(None),
            Ok(read) => handshake.push(&bytes[..read]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return Ok(None),
        }
    }
}

fn to_timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
