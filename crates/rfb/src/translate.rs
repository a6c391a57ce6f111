//! Pixels from our one format to the one that a viewer asked for.

use crate::PixelFormat;

/// Appends `pixels_bgrx` (4 bytes a pixel, [`PixelFormat::BGRX`]) to `out` in the format `to`, which
/// must be usable ([`PixelFormat::is_usable`]; nothing is appended otherwise). Colours are scaled to
/// the nearest value; a part of a pixel at the end is left out. The unused byte of our format is
/// passed on as it is where the formats are the same, and is 0 elsewhere.
pub fn translate(pixels_bgrx: &[u8], to: &PixelFormat, out: &mut Vec<u8>) {
    if !to.is_usable() {
        return;
    }
    let (pixels, _part) = pixels_bgrx.as_chunks::<4>();
    if is_bgrx(to) {
        out.extend_from_slice(pixels.as_flattened());
    } else if let Some([red, green, blue]) = byte_shifts(to) {
        let moved = |&[b, g, r, _]: &[u8; 4]| {
            u32::from(r) << red | u32::from(g) << green | u32::from(b) << blue
        };
        if to.big_endian {
            put(pixels, out, |pixel| moved(pixel).to_be_bytes());
        } else {
            put(pixels, out, |pixel| moved(pixel).to_le_bytes());
        }
    } else {
        by_table(pixels, to, out);
    }
}

/// The depth says nothing about the bytes.
fn is_bgrx(to: &PixelFormat) -> bool {
    PixelFormat { depth: 24, ..*to } == PixelFormat::BGRX
}

/// For 32 bits with 8 for each colour: only bytes change their places.
fn byte_shifts(to: &PixelFormat) -> Option<[u8; 3]> {
    let whole = to.bits_per_pixel == 32 && to.channels().iter().all(|&(max, _)| max == 255);
    whole.then(|| to.channels().map(|(_, shift)| shift))
}

fn by_table(pixels: &[[u8; 4]], to: &PixelFormat, out: &mut Vec<u8>) {
    let [red, green, blue] = to.channels().map(|(max, shift)| table(max, shift));
    let value = |&[b, g, r, _]: &[u8; 4]| {
        red[usize::from(r)] | green[usize::from(g)] | blue[usize::from(b)]
    };
    match (to.bits_per_pixel, to.big_endian) {
        (8, _) => put(pixels, out, |pixel| [value(pixel) as u8]),
        (16, false) => put(pixels, out, |pixel| (value(pixel) as u16).to_le_bytes()),
        (16, true) => put(pixels, out, |pixel| (value(pixel) as u16).to_be_bytes()),
        (_, false) => put(pixels, out, |pixel| value(pixel).to_le_bytes()),
        (_, true) => put(pixels, out, |pixel| value(pixel).to_be_bytes()),
    }
}

/// Appends every pixel; a plain loop over fixed sizes, so that the compiler makes wide moves of it.
fn put<const N: usize>(
    pixels: &[[u8; 4]],
    out: &mut Vec<u8>,
    convert: impl Fn(&[u8; 4]) -> [u8; N],
) {
    let start = out.len();
    out.resize(start + pixels.len() * N, 0);
    let (places, _) = out[start..].as_chunks_mut::<N>();
    for (place, pixel) in places.iter_mut().zip(pixels) {
        *place = convert(pixel);
    }
}

/// Every value of a colour, scaled and in its place.
fn table(max: u16, shift: u8) -> [u32; 256] {
    std::array::from_fn(|value| ((value as u32 * u32::from(max) + 127) / 255) << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RGB565: PixelFormat = PixelFormat {
        bits_per_pixel: 16,
        depth: 16,
        big_endian: false,
        red_max: 31,
        green_max: 63,
        blue_max: 31,
        red_shift: 11,
        green_shift: 5,
        blue_shift: 0,
    };

    fn check(format: PixelFormat, expected: &[u8]) {
        let mut out = Vec::new();
        // red 0xff, green 0x80, blue 0x01; then white; then half a pixel
        let pixels = [0x01, 0x80, 0xff, 0, 0xff, 0xff, 0xff, 0, 1, 2];
        translate(&pixels, &format, &mut out);
        assert_eq!(out, expected, "{format:?}");
    }

    #[test]
    fn our_own_format_is_copied() {
        check(PixelFormat::BGRX, &[1, 0x80, 0xff, 0, 255, 255, 255, 0]);
    }

    #[test]
    fn whole_bytes_are_moved() {
        let rgbx = PixelFormat {
            red_shift: 0,
            blue_shift: 16,
            ..PixelFormat::BGRX
        };
        check(rgbx, &[0xff, 0x80, 1, 0, 255, 255, 255, 0]);
        let big_endian = PixelFormat {
            big_endian: true,
            ..PixelFormat::BGRX
        };
        check(big_endian, &[0, 0xff, 0x80, 1, 0, 255, 255, 255]);
    }

    #[test]
    fn small_formats_are_scaled() {
        // 0x80 of 255 is 31.6 of 63: green becomes 32
        check(RGB565, &[0x00, 0xfc, 0xff, 0xff]);
        let big_endian = PixelFormat {
            big_endian: true,
            ..RGB565
        };
        check(big_endian, &[0xfc, 0x00, 0xff, 0xff]);
        let bgr233 = PixelFormat {
            bits_per_pixel: 8,
            depth: 8,
            red_max: 7,
            green_max: 7,
            blue_max: 3,
            red_shift: 0,
            green_shift: 3,
            blue_shift: 6,
            ..RGB565
        };
        check(bgr233, &[0b00_100_111, 0xff]);
    }

    #[test]
    fn more_than_eight_bits_a_colour() {
        let ten_bits = PixelFormat {
            red_max: 1023,
            green_max: 1023,
            blue_max: 1023,
            red_shift: 20,
            green_shift: 10,
            ..PixelFormat::BGRX
        };
        let pixel = 1023 << 20 | 514 << 10 | 4u32;
        let expected = [pixel.to_le_bytes(), 0x3fff_ffff_u32.to_le_bytes()].concat();
        check(ten_bits, &expected);
    }

    #[test]
    fn an_unusable_format_gives_nothing() {
        let shifted_out = PixelFormat {
            red_shift: 25,
            ..PixelFormat::BGRX
        };
        check(shifted_out, &[]);
    }
}
