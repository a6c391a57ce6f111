//! The windows' icon, drawn from a few rectangles: a screen on its foot.

use fltk::enums::ColorDepth;
use fltk::image::RgbImage;

/// Width and height in pixels.
const SIZE: usize = 48;
const ACCENT: [u8; 4] = [0x35, 0x84, 0xe4, 0xff];
const PAPER: [u8; 4] = [0xff, 0xff, 0xff, 0xff];
const DARK: [u8; 4] = [0x24, 0x3b, 0x5a, 0xff];

/// Rectangles (left, top, width, height, colour), painted in this order.
const RECTANGLES: [(usize, usize, usize, usize, [u8; 4]); 6] = [
    (3, 6, 42, 30, DARK),
    (6, 9, 36, 24, ACCENT),
    (12, 16, 18, 3, PAPER),
    (12, 23, 24, 3, PAPER),
    (20, 36, 8, 5, DARK),
    (13, 41, 22, 3, DARK),
];

/// Returns the icon; `None` if FLTK refuses it, which does no harm.
pub(super) fn icon() -> Option<RgbImage> {
    let mut pixels = vec![0; SIZE * SIZE * 4];
    for (left, top, width, height, colour) in RECTANGLES {
        for y in top..top + height {
            let row = (y * SIZE + left) * 4;
            for pixel in pixels[row..row + width * 4].chunks_exact_mut(4) {
                pixel.copy_from_slice(&colour);
            }
        }
    }
    let side = i32::try_from(SIZE).unwrap_or(0);
    RgbImage::new(&pixels, side, side, ColorDepth::Rgba8).ok()
}
