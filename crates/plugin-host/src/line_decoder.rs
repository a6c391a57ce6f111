//! Decoder of messages, one JSON object a line. Bytes in, bounded lines out; pure.

use zeroize::{Zeroize, Zeroizing};

use crate::wire::MAX_LINE_BYTES;

/// A line has no end within [`MAX_LINE_BYTES`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LineTooLong;

/// Splits a byte stream into lines, and wipes each returned line, since it may hold the code.
#[derive(Default)]
pub(crate) struct LineDecoder {
    bytes: Vec<u8>,
    /// Bytes that are known to have no line end.
    searched: usize,
}

impl LineDecoder {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next whole line, without its end; `None` until more bytes come.
    pub(crate) fn next(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, LineTooLong> {
        let end = self.bytes[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        match end.map(|end| end + self.searched) {
            Some(end) if end < MAX_LINE_BYTES => {
                let line = Zeroizing::new(self.bytes[..end].to_vec());
                self.bytes[..=end].zeroize();
                self.bytes.drain(..=end);
                self.searched = 0;
                Ok(Some(line))
            }
            None if self.bytes.len() < MAX_LINE_BYTES => {
                self.searched = self.bytes.len();
                Ok(None)
            }
            _ => Err(LineTooLong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&[u8]]) -> Vec<Result<Vec<u8>, LineTooLong>> {
        let mut decoder = LineDecoder::default();
        let mut found = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            loop {
                match decoder.next() {
                    Ok(Some(line)) => found.push(Ok(line.to_vec())),
                    Ok(None) => break,
                    Err(error) => {
                        found.push(Err(error));
                        return found;
                    }
                }
            }
        }
        found
    }

    #[test]
    fn messages_come_out_however_they_were_cut() {
        let expected = vec![Ok(b"one".to_vec()), Ok(b"".to_vec()), Ok(b"two".to_vec())];
        assert_eq!(decode(&[b"one\n\ntwo\nrest"]), expected);
        assert_eq!(decode(&[b"o", b"ne", b"\n", b"\ntw", b"o\nr"]), expected);
    }

    #[test]
    fn a_message_without_end_is_refused() {
        let long = vec![b'x'; MAX_LINE_BYTES];
        assert_eq!(decode(&[&long]), [Err(LineTooLong)]);
        assert_eq!(decode(&[&long, b"\n"]), [Err(LineTooLong)]);
        assert_eq!(decode(&[&long[1..], b"\n"]), [Ok(long[1..].to_vec())]);
    }
}
