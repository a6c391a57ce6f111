//! Extended Clipboard: the content of ClientCutText and ServerCutText messages of a negative length.
//!
//! Text alone is supported. On the wire it is UTF-8 with CRLF at the ends of lines and a final NUL,
//! inside a zlib stream of its own for each message; here lines end with LF, and there is no NUL.

use std::io::Write as _;

use flate2::{Compression, Decompress, FlushDecompress, write::ZlibEncoder};

use crate::error::ErrorKind;
use crate::field_reader::FieldReader;

/// The bit of plain text among the formats (bits 0 to 15).
const TEXT: u32 = 1;
const FORMATS: u32 = 0xffff;
const CAPS: u32 = 1 << 24;
const REQUEST: u32 = 1 << 25;
const PEEK: u32 = 1 << 26;
const NOTIFY: u32 = 1 << 27;
const PROVIDE: u32 = 1 << 28;
/// All bits of actions, those reserved for future ones included.
const ACTIONS: u32 = 0xff00_0000;

/// A message of the Extended Clipboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClipboardMessage {
    /// The formats and actions that the sender is willing to receive.
    Caps(ClipboardCaps),
    /// Asks for the text.
    Request {
        /// False when other formats alone are asked for.
        text: bool,
    },
    /// Asks for a [`Notify`](Self::Notify).
    Peek,
    /// The sender's clipboard has new content.
    Notify {
        /// Whether there is text in it.
        text: bool,
    },
    /// The sender's text; `None` when the message holds other formats alone, too long a text, or
    /// one that isn't UTF-8.
    Provide(Option<String>),
}

/// The actions with a text that a side of the Extended Clipboard is willing to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClipboardCaps {
    /// Largest text, in bytes on the wire, that may be provided without a request.
    pub max_unasked_text: u32,
    /// Whether it answers requests.
    pub request: bool,
    /// Whether it answers peeks.
    pub peek: bool,
    /// Whether it wants to be notified.
    pub notify: bool,
    /// Whether it takes texts.
    pub provide: bool,
}

impl ClipboardCaps {
    /// Returns what a client supports that hasn't said anything else.
    #[must_use]
    pub const fn default_of_clients() -> Self {
        Self {
            max_unasked_text: 20 << 20,
            request: true,
            peek: false,
            notify: true,
            provide: true,
        }
    }

    fn flags(self) -> u32 {
        let bit = |set: bool, flag: u32| if set { flag } else { 0 };
        CAPS | TEXT
            | bit(self.request, REQUEST)
            | bit(self.peek, PEEK)
            | bit(self.notify, NOTIFY)
            | bit(self.provide, PROVIDE)
    }
}

impl ClipboardMessage {
    /// Parses the content of a message: all that follows its negative length. Of a text no more is
    /// inflated than `max_text` bytes.
    ///
    /// # Errors
    /// The content isn't an Extended Clipboard message.
    pub fn parse(content: &[u8], max_text: usize) -> Result<Self, ErrorKind> {
        let mut fields = FieldReader::new(content);
        let flags = fields.u32().map_err(|_| malformed())?;
        let text = flags & TEXT != 0;
        match flags & ACTIONS {
            actions if actions & CAPS != 0 => Ok(Self::Caps(caps(flags, &mut fields)?)),
            REQUEST => Ok(Self::Request { text }),
            PEEK => Ok(Self::Peek),
            NOTIFY => Ok(Self::Notify { text }),
            // Formats are in the order of their bits, so the text comes first.
            PROVIDE if text => Ok(Self::Provide(inflate_text(fields.rest(), max_text)?)),
            PROVIDE => Ok(Self::Provide(None)),
            _ => Err(malformed()),
        }
    }

