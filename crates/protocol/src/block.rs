//! Picture blocks: plain bytes, compressed as one zstd stream with a long history, cut into blocks
//! and padded.
//!
//! ```text
//! kind u8 (0, 1) | plain length u32 | payload length u32 | payload | zeros up to 512 bytes
//! ```
//!
//! The zstd blocks of a stream are together one zstd frame (RFC 8878). It is flushed at the end of
//! each block and never ends, so that a block can repeat anything within the last 16 MiB of plain
//! bytes. A stored block isn't part of that history. Blocks are stored if they fit into one unit of
//! 512 bytes anyway, and if they are JPEG.
//!
//! Padding: with a shared history the length of a block tells how well it repeats earlier blocks,
//! as in the CRIME attack on TLS. The threat model has what is left of that leak.

use zstd::stream::raw::{self, CParameter, DParameter, InBuffer, Operation, OutBuffer};

use crate::{
    error::{CodecError, Violation},
    frame::FrameDecoder,
};

/// The most plain bytes in one block: 2 MiB, twice what the launcher puts into one. A peer's block
/// costs that much memory, and work in proportion to it, before anybody looks at the clock again.
pub const MAX_PICTURE: usize = 2 << 20;

/// Blocks are padded to multiples of this many bytes.
const PADDING_UNIT: usize = 512;

/// Bytes of a block's header.
const HEADER_LENGTH: usize = 9;

/// Compression level of zstd: its default. LDM finds what a higher level's longer search would.
const COMPRESSION_LEVEL: i32 = 3;

/// Binary logarithm of zstd's window: 16 MiB of history. Each step up costs both ends twice the
/// memory and saves a tenth of the bytes.
const WINDOW_LOG: u32 = 24;

/// Shortest match of zstd's long-distance matching (LDM), in bytes. With this and
/// [`LDM_HASH_RATE_LOG`] it finds a fifth more than with zstd's defaults in a spreadsheet session;
/// `docs/decisions/0004-long-match-parameters.md` has the figures.
const LDM_MIN_MATCH: u32 = 96;

/// Binary logarithm of the distance between the positions that LDM hashes: every 32nd. zstd's
/// default hashes fewer.
const LDM_HASH_RATE_LOG: u32 = 5;

/// Binary logarithm of the number of candidates that LDM tries per hash. zstd's default tries twice
/// as many, which saves 2 % of the bytes and costs a third more time.
const LDM_BUCKET_SIZE_LOG: u32 = 3;

/// Bytes of the header of a zstd block (RFC 8878, section 3.1.1.2): the decoder's next request when
/// it is exactly between two blocks. If it asks for less, it already has the beginning of a block.
const ZSTD_BLOCK_HEADER_LENGTH: usize = 3;

/// Bytes by which output buffers grow.
const OUTPUT_STEP: usize = 64 << 10;

/// The encoder of a picture stream. Takes about 25 MiB of memory once it has compressed something.
pub struct BlockEncoder {
    zstd: raw::Encoder<'static>,
    /// Whether compression has failed inside a block: the two histories differ for good.
    broken: bool,
}

impl BlockEncoder {
    /// Starts a stream.
    ///
    /// # Errors
    /// [`CodecError::Compressor`] if zstd gets no memory.
    pub fn new() -> Result<Self, CodecError> {
        let mut zstd = raw::Encoder::new(COMPRESSION_LEVEL).map_err(|_| CodecError::Compressor)?;
        for parameter in [
            CParameter::EnableLongDistanceMatching(true),
            CParameter::WindowLog(WINDOW_LOG),
            CParameter::LdmMinMatch(LDM_MIN_MATCH),
            CParameter::LdmHashRateLog(LDM_HASH_RATE_LOG),
            CParameter::LdmBucketSizeLog(LDM_BUCKET_SIZE_LOG),
        ] {
            zstd.set_parameter(parameter)
                .map_err(|_| CodecError::Compressor)?;
        }
        Ok(Self {
            zstd,
            broken: false,
        })
    }

