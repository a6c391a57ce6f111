//! The RFB client towards a plugin: bytes in, events and bytes out.
//!
//! It announces every extension that it could use, because a server skips the encodings that it
//! doesn't know (RFC 6143 section 7.5.2); it uses those that the server confirms, takes in
//! everything that comes, and keeps the framebuffer.
//!
//! ```text
//!               ServerInit                        FramebufferUpdate
//!  handshaking ────────────▶ between updates ─────────────────────▶ inside an update
//!                                  ▲                                      │
//!                                  └──────────────────────────────────────┘ its last rectangle
//! ```

use etatuki_picture::{Framebuffer, PictureError};
use etatuki_rfb::{
    ClientHandshake, ClientMessage, Limits, PixelFormat, PointerFormat, ProtocolError, Rect,
    Rectangle, ServerInit, ServerMessage, ServerParser, encode, encoding,
};

use crate::flood_brake::CheapMessages;
use crate::gate::{BackendCapabilities, PluginInput, ServerCapabilities, from_latin1};

/// Encodings and extensions that are announced to the server, best first.
const ENCODINGS: [i32; 10] = [
    encoding::COPY_RECT,
    encoding::RAW,
    encoding::CURSOR,
    encoding::POINTER_POS,
    encoding::EXTENDED_DESKTOP_SIZE,
    encoding::DESKTOP_SIZE,
    encoding::LAST_RECT,
    encoding::UTF8_CUT_TEXT,
    encoding::QEMU_EXTENDED_KEY,
    encoding::EXTENDED_MOUSE_BUTTONS,
];

/// Pixels of an update that are read before the loop handles other events: an eighth of 1920x1080, so
/// that a video frame can set out while the rest of it comes. A server can say "copy the whole
/// screen" sixteen thousand times in one read.
const WORK_BUDGET_PIXELS: u64 = 256 << 10;

/// ExtendedDesktopSize's reason for a change that this client has asked for.
const REASON_THIS_CLIENT: u16 = 1;

/// An event of the plugin's RFB server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginRfbEvent {
    /// The handshake is done; there is a framebuffer.
    Opened,
    /// An update is complete.
    Updated {
        /// Whether it changed anything.
        changed: bool,
    },
    /// The plugin's clipboard holds this text; empty when it holds something that can't be taken.
    CutText(String),
    /// The server's reply to SetDesktopSize: 0 for done, else ExtendedDesktopSize's status.
    DesktopSizeReply(u16),
    /// The work budget is used up inside an update: the loop handles other events first.
    WorkBudgetUsed,
    /// The queue of input for the plugin was full and has room again. Without this event, a caller
    /// that stopped reading the agent's input would wait for the next pixel.
    InputDrained,
}

/// A breach of RFB by the plugin's server, or a failure of its socket.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginRfbError {
    /// The server's bytes aren't RFB, or out of bounds.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// A rectangle doesn't fit the framebuffer.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The server reads nothing.
    #[error("the tool has not taken in what it was sent")]
    Stalled,
    /// A message, or an update, doesn't come to its end.
    #[error("the tool's picture stands still in the middle of an update")]
    StandsStill,
    /// The handshake's time is over.
    #[error("the tool didn't finish the handshake in time")]
    Silent,
    /// The socket failed.
    #[error("the tool's socket failed: {0}")]
    Socket(std::io::ErrorKind),
}

/// The RFB client of one plugin.
#[derive(Debug)]
pub struct PluginRfbClient {
    server: ServerCapabilities,
    /// Bytes for the server.
    out: Vec<u8>,
    state: ClientState,
}

#[derive(Debug)]
enum ClientState {
    /// `None` after a handshake that failed.
    Handshaking(Option<ClientHandshake>),
    Running(Box<Running>),
}

/// The client after the handshake.
#[derive(Debug)]
struct Running {
    parser: ServerParser,
    framebuffer: Framebuffer,
    content: Content,
    request: RequestState,
    /// The update that is under way: meanwhile the framebuffer is between two states of the
    /// server's screen.
    update: Option<Update>,
    /// Pixels taken in since others had their turn.
    work: u64,
    cheap_messages: CheapMessages,
    /// Whether a message, or an update, was completed since somebody looked.
    completed: bool,
}

/// Content of the framebuffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// Our own black, since the framebuffer got its size.
    Blank,
    /// The server's pixels.
    Painted,
}

/// The request for the next update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestState {
    /// The next one asks for what changed.
    NextIncremental,
    /// The next one asks for the whole framebuffer, because its size is new.
    NextFull,
    /// The server hasn't answered the last one.
    Outstanding,
    /// The server hasn't answered the last one, and the framebuffer's size has changed since.
    OutstandingThenFull,
}

/// An update that is under way.
#[derive(Clone, Copy, Debug, Default)]
struct Update {
    has_pixels: bool,
    changed: bool,
}

impl PluginRfbClient {
    /// Makes a client that waits for the server's greeting.
    pub fn new(backend: BackendCapabilities) -> Self {
        let handshake = ClientHandshake::new(Limits::default());
        Self {
            server: ServerCapabilities::declared(backend),
            out: Vec::new(),
            state: ClientState::Handshaking(Some(handshake)),
        }
    }

