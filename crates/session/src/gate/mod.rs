//! The gate: of what an agent's program sends, what may come through. Pure.
//!
//! It ends RFB: bytes go in, and only messages that were understood come out, made anew from their
//! parts. What looks on goes to the updater ([`Passed::Encodings`] and its like), what acts goes to
//! the tool ([`ToolInput`]) and needs control. A viewer sends pointer events whether it may or not,
//! so those are dropped without control; a message that isn't in the list ends the session.

mod capabilities;
mod held;
#[cfg(test)]
mod tests;

use etatuki_protocol::{MAX_CLIPBOARD, Permissions};
use etatuki_rfb::{
    ClientMessage, ClientParser, ErrorKind, Limits, PointerFormat, ProtocolError, Rect,
    ScreenLayout, encode, encoding,
};

pub use capabilities::{BackendCapabilities, ServerCapabilities};
use held::Held;

/// Encodings of an agent's list that pass whatever the backend can do.
const ENCODINGS: [i32; 10] = [
    encoding::RAW,
    encoding::TIGHT,
    encoding::COPY_RECT,
    encoding::CURSOR,
    encoding::POINTER_POS,
    encoding::DESKTOP_SIZE,
    encoding::EXTENDED_DESKTOP_SIZE,
    encoding::LAST_RECT,
    encoding::FENCE,
    encoding::CONTINUOUS_UPDATES,
];

/// Extensions of the input: scan codes, and nine buttons. They pass once the backend's server has confirmed them.
const EXTENDED_INPUT_ENCODINGS: [i32; 2] = [
    encoding::QEMU_EXTENDED_KEY,
    encoding::EXTENDED_MOUSE_BUTTONS,
];

/// A fence's payload, at most (the extension's own bound).
const MAX_FENCE: usize = 64;

/// What came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed {
    /// What the viewer understands, cut down to our list.
    Encodings(Vec<i32>),
    /// An update is wanted; clipped to the screen.
    Request {
        /// Only what changed.
        incremental: bool,
        /// Of this area.
        rect: Rect,
    },
    /// Updates without requests, on or off.
    Continuous {
        /// On or off.
        enable: bool,
        /// Of this area; clipped to the screen.
        rect: Rect,
    },
    /// A fence, or the answer to one.
    Fence {
        /// See [`etatuki_rfb::encode::fence_flags`].
        flags: u32,
        /// At most 64 bytes.
        payload: Vec<u8>,
    },
    /// A change of size that isn't allowed, or that the backend can't make: to be answered with 'prohibited'.
    SizeForbidden,
    /// For the tool; only with control, and while no question is open.
    Tool(ToolInput),
}

/// All that can ever reach a tool from an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolInput {
    /// A key, by X11 keysym.
    Key {
        /// Down or up.
        down: bool,
        /// X11 keysym.
        keysym: u32,
    },
    /// A physical key, by scan code; needs [`ServerCapabilities::qemu_keys`].
    QemuKey {
        /// Down or up.
        down: bool,
        /// X11 keysym; 0 if unknown.
        keysym: u32,
        /// PC scan code.
        keycode: u32,
    },
    /// The pointer; inside the screen.
    Pointer {
        /// Held buttons; above bit 7 only with [`ServerCapabilities::extended_buttons`].
        buttons: u16,
        /// Column.
        x: u16,
        /// Row.
        y: u16,
    },
    /// Clipboard text.
    CutText(String),
    /// Another size of the screen; needs [`ServerCapabilities::can_resize`].
    DesktopSize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
        /// The screens in it.
        screens: Vec<ScreenLayout>,
    },
}

impl ToolInput {
    /// Appends it as an RFB client message. Text is Latin-1 unless the server has confirmed UTF-8; what Latin-1
    /// lacks becomes `?`.
    pub fn encode(&self, server: &ServerCapabilities, out: &mut Vec<u8>) {
        let message = match self.clone() {
            ToolInput::Key { down, keysym } => ClientMessage::Key { down, keysym },
            ToolInput::QemuKey {
                down,
                keysym,
                keycode,
            } => ClientMessage::QemuKey {
                down,
                keysym,
                keycode,
            },
            ToolInput::Pointer { buttons, x, y } => ClientMessage::Pointer { buttons, x, y },
            ToolInput::CutText(text) if server.utf8_cut_text => {
                ClientMessage::CutText(text.into_bytes())
            }
            ToolInput::CutText(text) => ClientMessage::CutText(to_latin1(&text)),
            ToolInput::DesktopSize {
                width,
                height,
                screens,
            } => ClientMessage::SetDesktopSize {
                width,
                height,
                screens,
            },
        };
        encode::client::message(
            out,
            &message,
            PointerFormat::negotiated(server.extended_buttons),
        );
    }
}

