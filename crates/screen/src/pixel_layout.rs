//! Conversion of the screen's own pixels to BGRX.

/// The layout of a pixel of the screen: 16 or 32 bits, true colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelLayout {
    bytes: usize,
    big_endian: bool,
    red: Channel,
    green: Channel,
    blue: Channel,
}

/// The bits of one colour in a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Channel {
    shift: u32,
    bits: u32,
}

impl Channel {
    /// Returns `None` unless the mask is one unbroken run of bits.
    fn from_mask(mask: u32) -> Option<Self> {
        let shift = mask.trailing_zeros();
        let bits = mask.count_ones();
        (mask != 0 && mask >> shift == u32::MAX >> (32 - bits)).then_some(Self { shift, bits })
    }

    /// Returns this channel of a pixel, scaled to 0..=255 so that black stays black and white
    /// white.
    fn to_u8(self, pixel: u32) -> u8 {
        let max = u64::from(u32::MAX >> (32 - self.bits));
        let value = u64::from(pixel >> self.shift) & max;
        ((value * 255 + max / 2) / max) as u8
    }
}

impl PixelLayout {
    /// Returns the layout of a visual with these masks; `None` for one that this crate can't
    /// convert.
    #[must_use]
    pub fn from_masks(
        bits_per_pixel: u8,
        big_endian: bool,
        red: u32,
        green: u32,
        blue: u32,
    ) -> Option<Self> {
        let bytes = match bits_per_pixel {
            16 => 2,
            32 => 4,
            _ => return None,
        };
        let fits = |mask: u32| bytes == 4 || mask <= 0xffff;
        let channel = |mask: u32| Channel::from_mask(mask).filter(|_| fits(mask));
        Some(Self {
            bytes,
            big_endian,
            red: channel(red)?,
            green: channel(green)?,
            blue: channel(blue)?,
        })
    }

    /// Returns the bytes of one pixel: 2 or 4.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns whether it is BGRX, apart from the fourth byte's contents.
    fn is_bgrx(&self) -> bool {
        let byte_at = |shift| Channel { shift, bits: 8 };
        self.bytes == 4
            && !self.big_endian
            && (self.red, self.green, self.blue) == (byte_at(16), byte_at(8), byte_at(0))
    }

    /// Appends `row` as BGRX, each fourth byte zero. An incomplete last pixel is dropped.
    pub fn append_bgrx(&self, row: &[u8], out: &mut Vec<u8>) {
        if self.is_bgrx() {
            append_clearing_fourth_byte(row, out);
        } else {
            for pixel in row.chunks_exact(self.bytes) {
                let pixel = self.read_pixel(pixel);
                out.extend([
                    self.blue.to_u8(pixel),
                    self.green.to_u8(pixel),
                    self.red.to_u8(pixel),
                    0,
                ]);
            }
        }
    }

    fn read_pixel(&self, pixel: &[u8]) -> u32 {
        match (pixel, self.big_endian) {
            (&[a, b], false) => u32::from(u16::from_le_bytes([a, b])),
            (&[a, b], true) => u32::from(u16::from_be_bytes([a, b])),
            (&[a, b, c, d], false) => u32::from_le_bytes([a, b, c, d]),
            (&[a, b, c, d], true) => u32::from_be_bytes([a, b, c, d]),
            _ => 0,
        }
    }
}

/// The colour bytes of a pixel.
const COLOUR_MASK: u32 = 0x00ff_ffff;

/// Appends BGRX pixels and clears each fourth byte. Works in chunks of 16 KiB, so that the copy is
/// still in the L1 cache when it is cleared; the compiler vectorises both loops.
fn append_clearing_fourth_byte(row: &[u8], out: &mut Vec<u8>) {
    const CHUNK_BYTES: usize = 16 * 1024;
    let (pixels, _part) = row.as_chunks::<4>();
    for chunk in pixels.chunks(CHUNK_BYTES / 4) {
        let start = out.len();
        out.extend_from_slice(chunk.as_flattened());
        for pixel in out[start..].as_chunks_mut::<4>().0 {
            *pixel = (u32::from_le_bytes(*pixel) & COLOUR_MASK).to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(layout: Option<PixelLayout>, row: &[u8], expected: &[u8]) {
        let mut out = vec![7];
        layout.expect("a layout").append_bgrx(row, &mut out);
        assert_eq!(out[1..], *expected);
    }

    #[test]
    fn each_layout_becomes_bgrx() {
        let bgrx = PixelLayout::from_masks(32, false, 0xff_0000, 0xff00, 0xff);
        check(
            bgrx,
            &[1, 2, 3, 0xff, 4, 5, 6, 9],
            &[1, 2, 3, 0, 4, 5, 6, 0],
        );
        let rgbx = PixelLayout::from_masks(32, false, 0xff, 0xff00, 0xff_0000);
        check(rgbx, &[1, 2, 3, 0xff], &[3, 2, 1, 0]);
        let big = PixelLayout::from_masks(32, true, 0xff_0000, 0xff00, 0xff);
        check(big, &[0xff, 3, 2, 1], &[1, 2, 3, 0]);
        let rgb565 = PixelLayout::from_masks(16, false, 0xf800, 0x07e0, 0x001f);
        check(
            rgb565,
            &[0xff, 0xff, 0x00, 0xf8, 0, 0, 9],
            &[255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 0, 0],
        );
        let deep = PixelLayout::from_masks(32, false, 0x3ff0_0000, 0xf_fc00, 0x3ff);
        check(deep, &0x3ff0_0200_u32.to_le_bytes(), &[128, 0, 255, 0]);
    }

    #[test]
    fn what_cannot_be_converted_is_refused() {
        for (bits, red) in [
            (8, 0xe0),
            (24, 0xff_0000),
            (32, 0),
            (32, 0xf0f0),
            (16, 0xff_0000),
        ] {
            assert_eq!(
                PixelLayout::from_masks(bits, false, red, 0xff00, 0xff),
                None
            );
        }
    }
}
