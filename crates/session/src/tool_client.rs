//! The RFB client towards a plugin: bytes in, events and bytes out. It announces every extension that it
//! could use (a server passes over the numbers that it doesn't know, RFC 6143 section 7.5.2), uses those
//! that the server confirms, takes in everything that comes, and keeps the screen. Pure.

use etatuki_picture::{Framebuffer, PictureError};
use etatuki_rfb::{
    ClientHandshake, ClientMessage, Limits, PixelFormat, PointerFormat, ProtocolError, Rect,
    Rectangle, ServerInit, ServerMessage, ServerParser, encode, encoding,
};

use crate::gate::{BackendCapabilities, ServerCapabilities, ToolInput, from_latin1};

/// What we say that we understand.
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

/// What came of the tool's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToolEvent {
    /// The handshake is done: there is a screen.
    Opened,
    /// An update is complete; whether it changed anything.
    Updated {
        /// Something is different.
        changed: bool,
    },
    /// The tool's clipboard.
    CutText(String),
    /// The answer to our SetDesktopSize: 0 done, else why not.
    SizeAnswer(u16),
    /// Inside an update, after much work: others have their turn.
    Busy,
    /// The queue of input for the tool was full and has room again. Without this event, a caller that
    /// stopped reading the agent's input would wait for the next pixel.
    InputDrained,
}

/// Pixels that are taken in at one go, roughly: an eighth of a screen of 1920x1080, so that a film's frame can set out
/// while the rest of it comes. And a tool can say "copy the whole screen" sixteen thousand times in one read.
const TURN: u64 = 256 << 10;

/// The tool doesn't speak RFB as it must.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ToolError {
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error("the tool has not taken in what it was sent")]
    Stalled,
    #[error("the tool didn't finish the handshake in time")]
    Silent,
    #[error("the tool's socket failed: {0}")]
    Socket(std::io::ErrorKind),
}

/// A tool's client.
#[derive(Debug)]
pub(crate) struct ToolClient {
    server: ServerCapabilities,
    /// Bytes for the tool.
    out: Vec<u8>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Greeting(Option<ClientHandshake>),
    Open(Box<Open>),
}

#[derive(Debug)]
struct Open {
    parser: ServerParser,
    screen: Framebuffer,
    /// A request is out that the tool hasn't answered.
    asked: bool,
    /// The next request is for the whole screen, whatever changed.
    whole: bool,
    /// Inside an update: what the screen shows is between two states.
    inside: bool,
    /// Pixels came in this update.
    pixels: bool,
    /// Pixels have come since the screen got its size: what it shows is the tool's, not our own black.
    painted: bool,
    changed: bool,
    /// Pixels taken in since others had their turn.
    worked: u64,
}

impl ToolClient {
    pub(crate) fn new(backend: BackendCapabilities) -> Self {
        let handshake = ClientHandshake::new(Limits::default());
        Self {
            server: ServerCapabilities::declared(backend),
            out: Vec::new(),
            stage: Stage::Greeting(Some(handshake)),
        }
    }

    /// Declared capabilities, and what the server has confirmed so far.
    pub(crate) fn server(&self) -> ServerCapabilities {
        self.server
    }

    /// The screen, once there is one.
    pub(crate) fn screen(&mut self) -> Option<&mut Framebuffer> {
        match &mut self.stage {
            Stage::Open(open) => Some(&mut open.screen),
            Stage::Greeting(_) => None,
        }
    }

