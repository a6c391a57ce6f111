//! Pixel conversion from this product's own format to a viewer's.

use crate::PixelFormat;

/// Appends `pixels_bgrx` (4 bytes a pixel, [`PixelFormat::BGRX`]) to `out` in the format `to`.
///
/// `to` must be usable ([`PixelFormat::is_usable`]); nothing is appended otherwise. Colours are
/// scaled to the nearest value. An incomplete pixel at the end is left out. BGRX's unused byte is
/// copied where the formats are equal, and is 0 elsewhere.
pub fn convert_pixels(pixels_bgrx: &[u8], to: &PixelFormat, out: &mut Vec<u8>) {
    if !to.is_usable() {
        return;
    }
    let (pixels, _incomplete) = pixels_bgrx.as_chunks::<4>();
    if is_bgrx(to) {
        out.extend_from_slice(pixels.as_flattened());
    } else if let Some([red, green, blue]) = byte_shifts(to) {
        let shifted = |&[b, g, r, _]: &[u8; 4]| {
            u32::from(r) << red | u32::from(g) << green | u32::from(b) << blue
        };
        if to.big_endian {
            append_converted(pixels, out, |pixel| shifted(pixel).to_be_bytes());
        } else {
            append_converted(pixels, out, |pixel| shifted(pixel).to_le_bytes());
        }
    } else {
        convert_by_tables(pixels, to, out);
    }
}

/// Returns whether the format is BGRX, apart from the depth, which says nothing about the bytes.
fn is_bgrx(to: &PixelFormat) -> bool {
    PixelFormat { depth: 24, ..*to } == PixelFormat::BGRX
}

/// Returns the shifts of red, green and blue for 32 bits with 8 for each colour, where a conversion
/// only reorders bytes.
fn byte_shifts(to: &PixelFormat) -> Option<[u8; 3]> {
    let whole_bytes = to.bits_per_pixel == 32 && to.channels().iter().all(|&(max, _)| max == 255);
    whole_bytes.then(|| to.channels().map(|(_, shift)| shift))
}

/// Converts with one lookup table for each colour.
fn convert_by_tables(pixels: &[[u8; 4]], to: &PixelFormat, out: &mut Vec<u8>) {
    let [red, green, blue] = to.channels().map(|(max, shift)| channel_table(max, shift));
    let value = |&[b, g, r, _]: &[u8; 4]| {
        red[usize::from(r)] | green[usize::from(g)] | blue[usize::from(b)]
    };
    match (to.bits_per_pixel, to.big_endian) {
        (8, _) => append_converted(pixels, out, |pixel| [value(pixel) as u8]),
        (16, false) => append_converted(pixels, out, |pixel| (value(pixel) as u16).to_le_bytes()),
        (16, true) => append_converted(pixels, out, |pixel| (value(pixel) as u16).to_be_bytes()),
        (_, false) => append_converted(pixels, out, |pixel| value(pixel).to_le_bytes()),
        (_, true) => append_converted(pixels, out, |pixel| value(pixel).to_be_bytes()),
    }
}

/// Appends every pixel; a plain loop over fixed sizes, which the compiler vectorises.
fn append_converted<const N: usize>(
    pixels: &[[u8; 4]],
    out: &mut Vec<u8>,
    convert: impl Fn(&[u8; 4]) -> [u8; N],
) {
    let start = out.len();
    out.resize(start + pixels.len() * N, 0);
    let (slots, _) = out[start..].as_chunks_mut::<N>();
    for (slot, pixel) in slots.iter_mut().zip(pixels) {
        *slot = convert(pixel);
    }
}

/// Returns the scaled and shifted value of every 8-bit value of a colour.
fn channel_table(max: u16, shift: u8) -> [u32; 256] {
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
        convert_pixels(&pixels, &format, &mut out);
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
