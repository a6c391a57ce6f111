//! Frames: messages behind a length prefix, `u32` big-endian.
//!
//! Decoding is incremental. A decoder says how many bytes of the current message are missing, so
//! that its reader never takes bytes of a later message from a stream. That makes reading cancel
//! safe.

use crate::error::Violation;

/// Bytes of the length prefix.
const HEADER_LENGTH: usize = 4;

/// An incremental decoder of one message at a time.
pub trait FrameDecoder {
    /// A decoded message.
    type Message;

    /// Returns the number of further bytes that are certain to belong to this message; 0 if it is
    /// complete.
    ///
    /// # Errors
    /// The rule that the bytes so far break.
    fn missing_bytes(&self) -> Result<usize, Violation>;

    /// Appends bytes of this message, at most [`missing_bytes`](Self::missing_bytes).
    fn push(&mut self, bytes: &[u8]);

    /// Returns whether no byte of the next message has been pushed yet.
    fn is_empty(&self) -> bool;

    /// Removes and returns the complete message; to be called when no byte is missing.
    ///
    /// # Errors
    /// The rule that the message breaks.
    fn take_message(&mut self) -> Result<Self::Message, Violation>;
}

/// A decoder of frames with bodies of at most `limit` bytes.
#[derive(Debug)]
pub struct LengthPrefixedDecoder {
    limit: usize,
    /// The received bytes, header included. Grows with them, never on the strength of a length
    /// alone.
    buffer: Vec<u8>,
}

impl LengthPrefixedDecoder {
    /// Returns a decoder of bodies of at most `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: Vec::new(),
        }
    }

    /// Returns the bytes of the current message that have been pushed.
    #[must_use]
    pub const fn received(&self) -> usize {
        self.buffer.len()
    }

    /// Returns the body's length, once the header is complete.
    fn body_length(&self) -> Result<Option<usize>, Violation> {
        let Some(header) = self.buffer.first_chunk::<HEADER_LENGTH>() else {
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

    fn missing_bytes(&self) -> Result<usize, Violation> {
        Ok(match self.body_length()? {
            None => HEADER_LENGTH - self.buffer.len(),
            Some(length) => HEADER_LENGTH + length - self.buffer.len(),
        })
    }

    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    fn take_message(&mut self) -> Result<Vec<u8>, Violation> {
        let mut frame = std::mem::take(&mut self.buffer);
        frame.drain(..HEADER_LENGTH);
        Ok(frame)
    }
}

/// Appends `body` to `out` as a frame.
///
/// # Panics
/// If `body` has 4 GiB or more. The caller checks its length against the stream's limit.
pub fn append_frame(out: &mut Vec<u8>, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("every stream's limit is below 4 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `bytes` in pieces of at most `piece`. Returns the messages and the first violation.
    fn decode(bytes: &[u8], piece: usize, limit: usize) -> (Vec<Vec<u8>>, Result<(), Violation>) {
        let mut decoder = LengthPrefixedDecoder::new(limit);
        let mut messages = Vec::new();
        let mut rest = bytes;
        loop {
            match decoder.missing_bytes() {
                Err(violation) => return (messages, Err(violation)),
                Ok(0) => messages.push(decoder.take_message().unwrap()),
                Ok(_) if rest.is_empty() => {
                    let end = if decoder.is_empty() {
                        Ok(())
                    } else {
                        Err(Violation::Truncated)
                    };
                    return (messages, end);
                }
                Ok(missing) => {
                    let (now, later) = rest.split_at(missing.min(piece).min(rest.len()));
                    decoder.push(now);
                    rest = later;
                }
            }
        }
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &[&[u8]], end: Result<(), Violation>) {
        let (messages, actual) = decode(bytes, 3, 8);
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
            let (messages, end) = decode(&bytes, piece, 1 << 20);
            prop_assert_eq!(messages, bodies);
            prop_assert_eq!(end, Ok(()));
        }

        #[test]
        fn any_bytes_are_fine(bytes: Vec<u8>, piece in 1usize..9) {
            let (messages, _) = decode(&bytes, piece, 64);
            prop_assert!(messages.iter().all(|message| message.len() <= 64));
        }
    }
}
