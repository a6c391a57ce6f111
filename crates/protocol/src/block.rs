//! Picture blocks: one zstd stream with a long memory, cut into padded blocks. Bytes in, bytes out.
//!
//! ```text
//! kind u8 (0 stored, 1 zstd) | plain length u32 | payload length u32 | payload | zeros to 512 bytes
//! ```
//!
//! All zstd blocks of a stream are one zstd frame that is flushed at each block's end and never ends
//! itself, so that a block can repeat what the last 16 MiB of plain bytes held. A stored block isn't part
//! of that history; it is used where a block takes one unit of 512 bytes anyway, and for JPEG.
//!
//! Padding: with a shared history the length of what follows tells how well it repeats what came before.
//! What is left of that leak is in the threat model.

use zstd::stream::raw::{self, CParameter, DParameter, InBuffer, Operation, OutBuffer};

use crate::{frame::FrameDecoder, violation::Violation};

/// The most that one block may hold before compression.
pub const MAX_PICTURE: usize = 64 << 20;

/// Blocks are padded to multiples of this.
const UNIT: usize = 512;

const HEADER: usize = 9;
const STORED: u8 = 0;
const ZSTD: u8 = 1;

/// 16 MiB of history; each step up costs both ends as much memory again for a tenth fewer bytes.
const WINDOW_LOG: u32 = 24;
const LEVEL: i32 = 3;
/// How many bytes must repeat, and at every how many places (a power of two) it is looked for what repeats. zstd's own
/// choice looks at fewer places, and finds a fifth less in a session in a spreadsheet; docs/performance.md has the figures.
const LONG_MATCH: u32 = 96;
const LONG_RATE_LOG: u32 = 5;
/// How many earlier places with the same bytes are tried (a power of two). zstd's own choice tries twice as many, which
/// saves 2 % of the bytes and costs a third more time.
const LONG_TRIED_LOG: u32 = 3;

/// What the decoder asks for next between two zstd blocks: a block's header (RFC 8878, 3.1.1.2). Anything
/// less, and it holds the beginning of one already.
const BETWEEN_BLOCKS: usize = 3;

/// How much room is made for output at a time.
const STEP: usize = 64 << 10;

/// The reason why something can't be sent: the sender's own fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The message is larger than its stream allows.
    #[error("a message of {length} bytes was given to a stream that takes {limit}")]
    TooLarge {
        /// The message's bytes.
        length: usize,
        /// The most bytes that the stream allows.
        limit: usize,
    },
    /// The compressor failed; only a lack of memory does that.
    #[error("the picture can't be compressed on this machine")]
    Compressor,
}

/// Turns plain bytes into blocks. About 25 MiB of memory once it has compressed something.
pub struct BlockEncoder {
    zstd: raw::Encoder<'static>,
    /// A failure inside a block leaves the two histories different for good.
    broken: bool,
}

impl BlockEncoder {
    /// A fresh stream.
    ///
    /// # Errors
    /// [`EncodeError::Compressor`] if zstd finds no memory.
    pub fn new() -> Result<Self, EncodeError> {
        let mut zstd = raw::Encoder::new(LEVEL).map_err(|_| EncodeError::Compressor)?;
        for parameter in [
            CParameter::EnableLongDistanceMatching(true),
            CParameter::WindowLog(WINDOW_LOG),
            CParameter::LdmMinMatch(LONG_MATCH),
            CParameter::LdmHashRateLog(LONG_RATE_LOG),
            CParameter::LdmBucketSizeLog(LONG_TRIED_LOG),
        ] {
            zstd.set_parameter(parameter)
                .map_err(|_| EncodeError::Compressor)?;
        }
        Ok(Self {
            zstd,
            broken: false,
        })
    }

    /// Appends `plain` as one block to `out`; nothing for empty `plain`. Takes about a millisecond per
    /// 100 to 300 kB.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`] above 64 MiB, and the stream goes on; [`EncodeError::Compressor`], and it
    /// doesn't.
    pub fn encode(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let stored = HEADER + plain.len() <= UNIT;
        self.append(plain, stored, out)
    }

