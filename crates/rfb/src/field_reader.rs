//! Reader of big-endian fields, and the outcome of parsing with it.

use crate::error::{ErrorKind, MessageKind, ProtocolError};
use crate::{Rect, ScreenLayout};

/// The slice ends before the field does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incomplete;

/// Reason why a parser has no message.
#[derive(Debug)]
pub(crate) enum ParseError {
    /// Bytes are missing: the parser tries again, from the message's first byte, after the next
    /// push.
    Incomplete,
    /// The peer broke the protocol.
    Protocol(ProtocolError),
}

impl From<Incomplete> for ParseError {
    fn from(_: Incomplete) -> Self {
        Self::Incomplete
    }
}

impl ParseError {
    /// Returns an error of the client.
    pub(crate) fn client(message: MessageKind, kind: ErrorKind) -> Self {
        Self::Protocol(ProtocolError::client(message, kind))
    }

    /// Returns an error of the server.
    pub(crate) fn server(message: MessageKind, kind: ErrorKind) -> Self {
        Self::Protocol(ProtocolError::server(message, kind))
    }
}

/// Reads big-endian fields from the front of a slice.
#[derive(Clone, Copy)]
pub(crate) struct FieldReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> FieldReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Returns the number of bytes read so far.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Incomplete> {
        let end = self.position.checked_add(count).ok_or(Incomplete)?;
        let bytes = self.bytes.get(self.position..end).ok_or(Incomplete)?;
        self.position = end;
        Ok(bytes)
    }

    /// Returns all bytes that haven't been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Incomplete> {
        self.bytes(N)?.try_into().map_err(|_| Incomplete)
    }

    pub(crate) fn skip(&mut self, count: usize) -> Result<(), Incomplete> {
        self.bytes(count).map(|_| ())
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Incomplete> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Incomplete> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Incomplete> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Incomplete> {
        self.array().map(i32::from_be_bytes)
    }

    /// Reads Tight's compact length: 7 bits, 7 more, then 8, lowest first. The highest bit of each
    /// of the first two bytes says that another byte follows (RFB protocol, 'Tight Encoding').
    pub(crate) fn compact_length(&mut self) -> Result<usize, Incomplete> {
        let mut length = 0;
        for shift in [0, 7] {
            let byte = usize::from(self.u8()?);
            length |= (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(length);
            }
        }
        Ok(length | usize::from(self.u8()?) << 14)
    }

    pub(crate) fn rect(&mut self) -> Result<Rect, Incomplete> {
        Ok(Rect {
            x: self.u16()?,
            y: self.u16()?,
            w: self.u16()?,
            h: self.u16()?,
        })
    }

    /// Reads the screens of ExtendedDesktopSize or SetDesktopSize, 16 bytes each.
    pub(crate) fn screens(&mut self, count: u8) -> Result<Vec<ScreenLayout>, Incomplete> {
        let mut list = Self::new(self.bytes(usize::from(count) * 16)?);
        (0..count).map(|_| list.screen()).collect()
    }

    fn screen(&mut self) -> Result<ScreenLayout, Incomplete> {
        Ok(ScreenLayout {
            id: self.u32()?,
            rect: self.rect()?,
            flags: self.u32()?,
        })
    }
}
