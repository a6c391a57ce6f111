//! Upper bounds of what a peer may send.

use crate::error::ErrorKind;

/// Upper bounds of what the parsers and handshakes accept; the product uses `Limits::default()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Columns of a framebuffer.
    pub max_width: u16,
    /// Rows of a framebuffer.
    pub max_height: u16,
    /// Pixels of a framebuffer; bounds memory where width and height alone don't.
    pub max_pixels: usize,
    /// Columns, and likewise rows, of a pointer image.
    pub max_cursor: u16,
    /// Bytes of a clipboard text.
    pub max_cut_text: usize,
    /// Entries of a SetEncodings message.
    pub max_encodings: usize,
    /// Bytes of a fence's payload.
    pub max_fence_payload: usize,
    /// Bytes of the JPEG file in one rectangle. The default is the largest value of Tight's length
    /// field.
    pub max_jpeg_bytes: usize,
    /// Pixels of a JPEG rectangle, since a few bytes can decode to very many.
    pub max_jpeg_pixels: usize,
    /// Bytes of a desktop name, and of a refusal's reason.
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
            max_fence_payload: 64,
            max_jpeg_bytes: (1 << 22) - 1,
            // 16 MiB decoded
            max_jpeg_pixels: 2048 * 2048,
            max_name: 4096,
        }
    }
}

impl Limits {
    /// Returns the largest text of an Extended Clipboard message: each end of a line may have become
    /// two bytes, and there is a NUL.
    #[must_use]
    pub const fn max_wire_text(&self) -> usize {
        2 * self.max_cut_text + 1
    }

    /// Returns the largest content of an Extended Clipboard message. Texts that can't be compressed
    /// grow by less than a hundredth.
    pub(crate) const fn max_clipboard_content(&self) -> usize {
        self.max_wire_text() + self.max_wire_text() / 100 + 1024
    }

    /// Returns whether a framebuffer of this size is within the limits and not empty.
    #[must_use]
    pub fn allows_size(&self, width: u16, height: u16) -> bool {
        self.check_size(width, height).is_ok()
    }

    /// Returns the error to report when [`allows_size`](Self::allows_size) is false.
    pub(crate) fn check_size(&self, width: u16, height: u16) -> Result<(), ErrorKind> {
        if width == 0 || height == 0 {
            return Err(ErrorKind::BadValue("screen size"));
        }
        ErrorKind::check("screen width", width.into(), self.max_width.into())?;
        ErrorKind::check("screen height", height.into(), self.max_height.into())?;
        let pixels = usize::from(width) * usize::from(height);
        ErrorKind::check("number of screen pixels", pixels, self.max_pixels)
    }
}