    /// Appends `plain` to `out` as one block; appends nothing if `plain` is empty. Takes about a
    /// millisecond per 100 to 300 kB.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] above [`MAX_PICTURE`]: the stream stays usable.
    /// [`CodecError::Compressor`]: it is broken for good.
    pub fn encode(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let kind = if HEADER_LENGTH + plain.len() <= PADDING_UNIT {
            BlockKind::Stored
        } else {
            BlockKind::Zstd
        };
        self.append(kind, plain, out)
    }

    /// Appends `plain` to `out` as one stored block, for bytes that are compressed already.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_stored(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        self.append(BlockKind::Stored, plain, out)
    }

    fn append(
        &mut self,
        kind: BlockKind,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        if plain.len() > MAX_PICTURE {
            return Err(CodecError::TooLarge {
                length: plain.len(),
                limit: MAX_PICTURE,
            });
        }
        if self.broken {
            return Err(CodecError::Compressor);
        }
        if plain.is_empty() {
            return Ok(());
        }
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LENGTH]);
        match kind {
            BlockKind::Stored => out.extend_from_slice(plain),
            BlockKind::Zstd => self
                .compress(plain, out)
                .inspect_err(|_| self.broken = true)?,
        }
        let payload = out.len() - start - HEADER_LENGTH;
        out[start..start + HEADER_LENGTH].copy_from_slice(&header(
            kind as u8,
            plain.len(),
            payload,
        ));
        out.resize(start + HEADER_LENGTH + payload + padding(payload), 0);
        Ok(())
    }

    fn compress(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut input = InBuffer::around(plain);
        let mut unflushed = 1;
        while input.pos() < plain.len() || unflushed > 0 {
            out.reserve(OUTPUT_STEP);
            let written = out.len();
            let mut output = OutBuffer::around_pos(out, written);
            let result = if input.pos() < plain.len() {
                self.zstd.run(&mut input, &mut output).map(|_| 1)
            } else {
                self.zstd.flush(&mut output)
            };
            unflushed = result.map_err(|_| CodecError::Compressor)?;
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

/// The decoder of a picture stream. Holds at most 16 MiB of history, and one block's payload and
/// plain bytes.
pub struct BlockDecoder {
    zstd: raw::Decoder<'static>,
    /// The received bytes of the current block: header, payload, padding. Grows with them.
    buffer: Vec<u8>,
    /// The first violation; the stream never recovers from one.
    broken: Option<Violation>,
}

impl BlockDecoder {
    /// Starts a stream.
    ///
    /// # Errors
    /// [`CodecError::Compressor`] if zstd gets no memory.
    pub fn new() -> Result<Self, CodecError> {
        let mut zstd = raw::Decoder::new().map_err(|_| CodecError::Compressor)?;
        zstd.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))
            .map_err(|_| CodecError::Compressor)?;
        Ok(Self {
            zstd,
            buffer: Vec::new(),
            broken: None,
        })
    }

    /// Decodes the next part of the stream, of any length, and appends the blocks that it completes
    /// to `plain`. For callers that have the bytes at hand, as a fuzzer has.
    ///
    /// # Errors
    /// The rule that the bytes break; the stream is unusable afterwards.
    pub fn decode(&mut self, mut bytes: &[u8], plain: &mut Vec<Vec<u8>>) -> Result<(), Violation> {
        loop {
            let missing = self.missing_bytes()?;
            if missing == 0 {
                plain.push(self.take_message()?);
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

    /// Decodes the complete block in the buffer.
    fn decode_block(&mut self, header: Header) -> Result<Vec<u8>, Violation> {
        let (payload, padding) = self.buffer[HEADER_LENGTH..].split_at(header.payload);
        if padding.iter().any(|&byte| byte != 0) {
            return Err(Violation::BlockPadding);
        }
        match header.kind {
            BlockKind::Stored => Ok(payload.to_vec()),
            BlockKind::Zstd => decompress(&mut self.zstd, payload, header.plain),
        }
    }
}

impl FrameDecoder for BlockDecoder {
    type Message = Vec<u8>;

    fn missing_bytes(&self) -> Result<usize, Violation> {
        if let Some(violation) = self.broken {
            return Err(violation);
        }
        let length = match self.buffer.first_chunk::<HEADER_LENGTH>() {
            None => HEADER_LENGTH,
            Some(bytes) => Header::parse(bytes)?.wire_length(),
        };
        Ok(length - self.buffer.len())
    }

    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    fn take_message(&mut self) -> Result<Vec<u8>, Violation> {
        let bytes = self.buffer.first_chunk().ok_or(Violation::Truncated)?;
        let plain = Header::parse(bytes).and_then(|header| self.decode_block(header));
        self.broken = plain.as_ref().err().copied();
        self.buffer.clear();
        self.buffer.shrink_to(OUTPUT_STEP);
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

/// The encoding of a block's payload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BlockKind {
    /// Plain bytes.
    Stored = 0,
    /// The next part of the zstd frame.
    Zstd = 1,
}

/// The header of a block, with lengths within bounds.
#[derive(Clone, Copy)]
struct Header {
    kind: BlockKind,
    /// Plain bytes.
    plain: usize,
    /// Bytes of the payload.
    payload: usize,
}

impl Header {
    fn parse(
        &[kind, p0, p1, p2, p3, c0, c1, c2, c3]: &[u8; HEADER_LENGTH],
    ) -> Result<Self, Violation> {
        let plain = u32::from_be_bytes([p0, p1, p2, p3]) as usize;
        let payload = u32::from_be_bytes([c0, c1, c2, c3]) as usize;
        let kind = match kind {
            0 => BlockKind::Stored,
            1 => BlockKind::Zstd,
            _ => return Err(Violation::BlockHeader),
        };
        let fits = match kind {
            BlockKind::Stored => payload == plain,
            BlockKind::Zstd => (1..=max_compressed_length(plain)).contains(&payload),
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

    /// Returns the block's length on the wire.
    const fn wire_length(self) -> usize {
        HEADER_LENGTH + self.payload + padding(self.payload)
    }
}

/// Encodes a header.
fn header(kind: u8, plain: usize, payload: usize) -> [u8; HEADER_LENGTH] {
    let [p0, p1, p2, p3] = length_field(plain);
    let [c0, c1, c2, c3] = length_field(payload);
    [kind, p0, p1, p2, p3, c0, c1, c2, c3]
}

fn length_field(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes)
        .expect("a block is at most a little over 64 MiB")
        .to_be_bytes()
}

/// Returns the number of zeros after a payload.
const fn padding(payload: usize) -> usize {
    (PADDING_UNIT - (HEADER_LENGTH + payload) % PADDING_UNIT) % PADDING_UNIT
}

/// Returns the longest honest payload: zstd adds at most 3 bytes per 128 KiB, and a frame header
/// once.
const fn max_compressed_length(plain: usize) -> usize {
    plain
        .saturating_add(plain >> 8)
        .saturating_add(PADDING_UNIT)
}

/// Decompresses `payload` to exactly `length` bytes. All of the payload must be used up, with
/// nothing left inside the decoder.
fn decompress(
    zstd: &mut raw::Decoder<'static>,
    payload: &[u8],
    length: usize,
) -> Result<Vec<u8>, Violation> {
    let mut plain = vec![0; length];
    let mut excess = [0; 1];
    let mut input = InBuffer::around(payload);
    let mut filled = 0;
    loop {
        let consumed = input.pos();
        let full = filled == length;
        let target = if full {
            &mut excess[..]
        } else {
            &mut plain[filled..]
        };
        let mut output = OutBuffer::around(target);
        let expects = zstd
            .run(&mut input, &mut output)
            .map_err(|_| Violation::BlockContent)?;
        let written = output.pos();
        // 0 is the end of the zstd frame, which never ends in this stream.
        if expects == 0 || (full && written > 0) {
            return Err(Violation::BlockContent);
        }
        filled += written;
        if written == 0 && input.pos() == consumed {
            let exact = full && consumed == payload.len() && expects == ZSTD_BLOCK_HEADER_LENGTH;
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
