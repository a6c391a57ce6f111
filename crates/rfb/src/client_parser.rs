//! Parser of the messages that a client sends after the handshake.

use crate::error::{ErrorKind, MessageKind};
use crate::field_reader::{FieldReader, Incomplete, ParseError};
use crate::receive_buffer::ReceiveBuffer;
use crate::{ClientMessage, ClipboardMessage, Limits, PixelFormat, PointerFormat, ProtocolError};

/// Parses what a client sends after the handshake.
#[derive(Debug)]
pub struct ClientParser {
    limits: Limits,
    pointer_format: PointerFormat,
    extended_clipboard: bool,
    /// The clipboard message above the limit that is being skipped.
    skipped: Option<SkippedMessage>,
    buffer: ReceiveBuffer,
    failed: Option<ProtocolError>,
}

/// A message of which `left` bytes are still to be skipped.
#[derive(Clone, Copy, Debug)]
struct SkippedMessage {
    left: usize,
    length: u32,
}

/// The next part of the stream, from its first byte on.
enum Part {
    /// A whole message of this many bytes.
    Message(ClientMessage, usize),
    /// The header, of this many bytes, of a message that is skipped.
    Skipped(usize, SkippedMessage),
}

impl ClientParser {
    /// Returns a parser at the start of a message.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            pointer_format: PointerFormat::Standard,
            extended_clipboard: false,
            skipped: None,
            buffer: ReceiveBuffer::default(),
            failed: None,
        }
    }

    /// Accepts Extended Clipboard messages too, and skips clipboard texts above the limit: for a
    /// server that offers [`encoding::EXTENDED_CLIPBOARD`](crate::encoding::EXTENDED_CLIPBOARD).
    #[must_use]
    pub fn with_extended_clipboard(mut self) -> Self {
        self.extended_clipboard = true;
        self
    }

    /// Sets the format of the pointer events that follow.
    pub fn set_pointer_format(&mut self, format: PointerFormat) {
        self.pointer_format = format;
    }

    /// Appends bytes, split anywhere. Call [`next`](Self::next) until it returns `None` before the
    /// next push: then at most one message and one push are held.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.push(bytes);
        }
    }

    /// Returns the next whole message; `None` until more bytes come.
    ///
    /// # Errors
    /// The client broke the protocol; every later call returns the same error. An Extended
    /// Clipboard message (negative length) is such a break where that isn't accepted.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<ClientMessage>, ProtocolError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if let Some(message) = self.skipped.take() {
            return Ok(self.skip(message));
        }
        match self.parse() {
            Ok(Part::Message(message, length)) => {
                self.buffer.consume(length);
                Ok(Some(message))
            }
            Ok(Part::Skipped(header, message)) => {
                self.buffer.consume(header);
                Ok(self.skip(message))
            }
            Err(ParseError::Incomplete) => Ok(None),
            Err(ParseError::Protocol(error)) => {
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Skips the bytes that have come of a message above the limit.
    fn skip(&mut self, message: SkippedMessage) -> Option<ClientMessage> {
        let SkippedMessage { left, length } = message;
        let here = self.buffer.bytes().len().min(left);
        self.buffer.consume(here);
        let left = left - here;
        self.skipped = (left > 0).then_some(SkippedMessage { left, length });
        (left == 0).then_some(ClientMessage::CutTextSkipped { length })
    }

    /// Parses one message from its first byte. Each call parses the
    /// header anew: a header is a few bytes, and nothing is copied before the message is whole.
    fn parse(&self) -> Parsed<Part> {
        let mut fields = FieldReader::new(self.buffer.bytes());
        let message = match fields.u8()? {
            0 => set_pixel_format(&mut fields)?,
            2 => set_encodings(&mut fields, &self.limits)?,
            3 => update_request(&mut fields)?,
            4 => key(&mut fields)?,
            5 => pointer(&mut fields, self.pointer_format)?,
            6 if self.extended_clipboard => return any_cut_text(&mut fields, &self.limits),
            6 => cut_text(&mut fields, &self.limits)?,
            150 => continuous_updates(&mut fields)?,
            248 => fence(&mut fields, &self.limits)?,
            251 => set_desktop_size(&mut fields)?,
            255 => qemu(&mut fields)?,
            other => return fail(MessageKind::Unknown(other), ErrorKind::UnknownType),
        };
        Ok(Part::Message(message, fields.position()))
    }
}

type Parsed<T = ClientMessage> = Result<T, ParseError>;

fn fail<T>(message: MessageKind, kind: ErrorKind) -> Parsed<T> {
    Err(ParseError::client(message, kind))
}

/// Attributes an error to its message.
fn in_message<T>(message: MessageKind, result: Result<T, ErrorKind>) -> Parsed<T> {
    result.map_err(|kind| ParseError::client(message, kind))
}

fn set_pixel_format(fields: &mut FieldReader<'_>) -> Parsed {
    fields.skip(3)?;
    let format = PixelFormat::read_usable(fields)?;
    let format = in_message(MessageKind::SetPixelFormat, format)?;
    Ok(ClientMessage::SetPixelFormat(format))
}

fn set_encodings(fields: &mut FieldReader<'_>, limits: &Limits) -> Parsed {
    fields.skip(1)?;
    let count = usize::from(fields.u16()?);
    let checked = ErrorKind::check("number of encodings", count, limits.max_encodings);
    in_message(MessageKind::SetEncodings, checked)?;
    let mut list = FieldReader::new(fields.bytes(count * 4)?);
    let encodings = (0..count).map(|_| list.i32()).collect::<Result<_, _>>()?;
    Ok(ClientMessage::SetEncodings(encodings))
}

fn update_request(fields: &mut FieldReader<'_>) -> Result<ClientMessage, Incomplete> {
    Ok(ClientMessage::UpdateRequest {
        incremental: fields.u8()? != 0,
        rect: fields.rect()?,
    })
}

fn key(fields: &mut FieldReader<'_>) -> Result<ClientMessage, Incomplete> {
    let down = fields.u8()? != 0;
    fields.skip(2)?;
    let keysym = fields.u32()?;
    Ok(ClientMessage::Key { down, keysym })
}

/// Parses a pointer event; a set bit 7 marks the extended format, which has the buttons from the
/// eighth on in a byte of their own at the end.
fn pointer(fields: &mut FieldReader<'_>, format: PointerFormat) -> Parsed {
    let mask = fields.u8()?;
    let x = fields.u16()?;
    let y = fields.u16()?;
    let buttons = if format == PointerFormat::Extended && mask & 0x80 != 0 {
        let high = fields.u8()?;
        if high & !0x03 != 0 {
            return fail(MessageKind::Pointer, ErrorKind::BadValue("buttons"));
        }
        u16::from(mask & 0x7f) | u16::from(high) << 7
    } else {
        u16::from(mask)
    };
    Ok(ClientMessage::Pointer { buttons, x, y })
}

fn cut_text(fields: &mut FieldReader<'_>, limits: &Limits) -> Parsed {
    fields.skip(3)?;
    let length = fields.u32()?;
    if length >= 1 << 31 {
        return fail(
            MessageKind::CutText,
            ErrorKind::NotNegotiated("the extended clipboard"),
        );
    }
    let checked = ErrorKind::check("clipboard text", length as usize, limits.max_cut_text);
    in_message(MessageKind::CutText, checked)?;
    let text = fields.bytes(length as usize)?;
    Ok(ClientMessage::CutText(text.to_vec()))
}

/// Parses a cut text of either form; one above the limit is skipped.
fn any_cut_text(fields: &mut FieldReader<'_>, limits: &Limits) -> Parsed<Part> {
    fields.skip(3)?;
    let length = fields.u32()?;
    let extended = length >= 1 << 31;
    let (length, limit) = if extended {
        (length.wrapping_neg(), limits.max_clipboard_content())
    } else {
        (length, limits.max_cut_text)
    };
    let left = length as usize;
    if left > limit {
        let skipped = SkippedMessage { left, length };
        return Ok(Part::Skipped(fields.position(), skipped));
    }
    let content = fields.bytes(left)?;
    let message = if extended {
        let parsed = ClipboardMessage::parse(content, limits.max_wire_text());
        ClientMessage::Clipboard(in_message(MessageKind::CutText, parsed)?)
    } else {
        ClientMessage::CutText(content.to_vec())
    };
    Ok(Part::Message(message, fields.position()))
}

fn continuous_updates(fields: &mut FieldReader<'_>) -> Result<ClientMessage, Incomplete> {
    Ok(ClientMessage::EnableContinuousUpdates {
        enable: fields.u8()? != 0,
        rect: fields.rect()?,
    })
}

fn fence(fields: &mut FieldReader<'_>, limits: &Limits) -> Parsed {
    fields.skip(3)?;
    let flags = fields.u32()?;
    let length = usize::from(fields.u8()?);
    let checked = ErrorKind::check("payload", length, limits.max_fence_payload);
    in_message(MessageKind::Fence, checked)?;
    let payload = fields.bytes(length)?.to_vec();
    Ok(ClientMessage::Fence { flags, payload })
}

/// Parses SetDesktopSize; its one-byte count bounds it to 255 screens of 16 bytes.
fn set_desktop_size(fields: &mut FieldReader<'_>) -> Result<ClientMessage, Incomplete> {
    fields.skip(1)?;
    let width = fields.u16()?;
    let height = fields.u16()?;
    let count = fields.u8()?;
    fields.skip(1)?;
    Ok(ClientMessage::SetDesktopSize {
        width,
        height,
        screens: fields.screens(count)?,
    })
}

fn qemu(fields: &mut FieldReader<'_>) -> Parsed {
    match fields.u8()? {
        0 => Ok(qemu_key(fields)?),
        _ => fail(MessageKind::Qemu, ErrorKind::UnknownType),
    }
}

fn qemu_key(fields: &mut FieldReader<'_>) -> Result<ClientMessage, Incomplete> {
    Ok(ClientMessage::QemuKey {
        down: fields.u16()? != 0,
        keysym: fields.u32()?,
        keycode: fields.u32()?,
    })
}
