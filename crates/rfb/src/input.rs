//! The bytes that have arrived and are not yet understood, and a reader of fields in them.

/// A queue of bytes. Taking from the front moves an index; the bytes behind it are shifted only when
/// at least half of the buffer is used up, so that the work per byte stays constant.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
}

/// Below this a shift isn't worth its call.
const SHIFT_FROM: usize = 4096;

impl Input {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start >= SHIFT_FROM && self.start >= self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Drops bytes from the front; at most all that are there.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
    }

    pub(crate) fn into_rest(mut self) -> Vec<u8> {
        self.bytes.drain(..self.start);
        self.bytes
    }
}

/// Reads big-endian fields from the front of a slice; `None` when the slice ends first.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub(crate) fn read(&self) -> usize {
        self.at
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(|_| ())
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    /// Tight's length: seven bits, seven more, then eight, lowest first; the highest bit of the first two
    /// bytes says that another follows.
    pub(crate) fn compact_length(&mut self) -> Option<usize> {
        let mut length = 0;
        for (shift, last) in [(0, false), (7, false), (14, true)] {
            let byte = usize::from(self.u8()?);
            if last || byte & 0x80 == 0 {
                return Some(length | byte << shift);
            }
            length |= (byte & 0x7f) << shift;
        }
        None
    }

    pub(crate) fn rect(&mut self) -> Option<crate::Rect> {
        Some(crate::Rect {
            x: self.u16()?,
            y: self.u16()?,
            w: self.u16()?,
            h: self.u16()?,
        })
    }

    pub(crate) fn layout(&mut self) -> Option<crate::Layout> {
        Some(crate::Layout {
            id: self.u32()?,
            rect: self.rect()?,
            flags: self.u32()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_across_shifts() {
        let mut input = Input::default();
        let (mut next_in, mut next_out) = (0u32, 0u32);
        for round in 0..2000u32 {
            for _ in 0..(round % 37) {
                input.push(&next_in.to_be_bytes());
                next_in += 1;
            }
            for _ in 0..(round % 36) {
                let Some(value) = Fields::new(input.bytes()).u32() else {
                    break;
                };
                assert_eq!(value, next_out);
                next_out += 1;
                input.consume(4);
            }
        }
        assert_eq!(input.into_rest().len() as u32, (next_in - next_out) * 4);
    }
}