    /// Returns the declared capabilities, with everything that the server has confirmed so far.
    pub fn server_capabilities(&self) -> ServerCapabilities {
        self.server
    }

    /// Returns the framebuffer, once there is one.
    pub fn framebuffer(&mut self) -> Option<&mut Framebuffer> {
        match &mut self.state {
            ClientState::Running(running) => Some(&mut running.framebuffer),
            ClientState::Handshaking(_) => None,
        }
    }

    /// Returns whether the framebuffer shows a state that the server's screen really had.
    pub fn is_between_updates(&self) -> bool {
        matches!(&self.state, ClientState::Running(running) if running.update.is_none())
    }

    /// Returns whether a message, or an update, was completed since the last call.
    pub fn take_completed(&mut self) -> bool {
        match &mut self.state {
            ClientState::Running(running) => std::mem::take(&mut running.completed),
            ClientState::Handshaking(_) => false,
        }
    }

    /// Returns whether a message, or an update, has begun and isn't complete.
    pub fn is_mid_message(&self) -> bool {
        matches!(&self.state, ClientState::Running(running) if running.parser.is_mid_message())
    }

    /// Takes the work for cheap messages since the last call.
    pub fn take_cheap_messages(&mut self) -> CheapMessages {
        match &mut self.state {
            ClientState::Running(running) => running.cheap_messages.take(),
            ClientState::Handshaking(_) => CheapMessages::default(),
        }
    }

    /// Returns whether the server has painted the framebuffer. Before, there is nothing to show.
    pub fn has_pixels(&self) -> bool {
        matches!(&self.state, ClientState::Running(running) if running.content == Content::Painted)
    }

    /// Returns the bytes for the server. The sender removes from the front what it has sent.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Requests the next update, unless a request is outstanding.
    pub fn request_update(&mut self) {
        let ClientState::Running(running) = &mut self.state else {
            return;
        };
        let incremental = match running.request {
            RequestState::NextIncremental => true,
            RequestState::NextFull => false,
            RequestState::Outstanding | RequestState::OutstandingThenFull => return,
        };
        let (width, height) = (running.framebuffer.width(), running.framebuffer.height());
        let request = ClientMessage::UpdateRequest {
            incremental,
            rect: Rect::new(0, 0, width, height),
        };
        encode::client::message(&mut self.out, &request, PointerFormat::Standard);
        running.request = RequestState::Outstanding;
    }

    /// Requests one pixel, which a server that is well answers at once, whatever else was requested.
    pub fn probe(&mut self) {
        if matches!(self.state, ClientState::Running(_)) {
            let request = ClientMessage::UpdateRequest {
                incremental: false,
                rect: Rect::new(0, 0, 1, 1),
            };
            encode::client::message(&mut self.out, &request, PointerFormat::Standard);
        }
    }

    /// Sends input that has passed the gate; drops it before the handshake's end.
    pub fn send_input(&mut self, input: &PluginInput) {
        if matches!(self.state, ClientState::Running(_)) {
            input.encode(&self.server, &mut self.out);
        }
    }

    /// Takes more bytes from the server, split anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        match &mut self.state {
            ClientState::Handshaking(handshake) => {
                if let Some(handshake) = handshake {
                    handshake.push(bytes);
                }
            }
            ClientState::Running(running) => running.parser.push(bytes),
        }
    }

    /// Returns the next event; `None` until more bytes come.
    ///
    /// # Errors
    /// The server broke the protocol. Nothing more should be pushed.
    #[allow(
        clippy::should_implement_trait,
        reason = "it can fail, and more may come after None"
    )]
    pub fn next(&mut self) -> Result<Option<PluginRfbEvent>, PluginRfbError> {
        match &mut self.state {
            ClientState::Handshaking(handshake) => {
                let Some(greeting) = handshake else {
                    return Ok(None);
                };
                let stepped = greeting.step();
                self.out.extend(greeting.take_output());
                let Some(init) = stepped? else {
                    return Ok(None);
                };
                let rest = handshake
                    .take()
                    .map(ClientHandshake::into_rest)
                    .unwrap_or_default();
                self.open(&init, &rest);
                Ok(Some(PluginRfbEvent::Opened))
            }
            ClientState::Running(running) => running.next(&mut self.server),
        }
    }

    /// Sends everything that a client says first. The pixel format is the same for all servers.
    fn open(&mut self, init: &ServerInit, rest: &[u8]) {
        let first = [
            ClientMessage::SetPixelFormat(PixelFormat::BGRX),
            ClientMessage::SetEncodings(ENCODINGS.to_vec()),
        ];
        for message in first {
            encode::client::message(&mut self.out, &message, PointerFormat::Standard);
        }
        let mut parser = ServerParser::new(
            Limits::default(),
            PixelFormat::BGRX,
            init.width,
            init.height,
        );
        parser.push(rest);
        self.state = ClientState::Running(Box::new(Running {
            parser,
            framebuffer: Framebuffer::new(init.width, init.height),
            content: Content::Blank,
            request: RequestState::NextFull,
            update: None,
            work: 0,
            cheap_messages: CheapMessages::default(),
            completed: false,
        }));
        self.request_update();
    }
}