    /// Returns the content of a message: all that follows its negative length.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        let text_bit = |text: bool| if text { TEXT } else { 0 };
        match self {
            Self::Caps(caps) => [caps.flags(), caps.max_unasked_text]
                .iter()
                .flat_map(|field| field.to_be_bytes())
                .collect(),
            Self::Request { text } => header(REQUEST | text_bit(*text)),
            Self::Peek => header(PEEK),
            Self::Notify { text } => header(NOTIFY | text_bit(*text)),
            Self::Provide(None) => header(PROVIDE),
            Self::Provide(Some(text)) => {
                let mut content = header(PROVIDE | TEXT);
                content.extend(deflate_text(text));
                content
            }
        }
    }
}

/// Returns the length of a text on the wire, before it is compressed.
#[must_use]
pub fn wire_text_len(text: &str) -> usize {
    wire_text(text).len()
}

fn malformed() -> ErrorKind {
    ErrorKind::BadValue("extended clipboard message")
}

fn header(flags: u32) -> Vec<u8> {
    flags.to_be_bytes().to_vec()
}

/// Parses the sizes behind the flags of a caps message, one for each format.
fn caps(flags: u32, fields: &mut FieldReader<'_>) -> Result<ClipboardCaps, ErrorKind> {
    let mut max_unasked_text = 0;
    for format in 0..(flags & FORMATS).count_ones() {
        let size = fields.u32().map_err(|_| malformed())?;
        if format == 0 && flags & TEXT != 0 {
            max_unasked_text = size;
        }
    }
    let can = |action: u32| flags & TEXT != 0 && flags & action != 0;
    Ok(ClipboardCaps {
        max_unasked_text,
        request: can(REQUEST),
        peek: can(PEEK),
        notify: can(NOTIFY),
        provide: can(PROVIDE),
    })
}

/// Inflates the text at the start of a zlib stream; what follows it is left compressed.
fn inflate_text(mut stream: &[u8], max_text: usize) -> Result<Option<String>, ErrorKind> {
    let mut inflater = Decompress::new(true);
    let mut size = [0; 4];
    inflate_exactly(&mut inflater, &mut stream, &mut size)?;
    let size = u32::from_be_bytes(size) as usize;
    if size > max_text {
        return Ok(None);
    }
    let mut text = vec![0; size];
    inflate_exactly(&mut inflater, &mut stream, &mut text)?;
    text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(size));
    let text = String::from_utf8(text).ok();
    Ok(text.map(|text| text.replace("\r\n", "\n").replace('\r', "\n")))
}

/// Fills `out` from the stream.
fn inflate_exactly(
    inflater: &mut Decompress,
    stream: &mut &[u8],
    mut out: &mut [u8],
) -> Result<(), ErrorKind> {
    while !out.is_empty() {
        let (read, written) = (inflater.total_in(), inflater.total_out());
        inflater
            .decompress(stream, out, FlushDecompress::None)
            .map_err(|_| malformed())?;
        let read = (inflater.total_in() - read) as usize;
        let written = (inflater.total_out() - written) as usize;
        if read == 0 && written == 0 {
            return Err(malformed());
        }
        *stream = &stream[read..];
        out = &mut out[written..];
    }
    Ok(())
}

/// Compresses a text. The stream is flushed and not ended: viewers leave the end of one unread, and
/// then take it for an error.
fn deflate_text(text: &str) -> Vec<u8> {
    let wire = wire_text(text);
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let written = encoder
        .write_all(&(wire.len() as u32).to_be_bytes())
        .and_then(|()| encoder.write_all(&wire))
        .and_then(|()| encoder.flush());
    debug_assert!(written.is_ok(), "a vector takes everything");
    std::mem::take(encoder.get_mut())
}

/// Returns a text with CRLF at the ends of lines, and a NUL. A NUL inside would end it early.
fn wire_text(text: &str) -> Vec<u8> {
    let text = text.split('\0').next().unwrap_or_default();
    let unix = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut wire = unix.replace('\n', "\r\n").into_bytes();
    wire.push(0);
    wire
}