    /// Whether the screen shows a state that the tool's screen really had.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(&self.stage, Stage::Open(open) if !open.inside)
    }

    /// Whether the tool has painted the screen; before, there is nothing to show.
    pub(crate) fn is_painted(&self) -> bool {
        matches!(&self.stage, Stage::Open(open) if open.painted)
    }

    /// Bytes for the tool; whoever sends them takes them away from the front.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Asks for the next update, unless that was done already.
    pub(crate) fn ask(&mut self) {
        let Stage::Open(open) = &mut self.stage else {
            return;
        };
        if open.asked {
            return;
        }
        let rect = Rect::new(0, 0, open.screen.width(), open.screen.height());
        let request = ClientMessage::UpdateRequest {
            incremental: !open.whole,
            rect,
        };
        encode::client::message(&mut self.out, &request, PointerFormat::Standard);
        open.asked = true;
        open.whole = false;
    }

    /// Gives the tool what came through the gate.
    pub(crate) fn input(&mut self, input: &ToolInput) {
        if matches!(self.stage, Stage::Open(_)) {
            input.encode(&self.server, &mut self.out);
        }
    }

    /// More bytes from the tool, split anywhere.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        match &mut self.stage {
            Stage::Greeting(handshake) => {
                if let Some(handshake) = handshake {
                    handshake.push(bytes);
                }
            }
            Stage::Open(open) => open.parser.push(bytes),
        }
    }

    /// The next event; `None` until more bytes come.
    pub(crate) fn next(&mut self) -> Result<Option<ToolEvent>, ToolError> {
        match &mut self.stage {
            Stage::Greeting(handshake) => {
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
                Ok(Some(ToolEvent::Opened))
            }
            Stage::Open(open) => open.next(&mut self.server),
        }
    }

    /// The whole of what a client says first; one pixel format for everybody.
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
        self.stage = Stage::Open(Box::new(Open {
            parser,
            screen: Framebuffer::new(init.width, init.height),
            asked: false,
            whole: true,
            inside: false,
            pixels: false,
            painted: false,
            changed: false,
            worked: 0,
        }));
        self.ask();
    }
}

impl Open {
    fn next(&mut self, server: &mut ServerCapabilities) -> Result<Option<ToolEvent>, ToolError> {
        while let Some(message) = self.parser.next()? {
            match message {
                ServerMessage::UpdateStart => self.inside = true,
                ServerMessage::Rectangle(rectangle) => {
                    server.confirm(&rectangle);
                    if let Some(event) = self.apply(&rectangle)? {
                        return Ok(Some(event));
                    }
                    self.worked += work(&rectangle);
                    if self.worked > TURN {
                        self.worked = 0;
                        return Ok(Some(ToolEvent::Busy));
                    }
                }
                ServerMessage::UpdateEnd => {
                    self.inside = false;
                    self.asked = false;
                    self.worked = 0;
                    self.painted |= std::mem::take(&mut self.pixels);
                    let changed = std::mem::take(&mut self.changed);
                    return Ok(Some(ToolEvent::Updated { changed }));
                }
                ServerMessage::CutText(text) => {
                    if let Some(text) = to_text(text, server.utf8_cut_text) {
                        return Ok(Some(ToolEvent::CutText(text)));
                    }
                }
                // a clipboard above the bound stays where it is; the others were never announced by
                // us, and a tool that sends them all the same gets no answer
                ServerMessage::CutTextSkipped { .. } => {}
                ServerMessage::Bell
                | ServerMessage::Fence { .. }
                | ServerMessage::EndOfContinuousUpdates => {}
            }
        }
        Ok(None)
    }

    fn apply(&mut self, rectangle: &Rectangle) -> Result<Option<ToolEvent>, ToolError> {
        if let Rectangle::ExtendedDesktopSize {
            reason: 1, status, ..
        } = *rectangle
            && status != 0
        {
            return Ok(Some(ToolEvent::SizeAnswer(status)));
        }
        let before = (self.screen.width(), self.screen.height());
        self.changed |= self.screen.apply(rectangle)?;
        let resized = before != (self.screen.width(), self.screen.height());
        self.whole |= resized;
        self.painted &= !resized;
        self.pixels = (self.pixels && !resized) || matches!(rectangle, Rectangle::Raw { .. });
        let answered = matches!(rectangle, Rectangle::ExtendedDesktopSize { reason: 1, .. });
        Ok(answered.then_some(ToolEvent::SizeAnswer(0)))
    }
}

/// Cut text as a string; `None` for bytes that aren't UTF-8 where that was agreed on.
fn to_text(bytes: Vec<u8>, utf8: bool) -> Option<String> {
    if utf8 {
        return String::from_utf8(bytes).ok();
    }
    Some(from_latin1(&bytes))
}

/// The pixels that a rectangle has us touch.
fn work(rectangle: &Rectangle) -> u64 {
    match rectangle {
        Rectangle::Raw { rect, .. } | Rectangle::CopyRect { rect, .. } => rect.area() as u64,
        Rectangle::DesktopSize { width, height }
        | Rectangle::ExtendedDesktopSize { width, height, .. } => {
            u64::from(*width) * u64::from(*height)
        }
        // a JPEG was never asked for, and the screen refuses it
        Rectangle::Jpeg { .. }
        | Rectangle::Cursor(_)
        | Rectangle::PointerPos { .. }
        | Rectangle::Supports { .. } => 0,
    }
}

#[cfg(test)]
mod tests;