impl Running {
    fn next(
        &mut self,
        server: &mut ServerCapabilities,
    ) -> Result<Option<PluginRfbEvent>, PluginRfbError> {
        while let Some(message) = self.parser.next()? {
            self.completed |= !matches!(
                message,
                ServerMessage::UpdateStart | ServerMessage::Rectangle(_)
            );
            match message {
                ServerMessage::UpdateStart => self.update = Some(Update::default()),
                ServerMessage::Rectangle(rectangle) => {
                    server.confirm(&rectangle);
                    if let Some(event) = self.apply(&rectangle)? {
                        return Ok(Some(event));
                    }
                    self.work += pixels_touched(&rectangle);
                    if self.work > WORK_BUDGET_PIXELS {
                        self.work = 0;
                        return Ok(Some(PluginRfbEvent::WorkBudgetUsed));
                    }
                }
                ServerMessage::UpdateEnd => return Ok(Some(self.end_update())),
                ServerMessage::CutText(text) => {
                    self.cheap_messages.add_text(text.len());
                    let text = to_text(text, server).unwrap_or_default();
                    return Ok(Some(PluginRfbEvent::CutText(text)));
                }
                ServerMessage::CutTextSkipped { length } => {
                    self.cheap_messages.add_text(length as usize);
                    return Ok(Some(PluginRfbEvent::CutText(String::new())));
                }
                // These were never announced; a server that sends them all the same gets no answer.
                ServerMessage::Bell
                | ServerMessage::Fence { .. }
                | ServerMessage::EndOfContinuousUpdates => self.cheap_messages.add(1),
            }
        }
        Ok(None)
    }

    fn end_update(&mut self) -> PluginRfbEvent {
        let update = self.update.take().unwrap_or_default();
        if update.has_pixels {
            self.content = Content::Painted;
        }
        self.cheap_messages.add(1);
        self.request = match self.request {
            RequestState::NextIncremental | RequestState::Outstanding => {
                RequestState::NextIncremental
            }
            RequestState::NextFull | RequestState::OutstandingThenFull => RequestState::NextFull,
        };
        self.work = 0;
        PluginRfbEvent::Updated {
            changed: update.changed,
        }
    }

    /// Applies one rectangle of an update to the framebuffer.
    fn apply(&mut self, rectangle: &Rectangle) -> Result<Option<PluginRfbEvent>, PluginRfbError> {
        let reply = match *rectangle {
            Rectangle::ExtendedDesktopSize {
                reason: REASON_THIS_CLIENT,
                status,
                ..
            } => Some(PluginRfbEvent::DesktopSizeReply(status)),
            _ => None,
        };
        if matches!(reply, Some(PluginRfbEvent::DesktopSizeReply(status)) if status != 0) {
            return Ok(reply);
        }
        let before = (self.framebuffer.width(), self.framebuffer.height());
        self.cheap_messages.add_rectangle(match rectangle {
            Rectangle::CopyRect { rect, .. } => rect.area(),
            _ => 0,
        });
        if reply.is_some() {
            self.cheap_messages.add(1);
        }
        let changed = self.framebuffer.apply(rectangle)?;
        let update = self.update.get_or_insert_default();
        update.changed |= changed;
        let (width, height) = (self.framebuffer.width(), self.framebuffer.height());
        if before != (width, height) {
            let pixels = usize::from(width) * usize::from(height);
            self.cheap_messages.add_size(pixels);
            update.has_pixels = false;
            self.content = Content::Blank;
            self.request = match self.request {
                RequestState::NextIncremental | RequestState::NextFull => RequestState::NextFull,
                RequestState::Outstanding | RequestState::OutstandingThenFull => {
                    RequestState::OutstandingThenFull
                }
            };
        }
        update.has_pixels |= matches!(rectangle, Rectangle::Raw { .. });
        Ok(reply)
    }
}

/// Returns cut text as a string: UTF-8 once the server has confirmed it, else Latin-1 (RFC 6143
/// section 7.6.4). `None` for bytes that aren't UTF-8.
fn to_text(bytes: Vec<u8>, server: &ServerCapabilities) -> Option<String> {
    if server.utf8_cut_text {
        return String::from_utf8(bytes).ok();
    }
    Some(from_latin1(&bytes))
}

/// Returns the pixels that have to be touched for a rectangle.
fn pixels_touched(rectangle: &Rectangle) -> u64 {
    match rectangle {
        Rectangle::Raw { rect, .. } | Rectangle::CopyRect { rect, .. } => rect.area() as u64,
        Rectangle::DesktopSize { width, height }
        | Rectangle::ExtendedDesktopSize { width, height, .. } => {
            u64::from(*width) * u64::from(*height)
        }
        // JPEG was never announced, and the framebuffer refuses it.
        Rectangle::Jpeg { .. }
        | Rectangle::Cursor(_)
        | Rectangle::PointerPos { .. }
        | Rectangle::Supports { .. } => 0,
    }
}

#[cfg(test)]
mod tests;
