//! Pixels from our one format to the one that a viewer asked for.

use crate::PixelFormat;

/// Appends `pixels_bgrx` (4 bytes a pixel, [`PixelFormat::BGRX`]) to `out` in the format `to`.
/// A trailing part of a pixel is left out.
pub fn translate(pixels_bgrx: &[u8], to: &PixelFormat, out: &mut Vec<u8>) {
    todo!("{} {to:?} {}", pixels_bgrx.len(), out.len())
}
