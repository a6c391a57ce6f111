//! Buffer of the bytes that have arrived and are not yet parsed.

/// A queue of bytes. Consuming from the front moves an index; the bytes behind it are shifted only
/// when at least half of the buffer is used up, so that the work per byte stays constant.
#[derive(Debug, Default)]
pub(crate) struct ReceiveBuffer {
    bytes: Vec<u8>,
    start: usize,
}

/// Smallest number of consumed bytes that are worth the shift of the others.
const MIN_SHIFT_BYTES: usize = 4096;

impl ReceiveBuffer {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start >= MIN_SHIFT_BYTES && self.start >= self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the bytes that aren't consumed yet.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Drops up to `count` bytes from the front.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
    }

    /// Returns the bytes that aren't consumed yet, and ends the buffer.
    pub(crate) fn into_rest(mut self) -> Vec<u8> {
        self.bytes.drain(..self.start);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field_reader::FieldReader;

    #[test]
    fn keeps_the_order_across_shifts() {
        let mut buffer = ReceiveBuffer::default();
        let (mut next_in, mut next_out) = (0u32, 0u32);
        for round in 0..2000u32 {
            for _ in 0..(round % 37) {
                buffer.push(&next_in.to_be_bytes());
                next_in += 1;
            }
            for _ in 0..(round % 36) {
                let Ok(value) = FieldReader::new(buffer.bytes()).u32() else {
                    break;
                };
                assert_eq!(value, next_out);
                next_out += 1;
                buffer.consume(4);
            }
        }
        assert_eq!(buffer.into_rest().len() as u32, (next_in - next_out) * 4);
    }
}
