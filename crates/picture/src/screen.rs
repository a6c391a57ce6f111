//! The framebuffer, its damage and the pointer's shape.

use etatuki_rfb::{CursorImage, Rect, Rectangle};

/// A rectangle that can't be applied: the plugin or tool is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// It reaches beyond the framebuffer.
    #[error("rectangle {0:?} from the tool is outside the screen")]
    OutsideScreen(Rect),
    /// It brings another number of bytes than its size says.
    #[error("rectangle from the tool has {got} bytes instead of {wanted}")]
    WrongLength {
        /// Bytes that came.
        got: usize,
        /// Bytes that its size says.
        wanted: usize,
    },
}

/// A framebuffer in [`PixelFormat::BGRX`](etatuki_rfb::PixelFormat::BGRX), black at first. The unused fourth byte of
/// every pixel is always 0, whatever a tool sends in it.
#[derive(Debug)]
pub struct Screen {
    width: u16,
    height: u16,
    pixels: Vec<u8>,
    cursor: Option<CursorImage>,
}

impl Screen {
    /// A black screen. The caller bounds the size ([`Limits`](etatuki_rfb::Limits)): it takes 4 bytes a pixel.
    #[must_use]
    pub fn new(width: u16, height: u16) -> Self {
        Self {
            width,
            height,
            pixels: Vec::new(),
            cursor: None,
        }
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> u16 {
        self.height
    }

    /// All pixels, 4 bytes each, rows without gaps.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The pointer's shape, if the tool has sent one.
    #[must_use]
    pub fn cursor(&self) -> Option<&CursorImage> {
        self.cursor.as_ref()
    }

    /// Takes in a rectangle whose pixels are BGRX; says whether anything became different by it.
    ///
    /// # Errors
    /// The rectangle doesn't fit; nothing was changed.
    pub fn apply(&mut self, rectangle: &Rectangle) -> Result<bool, PictureError> {
        todo!("{rectangle:?}")
    }

    /// Takes in BGRX pixels from a picture with `stride` bytes a row, whose first pixel is the
    /// rectangle's left top; says whether anything became different by it.
    ///
    /// # Errors
    /// The rectangle is outside, or `pixels` is too short; nothing was changed.
    pub fn draw(&mut self, rect: Rect, pixels: &[u8], stride: usize) -> Result<bool, PictureError> {
        todo!("{rect:?} {} {stride}", pixels.len())
    }

    /// Another size; the content is black and all of it counts as changed. The same size changes nothing.
    pub fn resize(&mut self, width: u16, height: u16) {
        todo!("{width} {height}")
    }

    /// Another pointer shape; says whether it is different.
    pub fn set_cursor(&mut self, cursor: CursorImage) -> bool {
        todo!("{cursor:?}")
    }
}
