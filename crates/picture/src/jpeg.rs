//! JPEG files from parts of the framebuffer, for what moves like a film.
//!
//! libjpeg-turbo makes them: in pure Rust they cost two and a half times its CPU (`docs/performance.md`).
//! It only ever reads pixels here, which can't be malformed; reading JPEG files is the console's, in Rust.

use etatuki_rfb::Rect;
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

/// From this quality on colours are kept for every pixel (4:4:4), below it for four at a time (4:2:0).
pub const FULL_COLOUR_FROM: u8 = 85;

/// There is no JPEG; send the pixels as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JpegError {
    /// The rectangle is empty, or reaches beyond the picture: the caller's fault.
    #[error("the rectangle {0:?} is not inside the picture")]
    NotInside(Rect),
    /// The encoder's own words.
    #[error("the JPEG encoder failed: {0}")]
    Encoder(String),
}

/// An encoder and its buffer, both kept for the next picture. It takes nothing until it is first used.
#[derive(Debug, Default)]
pub struct JpegEncoder {
    compressor: Option<Compressor>,
    /// Room for the worst case, of which hardly more is touched than was ever written.
    buffer: Vec<u8>,
}

impl JpegEncoder {
    /// A whole baseline JPEG file of the size of `rect`, cut out of BGRX pixels with `stride` bytes a row.
    /// The quality goes from 1 to 100; see [`FULL_COLOUR_FROM`].
    ///
    /// # Errors
    /// The rectangle doesn't fit, or the encoder is out of memory.
    pub fn encode(
        &mut self,
        pixels: &[u8],
        stride: usize,
        rect: Rect,
        quality: u8,
    ) -> Result<&[u8], JpegError> {
        let image = sub_image(pixels, stride, rect).ok_or(JpegError::NotInside(rect))?;
        let length = self.compress(image, quality);
        let length = length.map_err(|error| JpegError::Encoder(error.to_string()))?;
        Ok(&self.buffer[..length])
    }

    fn compress(&mut self, image: Image<&[u8]>, quality: u8) -> turbojpeg::Result<usize> {
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            none => none.insert(Compressor::new()?),
        };
        compressor.set_quality(quality.clamp(1, 100).into())?;
        compressor.set_subsamp(if quality < FULL_COLOUR_FROM {
            Subsamp::Sub2x2
        } else {
            Subsamp::None
        })?;
        let worst_case = compressor.buf_len(image.width, image.height)?;
        if self.buffer.len() < worst_case {
            self.buffer = vec![0; worst_case];
        }
        compressor.compress_to_slice(image, &mut self.buffer)
    }
}

/// The rectangle's pixels, if all of them are there.
fn sub_image(pixels: &[u8], stride: usize, rect: Rect) -> Option<Image<&[u8]>> {
    let (width, height) = (usize::from(rect.w), usize::from(rect.h));
    let start = usize::from(rect.y) * stride + usize::from(rect.x) * 4;
    let length = height.checked_sub(1)? * stride + width * 4;
    if width == 0 || rect.right() as usize * 4 > stride {
        return None;
    }
    Some(Image {
        pixels: pixels.get(start..start.checked_add(length)?)?,
        width,
        pitch: stride,
        height,
        format: PixelFormat::BGRX,
    })
}
