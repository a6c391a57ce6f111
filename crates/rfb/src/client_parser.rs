//! Parser of the messages that a client sends after the handshake.

use crate::error::{ErrorKind, MessageKind};
use crate::field_reader::{FieldReader, Incomplete, ParseError};
use crate::receive_buffer::ReceiveBuffer;
use crate::{ClientMessage, Limits, PixelFormat, PointerFormat, ProtocolError};

/// Parses what a client sends after the handshake.
#[derive(Debug)]
pub struct ClientParser {
    limits: Limits,
    pointer_format: PointerFormat,
    buffer: ReceiveBuffer,
    failed: Option<ProtocolError>,
}

impl ClientParser {
    /// Returns a parser at the start of a message.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            pointer_format: PointerFormat::Standard,
            buffer: ReceiveBuffer::default(),
            failed: None,
        }
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
    /// Clipboard message (negative length) is such a break: we never announce that extension.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<ClientMessage>, ProtocolError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.parse() {
            Ok((message, length)) => {
                self.buffer.consume(length);
                Ok(Some(message))
            }
            Err(ParseError::Incomplete) => Ok(None),
            Err(ParseError::Protocol(error)) => {
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Parses one message from its first byte; returns it with its length. Each call parses the
    /// header anew: a header is a few bytes, and nothing is copied before the message is whole.
    fn parse(&self) -> Parsed<(ClientMessage, usize)> {
        let mut fields = FieldReader::new(self.buffer.bytes());
        let message = match fields.u8()? {
            0 => set_pixel_format(&mut fields)?,
            2 => set_encodings(&mut fields, &self.limits)?,
            3 => update_request(&mut fields)?,
            4 => key(&mut fields)?,
            5 => pointer(&mut fields, self.pointer_format)?,
            6 => cut_text(&mut fields, &self.limits)?,
            150 => continuous_updates(&mut fields)?,
            248 => fence(&mut fields, &self.limits)?,
            251 => set_desktop_size(&mut fields)?,
            255 => qemu(&mut fields)?,
            other => return fail(MessageKind::Unknown(other), ErrorKind::UnknownType),
        };
        Ok((message, fields.position()))
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