    /// The same for bytes that are compressed already: stored as they are.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn store(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.append(plain, true, out)
    }

    fn append(&mut self, plain: &[u8], stored: bool, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if plain.len() > MAX_PICTURE {
            return Err(EncodeError::TooLarge {
                length: plain.len(),
                limit: MAX_PICTURE,
            });
        }
        if self.broken {
            return Err(EncodeError::Compressor);
        }
        if plain.is_empty() {
            return Ok(());
        }
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        let kind = if stored {
            out.extend_from_slice(plain);
            STORED
        } else {
            self.compress(plain, out)
                .inspect_err(|_| self.broken = true)?;
            ZSTD
        };
        let payload = out.len() - start - HEADER;
        out[start..start + HEADER].copy_from_slice(&header(kind, plain.len(), payload));
        out.resize(start + HEADER + payload + padding(payload), 0);
        Ok(())
    }

    fn compress(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut input = InBuffer::around(plain);
        let mut unflushed = 1;
        while input.pos() < plain.len() || unflushed > 0 {
            out.reserve(STEP);
            let written = out.len();
            let mut output = OutBuffer::around_pos(out, written);
            let result = if input.pos() < plain.len() {
                self.zstd.run(&mut input, &mut output).map(|_| 1)
            } else {
                self.zstd.flush(&mut output)
            };
            unflushed = result.map_err(|_| EncodeError::Compressor)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for BlockEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockEncoder")
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

/// Turns blocks back into plain bytes. At most 16 MiB of history, and one block's payload and plain bytes.
pub struct BlockDecoder {
    zstd: raw::Decoder<'static>,
    /// One block so far: header, payload, padding. Grows as bytes come.
    buffer: Vec<u8>,
    /// The first violation; a stream never recovers from one.
    broken: Option<Violation>,
}

impl BlockDecoder {
    /// A fresh stream.
    ///
    /// # Errors
    /// [`EncodeError::Compressor`] if zstd finds no memory.
    pub fn new() -> Result<Self, EncodeError> {
        let mut zstd = raw::Decoder::new().map_err(|_| EncodeError::Compressor)?;
        zstd.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))
            .map_err(|_| EncodeError::Compressor)?;
        Ok(Self {
            zstd,
            buffer: Vec::new(),
            broken: None,
        })
    }

    /// Takes a piece of the stream of any length and appends to `plain` what it makes whole. For those
    /// who have the bytes at hand, as a fuzzer has.
    ///
    /// # Errors
    /// The rule that the bytes break; the stream is of no use afterwards.
    pub fn decode(&mut self, mut bytes: &[u8], plain: &mut Vec<Vec<u8>>) -> Result<(), Violation> {
        loop {
            let missing = self.missing()?;
            if missing == 0 {
                plain.push(self.take()?);
                continue;
            }
            if bytes.is_empty() {
                return Ok(());
            }
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            self.push(now);
            bytes = later;
        }
    }

    fn open(&mut self, header: Header) -> Result<Vec<u8>, Violation> {
        let (payload, padding) = self.buffer[HEADER..].split_at(header.payload);
        if padding.iter().any(|&byte| byte != 0) {
            return Err(Violation::BlockPadding);
        }
        match header.kind {
            STORED => Ok(payload.to_vec()),
            _ => decompress(&mut self.zstd, payload, header.plain),
        }
    }
}

impl FrameDecoder for BlockDecoder {
    type Message = Vec<u8>;

    fn missing(&self) -> Result<usize, Violation> {
        if let Some(violation) = self.broken {
            return Err(violation);
        }
        let whole = match self.buffer.first_chunk::<HEADER>() {
            None => HEADER,
            Some(bytes) => Header::parse(bytes)?.block(),
        };
        Ok(whole - self.buffer.len())
    }

    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    fn take(&mut self) -> Result<Vec<u8>, Violation> {
        let bytes = self.buffer.first_chunk().ok_or(Violation::Truncated)?;
        let plain = Header::parse(bytes).and_then(|header| self.open(header));
        self.broken = plain.as_ref().err().copied();
        self.buffer.clear();
        self.buffer.shrink_to(STEP);
        plain
    }
}

impl std::fmt::Debug for BlockDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockDecoder")
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

/// A header whose lengths are within bounds.
#[derive(Clone, Copy)]
struct Header {
    kind: u8,
    plain: usize,
    payload: usize,
}

impl Header {
    fn parse(&[kind, p0, p1, p2, p3, c0, c1, c2, c3]: &[u8; HEADER]) -> Result<Self, Violation> {
        let plain = u32::from_be_bytes([p0, p1, p2, p3]) as usize;
        let payload = u32::from_be_bytes([c0, c1, c2, c3]) as usize;
        let fits = match kind {
            STORED => payload == plain,
            ZSTD => (1..=most_compressed(plain)).contains(&payload),
            _ => false,
        };
        if (1..=MAX_PICTURE).contains(&plain) && fits {
            Ok(Self {
                kind,
                plain,
                payload,
            })
        } else {
            Err(Violation::BlockHeader)
        }
    }

    /// The block's bytes on the wire.
    const fn block(self) -> usize {
        HEADER + self.payload + padding(self.payload)
    }
}

fn header(kind: u8, plain: usize, payload: usize) -> [u8; HEADER] {
    let [p0, p1, p2, p3] = length(plain);
    let [c0, c1, c2, c3] = length(payload);
    [kind, p0, p1, p2, p3, c0, c1, c2, c3]
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes)
        .expect("a block is at most a little over 64 MiB")
        .to_be_bytes()
}

const fn padding(payload: usize) -> usize {
    (UNIT - (HEADER + payload) % UNIT) % UNIT
}

/// No honest payload is longer: zstd adds 3 bytes per 128 KiB at worst, and a frame header once.
const fn most_compressed(plain: usize) -> usize {
    plain.saturating_add(plain >> 8).saturating_add(UNIT)
}

/// Exactly `length` plain bytes from `payload`, with all of the payload used up and nothing left inside
/// the decoder.
fn decompress(
    zstd: &mut raw::Decoder<'static>,
    payload: &[u8],
    length: usize,
) -> Result<Vec<u8>, Violation> {
    let mut plain = vec![0; length];
    let mut beyond = [0; 1];
    let mut input = InBuffer::around(payload);
    let mut filled = 0;
    loop {
        let consumed = input.pos();
        let full = filled == length;
        let room = if full {
            &mut beyond[..]
        } else {
            &mut plain[filled..]
        };
        let mut output = OutBuffer::around(room);
        let expects = zstd
            .run(&mut input, &mut output)
            .map_err(|_| Violation::BlockContent)?;
        let written = output.pos();
        // 0 is the end of the zstd frame, which never comes in this stream.
        if expects == 0 || (full && written > 0) {
            return Err(Violation::BlockContent);
        }
        filled += written;
        if written == 0 && input.pos() == consumed {
            let exact = full && consumed == payload.len() && expects == BETWEEN_BLOCKS;
            return if exact {
                Ok(plain)
            } else {
                Err(Violation::BlockContent)
            };
        }
    }
}

#[cfg(test)]
mod tests;
