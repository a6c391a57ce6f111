//! JPEG files from parts of a framebuffer, for video and photographs.
//!
//! The encoder is libjpeg-turbo: one in pure Rust costs two and a half times its CPU
//! (`docs/decisions/0001-jpeg-turbojpeg-zune-jpeg.md`). It only ever reads pixels here, which can't
//! be malformed; JPEG files are read by the console, in Rust.

use etatuki_rfb::Rect;
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

/// Quality from which colours are kept for every pixel (4:4:4); below it, for four pixels at a time
/// (4:2:0).
pub const FULL_COLOUR_FROM: u8 = 85;

/// The reason why there is no JPEG; the pixels are to be sent as Raw.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JpegError {
    /// The rectangle is empty or reaches beyond the picture: the caller's fault.
    #[error("the rectangle {0:?} is not inside the picture")]
    NotInside(Rect),
    /// The encoder's own message.
    #[error("the JPEG encoder failed: {0}")]
    Encoder(String),
}

/// An encoder and its output buffer, both kept for the next file. Nothing is allocated before the
/// first use.
#[derive(Debug, Default)]
pub struct JpegEncoder {
    compressor: Option<Compressor>,
    /// Space for the worst case, of which hardly more pages are touched than were ever written.
    buffer: Vec<u8>,
}

impl JpegEncoder {
    /// Returns a whole baseline JPEG file of `rect`, cut out of BGRX pixels with `stride` bytes per
    /// row. The quality goes from 1 to 100; see [`FULL_COLOUR_FROM`].
    ///
    /// # Errors
    /// The rectangle isn't inside, or the encoder is out of memory.
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

/// Returns the rectangle's pixels, if all of them are there.
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
