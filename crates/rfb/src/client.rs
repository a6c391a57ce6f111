//! Messages from a client (a viewer) to a server, and their parser: RFC 6143 section 7.5 and extensions.

use crate::error::{Fault, MessageKind};
use crate::input::{Fields, Input};
use crate::{Layout, Limits, PixelFormat, ProtocolError, Rect};
use std::ops::ControlFlow;

/// A message from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage {
    /// Pixels shall come in this format from now on.
    SetPixelFormat(PixelFormat),
    /// What the client understands, best first; also the pseudo-encodings.
    SetEncodings(Vec<i32>),
    /// Please send an update.
    UpdateRequest {
        /// Only what changed.
        incremental: bool,
        /// Of this area; not clipped by the parser.
        rect: Rect,
    },
    /// A key went down or up.
    Key {
        /// Down or up.
        down: bool,
        /// X11 keysym.
        keysym: u32,
    },
    /// The same, with the key's place.
    QemuKey {
        /// Down or up.
        down: bool,
        /// X11 keysym; 0 when the client doesn't know it.
        keysym: u32,
        /// PC scan code (set 1); extended ones with 0x80 set.
        keycode: u32,
    },
    /// The pointer is here, with these buttons held.
    Pointer {
        /// Bit 0 left, 1 middle, 2 right, 3 to 6 wheel up, down, left, right, 7 back, 8 forward.
        buttons: u16,
        /// Column; not clipped by the parser.
        x: u16,
        /// Row; not clipped by the parser.
        y: u16,
    },
    /// The client's clipboard, Latin-1.
    CutText(Vec<u8>),
    /// A fence, or the answer to one of ours.
    Fence {
        /// See [`crate::encode::fence_flags`].
        flags: u32,
        /// To be returned untouched.
        payload: Vec<u8>,
    },
    /// Updates without requests, on or off.
    EnableContinuousUpdates {
        /// On or off.
        enable: bool,
        /// The area; not clipped by the parser.
        rect: Rect,
    },
    /// Please change the framebuffer's size.
    SetDesktopSize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
        /// The screens in it.
        screens: Vec<Layout>,
    },
}

/// Reads what a client sends after the handshake.
#[derive(Debug)]
pub struct ClientParser {
    limits: Limits,
    extended_pointer: bool,
    input: Input,
    broken: Option<ProtocolError>,
}

impl ClientParser {
    /// A parser at the start of a message.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            extended_pointer: false,
            input: Input::default(),
            broken: None,
        }
    }

    /// Whether pointer events may come in the form with nine buttons: from the moment on when the
    /// client knows that the server understands it (see [`encode::server::supports`](crate::encode::server::supports)).
    /// The top bit of a plain event's buttons is then the mark of the longer form.
    pub fn set_extended_pointer(&mut self, on: bool) {
        self.extended_pointer = on;
    }

    /// More bytes, split anywhere. Ask [`next`](Self::next) until it has no more before you push again:
    /// then no more than one message and one push are ever held.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.input.push(bytes);
        }
    }

    /// The next whole message; `None` until more bytes come.
    ///
    /// # Errors
    /// The client broke the protocol; the same error comes back from then on. An extended-clipboard
    /// message (negative length) is such a break: we never announce that extension.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<ClientMessage>, ProtocolError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        match self.parse() {
            ControlFlow::Continue((message, used)) => {
                self.input.consume(used);
                Ok(Some(message))
            }
            ControlFlow::Break(None) => Ok(None),
            ControlFlow::Break(Some(error)) => {
                self.broken = Some(error.clone());
                Err(error)
            }
        }
    }

    /// One message from its first byte, and its length. Every header is read anew at each call; none
    /// is longer than a few bytes, and nothing is copied before the message is whole.
    fn parse(&self) -> ControlFlow<Stop, (ClientMessage, usize)> {
        let mut fields = Fields::new(self.input.bytes());
        let message = match wait(fields.u8())? {
            0 => set_pixel_format(&mut fields),
            2 => set_encodings(&mut fields, &self.limits),
            3 => wait(update_request(&mut fields)),
            4 => wait(key(&mut fields)),
            5 => pointer(&mut fields, self.extended_pointer),
            6 => cut_text(&mut fields, &self.limits),
            150 => wait(continuous_updates(&mut fields)),
            248 => fence(&mut fields, &self.limits),
            251 => wait(set_desktop_size(&mut fields)),
            255 => qemu(&mut fields),
            other => broken(MessageKind::Unknown(other), Fault::UnknownType),
        }?;
        ControlFlow::Continue((message, fields.read()))
    }
}

/// Why there is no message: bytes are missing (`None`), or the client broke the protocol.
type Stop = Option<ProtocolError>;
type Parsed<T = ClientMessage> = ControlFlow<Stop, T>;

fn wait<T>(read: Option<T>) -> Parsed<T> {
    read.map_or(ControlFlow::Break(None), ControlFlow::Continue)
}

