//! The pointer's image.

/// A pointer image without translucency, as RFB's Cursor pseudo-encoding needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CursorImage {
    /// Width in pixels; zero when the pointer is hidden.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// The hotspot's column.
    pub hot_x: u16,
    /// The hotspot's row.
    pub hot_y: u16,
    /// BGRX, four bytes a pixel, the fourth zero, rows without gaps; zero where the mask is zero.
    pub pixels: Vec<u8>,
    /// One bit a pixel, set where visible. The leftmost is the highest bit; rows are padded to
    /// whole bytes.
    pub mask: Vec<u8>,
}

impl CursorImage {
    /// Converts premultiplied ARGB words, the format of X and most others. Pixels less than half
    /// opaque become invisible: a mask has no shades. Too few words give an empty image.
    #[must_use]
    pub(crate) fn from_argb(size: (u16, u16), hotspot: (u16, u16), argb: &[u32]) -> Self {
        let (width, height) = size;
        let (w, h) = (usize::from(width), usize::from(height));
        if argb.len() < w * h {
            return Self::default();
        }
        let stride = w.div_ceil(8);
        let mut pixels = vec![0; w * h * 4];
        let mut mask = vec![0; stride * h];
        for (index, &word) in argb[..w * h].iter().enumerate() {
            if word >> 24 >= 0x80 {
                pixels[index * 4..][..4].copy_from_slice(&unmultiply(word).to_le_bytes());
                mask[index / w * stride + index % w / 8] |= 0x80 >> (index % w % 8);
            }
        }
        Self {
            width,
            height,
            hot_x: hotspot.0.min(width.saturating_sub(1)),
            hot_y: hotspot.1.min(height.saturating_sub(1)),
            pixels,
            mask,
        }
    }
}

/// Returns the colour before it was multiplied by its alpha (at least a half), without the alpha.
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
