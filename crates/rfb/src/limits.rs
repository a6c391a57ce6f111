//! What a peer may send at most.

use crate::error::Fault;

/// Upper bounds for what the parsers and handshakes accept. `Limits::default()` is what the product uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Columns of a framebuffer.
    pub max_width: u16,
    /// Rows of a framebuffer.
    pub max_height: u16,
    /// Pixels of a framebuffer; bounds memory where width and height alone don't.
    pub max_pixels: usize,
    /// Columns, and rows, of a pointer image.
    pub max_cursor: u16,
    /// Bytes of a clipboard text.
    pub max_cut_text: usize,
    /// Entries of a SetEncodings message.
    pub max_encodings: usize,
    /// Bytes of a fence's payload.
    pub max_fence: usize,
    /// Bytes of the JPEG file in one rectangle; Tight's own length field holds no more than the default.
    pub max_jpeg: usize,
    /// Pixels of a JPEG rectangle: a few bytes may stand for all of them.
    pub max_jpeg_pixels: usize,
    /// Bytes of a desktop name, and of a reason for a refusal.
    pub max_name: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_width: 16_384,
            max_height: 16_384,
            // 8K, or four screens of 4K: 132 MiB of framebuffer
            max_pixels: 7680 * 4512,
            max_cursor: 512,
            max_cut_text: 1 << 20,
            max_encodings: 1024,
            max_fence: 64,
            max_jpeg: (1 << 22) - 1,
            // 16 MiB decoded
            max_jpeg_pixels: 2048 * 2048,
            max_name: 4096,
        }
    }
}

impl Limits {
    /// Whether a framebuffer of this size is within the limits (and not empty).
    #[must_use]
    pub fn allows_size(&self, width: u16, height: u16) -> bool {
        self.check_size(width, height).is_ok()
    }

    /// As [`allows_size`](Self::allows_size), with the fault to report.
    pub(crate) fn check_size(&self, width: u16, height: u16) -> Result<(), Fault> {
        if width == 0 || height == 0 {
            return Err(Fault::BadValue("screen size"));
        }
        Fault::check("screen width", width.into(), self.max_width.into())?;
        Fault::check("screen height", height.into(), self.max_height.into())?;
        let pixels = usize::from(width) * usize::from(height);
        Fault::check("number of screen pixels", pixels, self.max_pixels)
    }
}