fn broken<T>(message: MessageKind, fault: Fault) -> Parsed<T> {
    ControlFlow::Break(Some(ProtocolError::client(message, fault)))
}

fn checked<T>(message: MessageKind, result: Result<T, Fault>) -> Parsed<T> {
    match result {
        Ok(value) => ControlFlow::Continue(value),
        Err(fault) => broken(message, fault),
    }
}

fn set_pixel_format(fields: &mut Fields<'_>) -> Parsed {
    wait(fields.skip(3))?;
    let format = wait(PixelFormat::read_usable(fields))?;
    let format = checked(MessageKind::SetPixelFormat, format)?;
    ControlFlow::Continue(ClientMessage::SetPixelFormat(format))
}

fn set_encodings(fields: &mut Fields<'_>, limits: &Limits) -> Parsed {
    wait(fields.skip(1))?;
    let count = usize::from(wait(fields.u16())?);
    let fits = Fault::check("number of encodings", count, limits.max_encodings);
    checked(MessageKind::SetEncodings, fits)?;
    let mut list = Fields::new(wait(fields.take(count * 4))?);
    let encodings = std::iter::from_fn(|| list.i32()).collect();
    ControlFlow::Continue(ClientMessage::SetEncodings(encodings))
}

fn update_request(fields: &mut Fields<'_>) -> Option<ClientMessage> {
    Some(ClientMessage::UpdateRequest {
        incremental: fields.u8()? != 0,
        rect: fields.rect()?,
    })
}

fn key(fields: &mut Fields<'_>) -> Option<ClientMessage> {
    let down = fields.u8()? != 0;
    fields.skip(2)?;
    let keysym = fields.u32()?;
    Some(ClientMessage::Key { down, keysym })
}

/// The longer form has bit 7 set, and the buttons from the eighth on in a byte of its own.
fn pointer(fields: &mut Fields<'_>, extended: bool) -> Parsed {
    let mask = wait(fields.u8())?;
    let x = wait(fields.u16())?;
    let y = wait(fields.u16())?;
    let buttons = if extended && mask & 0x80 != 0 {
        let high = wait(fields.u8())?;
        if high & !0x03 != 0 {
            return broken(MessageKind::Pointer, Fault::BadValue("buttons"));
        }
        u16::from(mask & 0x7f) | u16::from(high) << 7
    } else {
        u16::from(mask)
    };
    ControlFlow::Continue(ClientMessage::Pointer { buttons, x, y })
}

fn cut_text(fields: &mut Fields<'_>, limits: &Limits) -> Parsed {
    wait(fields.skip(3))?;
    let length = wait(fields.u32())?;
    if length >= 1 << 31 {
        return broken(
            MessageKind::CutText,
            Fault::NotNegotiated("the extended clipboard"),
        );
    }
    let fits = Fault::check("clipboard text", length as usize, limits.max_cut_text);
    checked(MessageKind::CutText, fits)?;
    let text = wait(fields.take(length as usize))?;
    ControlFlow::Continue(ClientMessage::CutText(text.to_vec()))
}

fn continuous_updates(fields: &mut Fields<'_>) -> Option<ClientMessage> {
    Some(ClientMessage::EnableContinuousUpdates {
        enable: fields.u8()? != 0,
        rect: fields.rect()?,
    })
}

fn fence(fields: &mut Fields<'_>, limits: &Limits) -> Parsed {
    wait(fields.skip(3))?;
    let flags = wait(fields.u32())?;
    let length = usize::from(wait(fields.u8())?);
    let fits = Fault::check("payload", length, limits.max_fence);
    checked(MessageKind::Fence, fits)?;
    let payload = wait(fields.take(length))?.to_vec();
    ControlFlow::Continue(ClientMessage::Fence { flags, payload })
}

/// At most 255 screens of 16 bytes: its own length byte is the limit.
fn set_desktop_size(fields: &mut Fields<'_>) -> Option<ClientMessage> {
    fields.skip(1)?;
    let width = fields.u16()?;
    let height = fields.u16()?;
    let count = usize::from(fields.u8()?);
    fields.skip(1)?;
    let mut list = Fields::new(fields.take(count * 16)?);
    let screens = std::iter::from_fn(|| list.layout()).collect();
    Some(ClientMessage::SetDesktopSize {
        width,
        height,
        screens,
    })
}

fn qemu(fields: &mut Fields<'_>) -> Parsed {
    match wait(fields.u8())? {
        0 => wait(qemu_key(fields)),
        _ => broken(MessageKind::Qemu, Fault::UnknownType),
    }
}

fn qemu_key(fields: &mut Fields<'_>) -> Option<ClientMessage> {
    Some(ClientMessage::QemuKey {
        down: fields.u16()? != 0,
        keysym: fields.u32()?,
        keycode: fields.u32()?,
    })
}
