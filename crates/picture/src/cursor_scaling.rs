//! Large pointers, made smaller: browsers show none above 128 pixels a side (Chromium's
//! `kMaximumCursorSize`), and the agent would work without a pointer. Serves every backend alike.

use std::ops::Range;

use etatuki_rfb::CursorImage;

/// Longest side of a pointer, in pixels.
const MAX_CURSOR_SIDE: usize = 128;

/// Returns the pointer, smaller in proportion if one of its sides is longer than
/// [`MAX_CURSOR_SIDE`]. The hotspot keeps its place. Pixels and mask have as many bytes as the size
/// demands.
pub(crate) fn scaled_to_fit(cursor: CursorImage) -> CursorImage {
    let (width, height) = (usize::from(cursor.width), usize::from(cursor.height));
    let longest = width.max(height);
    if longest <= MAX_CURSOR_SIDE || width.min(height) == 0 {
        return cursor;
    }
    let shrunk = |length: usize| (length * MAX_CURSOR_SIDE / longest).max(1);
    let (new_width, new_height) = (shrunk(width), shrunk(height));
    let mask_stride = CursorImage::mask_stride(new_width as u16);
    let mut pixels = vec![0; new_width * new_height * 4];
    let mut mask = vec![0; mask_stride * new_height];
    for y in 0..new_height {
        for x in 0..new_width {
            let columns = source_range(x, width, new_width);
            let rows = source_range(y, height, new_height);
            if let Some(pixel) = average(&cursor, columns, rows) {
                let at = (y * new_width + x) * 4;
                pixels[at..at + 4].copy_from_slice(&pixel);
                mask[y * mask_stride + x / 8] |= 0x80 >> (x % 8);
            }
        }
    }
    let place = |at: u16, old: usize, new: usize| (usize::from(at) * new / old).min(new - 1) as u16;
    CursorImage {
        hotspot: (
            place(cursor.hotspot.0, width, new_width),
            place(cursor.hotspot.1, height, new_height),
        ),
        width: new_width as u16,
        height: new_height as u16,
        pixels,
        mask,
    }
}

/// Returns the pixels of `old` that pixel `at` of `new` stands for: at least one.
fn source_range(at: usize, old: usize, new: usize) -> Range<usize> {
    at * old / new..((at + 1) * old).div_ceil(new)
}

/// Returns the mean of a rectangle's opaque pixels; `None` if less than half of them are opaque.
fn average(cursor: &CursorImage, columns: Range<usize>, rows: Range<usize>) -> Option<[u8; 4]> {
    let width = usize::from(cursor.width);
    let mask_stride = CursorImage::mask_stride(cursor.width);
    let (mut sum, mut opaque) = ([0usize; 4], 0usize);
    let total = columns.len() * rows.len();
    for y in rows {
        for x in columns.clone() {
            if cursor.mask[y * mask_stride + x / 8] & 0x80 >> (x % 8) == 0 {
                continue;
            }
            opaque += 1;
            let pixel = &cursor.pixels[(y * width + x) * 4..][..4];
            for (sum, channel) in sum.iter_mut().zip(pixel) {
                *sum += usize::from(*channel);
            }
        }
    }
    (opaque > 0 && opaque * 2 >= total).then(|| sum.map(|sum| (sum / opaque) as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a pointer whose left half is opaque and of one colour.
    fn pointer(width: u16, height: u16, hotspot: (u16, u16)) -> CursorImage {
        let stride = CursorImage::mask_stride(width);
        let mut mask = vec![0; stride * usize::from(height)];
        for y in 0..usize::from(height) {
            for x in 0..usize::from(width / 2) {
                mask[y * stride + x / 8] |= 0x80 >> (x % 8);
            }
        }
        let pixels = [10, 20, 30, 0].repeat(usize::from(width) * usize::from(height));
        CursorImage {
            hotspot,
            width,
            height,
            pixels,
            mask,
        }
    }

    #[test]
    fn a_large_pointer_fits_and_its_hotspot_goes_with_it() {
        for ((width, height, hotspot), expected) in [
            ((192, 192, (96, 48)), (128, 128, (64, 32))),
            ((512, 256, (511, 255)), (128, 64, (127, 63))),
            ((512, 1, (0, 0)), (128, 1, (0, 0))),
            ((130, 300, (60_000, 7)), (55, 128, (54, 2))),
        ] {
            let scaled = scaled_to_fit(pointer(width, height, hotspot));
            assert_eq!((scaled.width, scaled.height, scaled.hotspot), expected);
            let stride = CursorImage::mask_stride(scaled.width);
            assert_eq!(scaled.mask.len(), stride * usize::from(scaled.height));
            let area = usize::from(scaled.width) * usize::from(scaled.height);
            assert_eq!(scaled.pixels.len(), area * 4);
            // The left half stays opaque, and of its colour.
            assert_eq!(scaled.pixels[..4], [10, 20, 30, 0]);
            let opaque: u32 = scaled.mask[..stride].iter().map(|b| b.count_ones()).sum();
            assert!(opaque.abs_diff(u32::from(scaled.width) / 2) <= 1);
        }
    }

    #[test]
    fn a_pointer_that_fits_stays_as_it_is() {
        for (width, height) in [(128, 128), (1, 1), (0, 0), (200, 0)] {
            let cursor = pointer(width, height, (0, 0));
            assert_eq!(scaled_to_fit(cursor.clone()), cursor);
        }
    }
}
