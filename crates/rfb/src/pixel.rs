//! Pixel formats (RFC 6143 section 7.4).

/// A true-colour pixel format. Colour maps are refused where a format is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelFormat {
    /// Bits in memory for a pixel: 8, 16 or 32.
    pub bits_per_pixel: u8,
    /// Useful bits of these.
    pub depth: u8,
    /// Byte order on the wire.
    pub big_endian: bool,
    /// Largest red value, all ones.
    pub red_max: u16,
    /// Largest green value, all ones.
    pub green_max: u16,
    /// Largest blue value, all ones.
    pub blue_max: u16,
    /// Shift of red in the pixel's number.
    pub red_shift: u8,
    /// Shift of green.
    pub green_shift: u8,
    /// Shift of blue.
    pub blue_shift: u8,
}

impl PixelFormat {
    /// The one format inside this product: 32 bits, depth 24, bytes blue, green, red, unused.
    pub const BGRX: Self = Self {
        bits_per_pixel: 32,
        depth: 24,
        big_endian: false,
        red_max: 255,
        green_max: 255,
        blue_max: 255,
        red_shift: 16,
        green_shift: 8,
        blue_shift: 0,
    };

    /// Bytes of one pixel: 1, 2 or 4.
    #[must_use]
    pub const fn bytes_per_pixel(&self) -> usize {
        self.bits_per_pixel as usize / 8
    }
}