/// The agent's program sent what it must not. It ends the session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A message type that the gate doesn't know.
    #[error("the agent's program sent an unknown message: {0}")]
    UnknownMessage(ProtocolError),
    /// A message that it knows, broken or out of bounds.
    #[error("the agent's program sent a broken message: {0}")]
    BrokenMessage(ProtocolError),
    /// The pixel format is fixed.
    #[error("the agent's program asked for another pixel format")]
    PixelFormat,
    /// A fence that is longer than the extension lets it be.
    #[error("the agent's program sent a fence of {0} bytes")]
    FenceTooLong(usize),
}

impl Violation {
    /// The stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Violation::UnknownMessage(_) => "unknown-message",
            Violation::BrokenMessage(_) => "broken-message",
            Violation::PixelFormat => "pixel-format",
            Violation::FenceTooLong(_) => "fence-too-long",
        }
    }
}

impl From<ProtocolError> for Violation {
    fn from(error: ProtocolError) -> Self {
        match error.kind {
            ErrorKind::UnknownType | ErrorKind::NotNegotiated(_) => {
                Violation::UnknownMessage(error)
            }
            _ => Violation::BrokenMessage(error),
        }
    }
}

/// One agent's gate.
#[derive(Debug)]
pub struct Gate {
    server: ServerCapabilities,
    parser: ClientParser,
    /// The agent's list, cut down to what some backend can do.
    encodings: Vec<i32>,
    permissions: Permissions,
    muted: bool,
    size: (u16, u16),
    held: Held,
    broken: Option<Violation>,
}

impl Gate {
    /// A gate that lets nothing through to the tool.
    pub fn new(server: ServerCapabilities) -> Self {
        Self {
            server,
            parser: ClientParser::new(Limits::default()),
            encodings: Vec::new(),
            permissions: Permissions::default(),
            muted: false,
            size: (0, 0),
            held: Held::default(),
            broken: None,
        }
    }

    /// What the customer allows from now on. Before control ends, [`release`](Self::release).
    pub fn permit(&mut self, permissions: Permissions) {
        self.permissions = permissions;
    }

    /// Whether a question is on the customer's screen: then nothing reaches the tool.
    pub fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Records what the backend's server can do now. Returns the agent's encodings anew if other ones pass since.
    pub fn set_server(&mut self, server: ServerCapabilities) -> Option<Passed> {
        let before = self.passing();
        self.server = server;
        let after = self.passing();
        (after != before).then(|| self.announce(after))
    }

    /// The screen's size, for clipping; (0, 0) while there is no screen.
    pub fn set_size(&mut self, width: u16, height: u16) {
        self.size = (width, height);
    }

