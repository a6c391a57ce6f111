//! D-Bus messages, as far as one property and its changes need them: calls with texts as arguments,
//! replies with a boolean. The format is that of the D-Bus specification, "Message Protocol".

use std::io::{Error, ErrorKind};

/// Bytes that a message may have. Ours have some hundred.
const MAX_MESSAGE: usize = 64 << 10;
/// Bytes of a message's head before its fields.
const HEAD: usize = 16;

const FIELD_PATH: u8 = 1;
const FIELD_INTERFACE: u8 = 2;
const FIELD_MEMBER: u8 = 3;
const FIELD_REPLY_SERIAL: u8 = 5;
const FIELD_DESTINATION: u8 = 6;
const FIELD_SIGNATURE: u8 = 8;

/// A method call.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
    pub(super) arguments: &'a [&'a str],
}

/// The kind of a message that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Call,
    Return,
    Error,
    Signal,
}

/// A message that came.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    /// Serial of the call that this answers.
    pub(super) reply_to: Option<u32>,
    body: Vec<u8>,
    little_endian: bool,
}

impl<'a> Call<'a> {
    /// Returns a call of the bus itself.
    pub(super) const fn to_bus(member: &'a str, arguments: &'a [&'a str]) -> Self {
        Self {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member,
            arguments,
        }
    }

    /// Returns the message's bytes.
    pub(super) fn encode(&self, serial: u32) -> Vec<u8> {
        let mut body = Writer::default();
        for argument in self.arguments {
            body.text(argument);
        }
        let mut fields = Writer::default();
        fields.text_field(FIELD_PATH, "o", self.path);
        fields.text_field(FIELD_INTERFACE, "s", self.interface);
        fields.text_field(FIELD_MEMBER, "s", self.member);
        fields.text_field(FIELD_DESTINATION, "s", self.destination);
        if !self.arguments.is_empty() {
            fields.begin_field(FIELD_SIGNATURE, "g");
            fields.signature(&"s".repeat(self.arguments.len()));
        }
        message(1, serial, &body.0, fields)
    }
}

/// Puts a message together.
pub(super) fn message(kind: u8, serial: u32, body: &[u8], fields: Writer) -> Vec<u8> {
    let mut all = Writer(vec![b'l', kind, 0, 1]);
    all.number(body.len() as u32);
    all.number(serial);
    all.number(fields.0.len() as u32);
    all.0.extend(fields.0);
    all.align(8);
    all.0.extend(body);
    all.0
}

impl Message {
    /// Returns the boolean that a reply's variant holds.
    pub(super) fn boolean(&self) -> Option<bool> {
        let value = self.body.strip_prefix(b"\x01b\0\0")?;
        let value: [u8; 4] = value.get(..4)?.try_into().ok()?;
        let value = if self.little_endian {
            u32::from_le_bytes(value)
        } else {
            u32::from_be_bytes(value)
        };
        (self.kind == Kind::Return).then_some(value == 1)
    }
}

/// Takes the first message off the buffer; `None` until it is complete.
///
/// # Errors
/// The bytes aren't D-Bus, or too long for what was asked.
pub(super) fn take(buffer: &mut Vec<u8>) -> Result<Option<Message>, Error> {
    if buffer.len() < HEAD {
        return Ok(None);
    }
    let broken = || Error::from(ErrorKind::InvalidData);
    let little_endian = match buffer[0] {
        b'l' => true,
        b'B' => false,
        _ => return Err(broken()),
    };
    let reader = Reader {
        bytes: buffer,
        little_endian,
    };
    let body = reader.number(4).ok_or_else(broken)? as usize;
    let fields = reader.number(12).ok_or_else(broken)? as usize;
    let body_at = (HEAD.saturating_add(fields)).next_multiple_of(8);
    let length = body_at.saturating_add(body);
    if fields > MAX_MESSAGE || length > MAX_MESSAGE {
        return Err(broken());
    }
    if buffer.len() < length {
        return Ok(None);
    }
    let kind = match buffer[1] {
        1 => Kind::Call,
        2 => Kind::Return,
        3 => Kind::Error,
        4 => Kind::Signal,
        _ => return Err(broken()),
    };
    let message = Message {
        kind,
        reply_to: reader.reply_serial(HEAD + fields),
        body: buffer[body_at..length].to_vec(),
        little_endian,
    };
    buffer.drain(..length);
    Ok(Some(message))
}

/// Reads numbers and fields of a message.
struct Reader<'a> {
    bytes: &'a [u8],
    little_endian: bool,
}

impl Reader<'_> {
    fn number(&self, at: usize) -> Option<u32> {
        let bytes: [u8; 4] = self.bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if self.little_endian {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }

    /// Returns the field with the serial of the call that is answered. Fields are structs of a code
    /// and a variant of one basic type.
    fn reply_serial(&self, end: usize) -> Option<u32> {
        let mut at = HEAD;
        while at < end {
            let (code, signature) = (*self.bytes.get(at)?, *self.bytes.get(at + 2)?);
            let value = at + 4;
            let length = match signature {
                b'u' if code == FIELD_REPLY_SERIAL => return self.number(value),
                b'u' => 4,
                b's' | b'o' => 4 + self.number(value)? as usize + 1,
                b'g' => 1 + usize::from(*self.bytes.get(value)?) + 1,
                _ => return None,
            };
            at = value.checked_add(length)?.next_multiple_of(8);
        }
        None
    }
}

/// Writes little-endian, aligned values.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    pub(super) fn number(&mut self, number: u32) {
        self.align(4);
        self.0.extend(number.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    pub(super) fn signature(&mut self, signature: &str) {
        self.0.push(signature.len() as u8);
        self.0.extend(signature.as_bytes());
        self.0.push(0);
    }

    pub(super) fn begin_field(&mut self, code: u8, signature: &str) {
        self.align(8);
        self.0.push(code);
        self.signature(signature);
    }

    pub(super) fn text_field(&mut self, code: u8, signature: &str, text: &str) {
        self.begin_field(code, signature);
        self.text(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_come_one_by_one_are_one_message() {
        let mut fields = Writer::default();
        fields.text_field(7, "s", "org.freedesktop.login1");
        fields.begin_field(FIELD_REPLY_SERIAL, "u");
        fields.number(9);
        let whole = message(2, 77, b"\x01b\0\0\x01\0\0\0", fields);
        let mut buffer = vec![];
        for (count, byte) in whole.iter().enumerate() {
            buffer.push(*byte);
            let taken = take(&mut buffer).expect("it is D-Bus");
            assert_eq!(taken.is_some(), count + 1 == whole.len());
            if let Some(message) = taken {
                assert_eq!((message.kind, message.reply_to), (Kind::Return, Some(9)));
                assert_eq!(message.boolean(), Some(true));
            }
        }
        assert!(buffer.is_empty());
    }

    #[test]
    fn rubbish_is_refused_and_never_panics() {
        let mut seed = 7_u32;
        for _ in 0..20_000 {
            let mut bytes: Vec<u8> = (0..64)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect();
            bytes[0] = if seed & 1 == 0 { b'l' } else { b'B' };
            bytes[4..16].fill(0);
            bytes[if seed & 1 == 0 { 12 } else { 15 }] = 40;
            let _ = take(&mut bytes);
        }
        assert!(take(&mut b"HTTP/1.1 400 Bad Request".to_vec()).is_err());
        let mut long = vec![b'l', 1, 0, 1, 255, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0];
        assert!(take(&mut long).is_err());
    }
}
