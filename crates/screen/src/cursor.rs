//! The pointer's shape.

/// A pointer shape without translucency, as RFB's Cursor wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CursorImage {
    /// Width in pixels; zero when the pointer is hidden.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// The pixel that points, from the left.
    pub hot_x: u16,
    /// The pixel that points, from the top.
    pub hot_y: u16,
    /// BGRX, row by row, four bytes a pixel, the fourth zero; zero where the mask is zero.
    pub pixels: Vec<u8>,
    /// One bit a pixel, the leftmost in the highest bit, each row padded to whole bytes; set where it is visible.
    pub mask: Vec<u8>,
}

impl CursorImage {
    /// From premultiplied ARGB words, as X and most others keep it. What is less than half opaque
    /// becomes invisible, for a mask knows nothing between.
    #[must_use]
    pub(crate) fn from_argb(size: (u16, u16), hot: (u16, u16), argb: &[u32]) -> Self {
        let (width, height) = size;
        let (w, h) = (usize::from(width), usize::from(height));
        if argb.len() < w * h {
            return Self::default();
        }
        let stride = w.div_ceil(8);
        let mut pixels = vec![0; w * h * 4];
        let mut mask = vec![0; stride * h];
        for (at, &word) in argb[..w * h].iter().enumerate() {
            if word >> 24 >= 0x80 {
                pixels[at * 4..][..4].copy_from_slice(&unmultiply(word).to_le_bytes());
                mask[at / w * stride + at % w / 8] |= 0x80 >> (at % w % 8);
            }
        }
        Self {
            width,
            height,
            hot_x: hot.0.min(width.saturating_sub(1)),
            hot_y: hot.1.min(height.saturating_sub(1)),
            pixels,
            mask,
        }
    }
}

/// Colour as it was before it was multiplied by its alpha (which is at least a half), alpha dropped.
fn unmultiply(argb: u32) -> u32 {
    let alpha = argb >> 24;
    let channel = |shift: u32| ((argb >> shift & 0xff) * 255 / alpha).min(255) << shift;
    channel(16) | channel(8) | channel(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_opaque_is_the_edge() {
        let argb = [0xff11_2233, 0x8040_4040, 0x7f7f_7f7f, 0];
        let image = CursorImage::from_argb((2, 2), (1, 9), &argb);
        assert_eq!(image.mask, [0b1100_0000, 0]);
        assert_eq!(
            image.pixels[..8],
            [0x33, 0x22, 0x11, 0, 0x7f, 0x7f, 0x7f, 0]
        );
        assert_eq!(image.pixels[8..], [0; 8]);
        assert_eq!((image.hot_x, image.hot_y), (1, 1));
    }

    #[test]
    fn too_few_pixels_hide_it() {
        assert_eq!(
            CursorImage::from_argb((3, 3), (0, 0), &[0; 8]),
            CursorImage::default()
        );
    }
}
