//! Length-prefixed messages: bytes in, bytes out.
//!
//! `u32` big-endian length, then that many bytes. A collector says how many bytes it still wants, so that
//! whoever reads never takes more from a stream than belongs to the message at hand; that is what makes
//! reading cancel safe.

use crate::violation::Violation;

/// Bytes of a frame's length.
const HEADER: usize = 4;

/// Collects one message at a time from bytes that come in pieces.
pub trait FrameDecoder {
    /// What a finished message is.
    type Message;

    /// How many more bytes are certain to belong to this message: 0 means that it is whole.
    fn missing(&self) -> Result<usize, Violation>;

    /// Takes at most [`missing`](Self::missing) bytes.
    fn push(&mut self, bytes: &[u8]);

    /// Whether no byte of a next message has come yet.
    fn is_empty(&self) -> bool;

    /// The whole message; call it when nothing is missing. The next one starts afterwards.
    fn take(&mut self) -> Result<Self::Message, Violation>;
}

/// A [`FrameDecoder`] of frames of at most `limit` bytes.
#[derive(Debug)]
pub struct LengthPrefixedDecoder {
    limit: usize,
    /// Header and body so far; grows as bytes come, never on the strength of a length alone.
    buffer: Vec<u8>,
}

impl LengthPrefixedDecoder {
    /// A decoder of messages of at most `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: Vec::new(),
        }
    }

    /// The body's length once its header is there.
    fn length(&self) -> Result<Option<usize>, Violation> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        match usize::try_from(u32::from_be_bytes(*header)) {
            Ok(length) if length <= self.limit => Ok(Some(length)),
            _ => Err(Violation::TooLong),
        }
    }
}

impl FrameDecoder for LengthPrefixedDecoder {
    type Message = Vec<u8>;

    fn missing(&self) -> Result<usize, Violation> {
        Ok(match self.length()? {
            None => HEADER - self.buffer.len(),
            Some(length) => HEADER + length - self.buffer.len(),
        })
    }

    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    fn take(&mut self) -> Result<Vec<u8>, Violation> {
        let mut frame = std::mem::take(&mut self.buffer);
        frame.drain(..HEADER);
        Ok(frame)
    }
}

/// Appends `body` as a frame. The caller has checked its length against the stream's limit.
pub fn append_frame(out: &mut Vec<u8>, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("every stream's limit is below 4 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `bytes` in pieces of at most `piece` and gives back the messages and what ended it.
    fn collect(bytes: &[u8], piece: usize, limit: usize) -> (Vec<Vec<u8>>, Result<(), Violation>) {
        let mut frames = LengthPrefixedDecoder::new(limit);
        let mut messages = Vec::new();
        let mut rest = bytes;
        loop {
            match frames.missing() {
                Err(violation) => return (messages, Err(violation)),
                Ok(0) => messages.push(frames.take().unwrap()),
                Ok(_) if rest.is_empty() => {
                    let end = if frames.is_empty() {
                        Ok(())
                    } else {
                        Err(Violation::Truncated)
                    };
                    return (messages, end);
                }
                Ok(missing) => {
                    let (now, later) = rest.split_at(missing.min(piece).min(rest.len()));
                    frames.push(now);
                    rest = later;
                }
            }
        }
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &[&[u8]], end: Result<(), Violation>) {
        let (messages, actual) = collect(bytes, 3, 8);
        assert_eq!(messages, expected);
        assert_eq!(actual, end);
    }

    #[test]
    fn frames_have_bounds() {
        check(b"", &[], Ok(()));
        check(b"\0\0\0\x02hi", &[b"hi"], Ok(()));
        check(b"\0\0\0\0\0\0\0\x01x", &[b"", b"x"], Ok(()));
        check(b"\0\0\0\x02h", &[], Err(Violation::Truncated));
        check(b"\0\0", &[], Err(Violation::Truncated));
        check(b"\0\0\0\x0812345678", &[b"12345678"], Ok(()));
        check(b"\0\0\0\x09", &[], Err(Violation::TooLong));
        check(b"\xff\xff\xff\xff", &[], Err(Violation::TooLong));
    }

    proptest! {
        #[test]
        fn round_trip(bodies: Vec<Vec<u8>>, piece in 1usize..40) {
            let mut bytes = Vec::new();
            for body in &bodies {
                append_frame(&mut bytes, body);
            }
            let (messages, end) = collect(&bytes, piece, 1 << 20);
            prop_assert_eq!(messages, bodies);
            prop_assert_eq!(end, Ok(()));
        }

        #[test]
        fn any_bytes_are_fine(bytes: Vec<u8>, piece in 1usize..9) {
            let (messages, _) = collect(&bytes, piece, 64);
            prop_assert!(messages.iter().all(|message| message.len() <= 64));
        }
    }
}