    /// Bytes from the agent's input stream, split anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.parser.push(bytes);
        }
    }

    /// The next thing that comes through; `None` until more bytes come.
    ///
    /// # Errors
    /// The agent's program sent what it must not; the same error comes back from then on.
    #[allow(
        clippy::should_implement_trait,
        reason = "it can fail, and more may come after None"
    )]
    pub fn next(&mut self) -> Result<Option<Passed>, Violation> {
        if let Some(violation) = &self.broken {
            return Err(violation.clone());
        }
        let passed = self.step();
        self.broken = passed.as_ref().err().cloned();
        passed
    }

    /// Clipboard text from the agent, as it may reach the tool.
    pub fn clipboard_in(&self, text: String) -> Option<ToolInput> {
        self.carries(&text).then_some(ToolInput::CutText(text))
    }

    /// Clipboard text of the tool's, as it may reach the agent.
    pub fn clipboard_out(&self, text: String) -> Option<String> {
        self.carries(&text).then_some(text)
    }

    /// Whether clipboard text may go either way.
    fn carries(&self, text: &str) -> bool {
        self.acts() && self.server.backend.clipboard && text.len() <= MAX_CLIPBOARD
    }

    /// What releases everything that the agent holds down, latest first. Nothing is held afterwards.
    pub fn release(&mut self) -> Vec<ToolInput> {
        self.held.release()
    }

    fn acts(&self) -> bool {
        self.permissions.control && !self.muted
    }

    /// Goes on until something came through, or the bytes are used up.
    fn step(&mut self) -> Result<Option<Passed>, Violation> {
        while let Some(message) = self.parser.next()? {
            if let Some(passed) = self.judge(message)? {
                return Ok(Some(passed));
            }
        }
        Ok(None)
    }

    fn judge(&mut self, message: ClientMessage) -> Result<Option<Passed>, Violation> {
        Ok(match message {
            ClientMessage::SetPixelFormat(_) => return Err(Violation::PixelFormat),
            ClientMessage::SetEncodings(list) => Some(self.set_encodings(&list)),
            ClientMessage::UpdateRequest { incremental, rect } => self
                .clip(rect)
                .map(|rect| Passed::Request { incremental, rect }),
            ClientMessage::EnableContinuousUpdates { enable, rect } => {
                let clipped = self.clip(rect);
                (clipped.is_some() || !enable).then(|| Passed::Continuous {
                    enable,
                    rect: clipped.unwrap_or_default(),
                })
            }
            ClientMessage::Fence { payload, .. } if payload.len() > MAX_FENCE => {
                return Err(Violation::FenceTooLong(payload.len()));
            }
            ClientMessage::Fence { flags, payload } => Some(Passed::Fence { flags, payload }),
            ClientMessage::SetDesktopSize { .. } if !(self.acts() && self.server.can_resize()) => {
                Some(Passed::SizeForbidden)
            }
            _ if !self.acts() => None,
            message => self.act(message).map(Passed::Tool),
        })
    }

    /// With control: what it becomes for the tool.
    fn act(&mut self, message: ClientMessage) -> Option<ToolInput> {
        let input = match message {
            ClientMessage::Key { .. }
            | ClientMessage::QemuKey { .. }
            | ClientMessage::Pointer { .. }
                if !self.server.backend.input =>
            {
                return None;
            }
            ClientMessage::Key { down, keysym } => ToolInput::Key { down, keysym },
            ClientMessage::QemuKey {
                down,
                keysym,
                keycode,
            } => {
                if self.server.qemu_keys && keycode <= 0xff {
                    ToolInput::QemuKey {
                        down,
                        keysym,
                        keycode,
                    }
                } else if keysym != 0 {
                    ToolInput::Key { down, keysym }
                } else {
                    return None;
                }
            }
            ClientMessage::Pointer { buttons, x, y } => self.pointer(buttons, x, y)?,
            ClientMessage::CutText(text) => self.clipboard_in(from_latin1(&text))?,
            ClientMessage::SetDesktopSize {
                width,
                height,
                screens,
            } => ToolInput::DesktopSize {
                width,
                height,
                screens,
            },
            // none of these acts: judge() has dealt with them
            ClientMessage::SetPixelFormat(_)
            | ClientMessage::SetEncodings(_)
            | ClientMessage::UpdateRequest { .. }
            | ClientMessage::Fence { .. }
            | ClientMessage::EnableContinuousUpdates { .. } => return None,
        };
        self.held.note(&input).then_some(input)
    }

    fn pointer(&self, buttons: u16, x: u16, y: u16) -> Option<ToolInput> {
        let (width, height) = self.size;
        let (right, bottom) = (width.checked_sub(1)?, height.checked_sub(1)?);
        let known = if self.server.extended_buttons {
            0x1ff
        } else {
            0xff
        };
        Some(ToolInput::Pointer {
            buttons: buttons & known,
            x: x.min(right),
            y: y.min(bottom),
        })
    }

    fn set_encodings(&mut self, list: &[i32]) -> Passed {
        self.encodings.clear();
        let known = |encoding: &&i32| {
            ENCODINGS.contains(encoding) || EXTENDED_INPUT_ENCODINGS.contains(encoding)
        };
        for encoding in list.iter().filter(known) {
            if !self.encodings.contains(encoding) {
                self.encodings.push(*encoding);
            }
        }
        self.announce(self.passing())
    }

    /// The agent's encodings that the backend's server can serve.
    fn passing(&self) -> Vec<i32> {
        let passes = |encoding: &i32| {
            !EXTENDED_INPUT_ENCODINGS.contains(encoding) || self.server.takes(*encoding)
        };
        self.encodings.iter().copied().filter(passes).collect()
    }

    /// Hands `passing` on; from here on the agent's pointer events may have the long form if it is among them.
    fn announce(&mut self, passing: Vec<i32>) -> Passed {
        self.parser.set_pointer_format(PointerFormat::negotiated(
            passing.contains(&encoding::EXTENDED_MOUSE_BUTTONS),
        ));
        Passed::Encodings(passing)
    }

    fn clip(&self, rect: Rect) -> Option<Rect> {
        rect.intersection(&Rect::new(0, 0, self.size.0, self.size.1))
    }
}

fn to_latin1(text: &str) -> Vec<u8> {
    let byte = |c| u8::try_from(u32::from(c)).unwrap_or(b'?');
    text.chars().map(byte).collect()
}

/// RFC 6143 section 7.6.4.
pub(crate) fn from_latin1(text: &[u8]) -> String {
    text.iter().copied().map(char::from).collect()
}
