//! The grid of blocks that a picture is divided into, and helpers for pixels in rows.

use etatuki_rfb::Rect;

/// Side of a block in pixels: large enough for a letter to show as one.
pub(crate) const BLOCK_SIZE: u16 = 64;

/// Copies a rectangle inside a picture of `width` columns; source and target may overlap. Rows are
/// copied in the order in which none is overwritten before it has been read.
pub(crate) fn copy_pixels(pixels: &mut [u8], width: u16, rect: Rect, from: (u16, u16)) {
    let length = usize::from(rect.w) * 4;
    let offset = |x: u16, y: usize| (y * usize::from(width) + usize::from(x)) * 4;
    for step in 0..usize::from(rect.h) {
        let row = if rect.y <= from.1 {
            step
        } else {
            usize::from(rect.h) - 1 - step
        };
        let source = offset(from.0, usize::from(from.1) + row);
        let target = offset(rect.x, usize::from(rect.y) + row);
        pixels.copy_within(source..source + length, target);
    }
}

/// Returns the bytes of the rectangle's pixels.
pub(crate) fn raw_bytes(rect: &Rect) -> usize {
    rect.area() * 4
}
