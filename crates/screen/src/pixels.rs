//! From the screen's own pixels to BGRX.

/// How the screen keeps a pixel: 16 or 32 bits, true colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelLayout {
    bytes: usize,
    big_endian: bool,
    red: Channel,
    green: Channel,
    blue: Channel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Channel {
    shift: u32,
    bits: u32,
}

impl Channel {
    /// `None` unless the mask is one unbroken run of bits.
    fn from_mask(mask: u32) -> Option<Self> {
        let shift = mask.trailing_zeros();
        let bits = mask.count_ones();
        (mask != 0 && mask >> shift == u32::MAX >> (32 - bits)).then_some(Self { shift, bits })
    }

    /// This channel of a pixel, stretched to 0..=255 so that black and white stay what they are.
    fn get(self, pixel: u32) -> u8 {
        let most = u64::from(u32::MAX >> (32 - self.bits));
        let value = u64::from(pixel >> self.shift) & most;
        ((value * 255 + most / 2) / most) as u8
    }
}

impl PixelLayout {
    /// A layout from a visual's masks; `None` for one that this crate can't convert.
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

    /// Bytes of one pixel: 2 or 4.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it is BGRX but for the fourth byte, which may hold anything.
    fn is_bgrx(&self) -> bool {
        let of = |shift| Channel { shift, bits: 8 };
        self.bytes == 4
            && !self.big_endian
            && (self.red, self.green, self.blue) == (of(16), of(8), of(0))
    }

    /// Appends `row` as BGRX, the fourth byte zero. A last pixel that isn't whole is dropped.
    pub fn append_bgrx(&self, row: &[u8], out: &mut Vec<u8>) {
        if self.is_bgrx() {
            append_masked(row, out);
        } else {
            for pixel in row.chunks_exact(self.bytes) {
                let pixel = self.word(pixel);
                out.extend([
                    self.blue.get(pixel),
                    self.green.get(pixel),
                    self.red.get(pixel),
                    0,
                ]);
            }
        }
    }

    fn word(&self, pixel: &[u8]) -> u32 {
        match (pixel, self.big_endian) {
            (&[a, b], false) => u32::from(u16::from_le_bytes([a, b])),
            (&[a, b], true) => u32::from(u16::from_be_bytes([a, b])),
            (&[a, b, c, d], false) => u32::from_le_bytes([a, b, c, d]),
            (&[a, b, c, d], true) => u32::from_be_bytes([a, b, c, d]),
            _ => 0,
        }
    }
}

/// The bytes of a pixel that are its colour.
const COLOUR: u32 = 0x00ff_ffff;

/// Copies, and clears each fourth byte in place while the copy is still in the fastest cache: both
/// loops are ones that the compiler vectorises.
fn append_masked(row: &[u8], out: &mut Vec<u8>) {
    const NEAR: usize = 16 * 1024;
    let (pixels, _part) = row.as_chunks::<4>();
    for near in pixels.chunks(NEAR / 4) {
        let start = out.len();
        out.extend_from_slice(near.as_flattened());
        for pixel in out[start..].as_chunks_mut::<4>().0 {
            *pixel = (u32::from_le_bytes(*pixel) & COLOUR).to_le_bytes();
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
