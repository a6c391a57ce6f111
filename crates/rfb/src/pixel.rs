//! Pixel formats (RFC 6143 section 7.4).

use crate::error::Fault;
use crate::input::Fields;

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

    /// Whether pixels can be made in it: 8, 16 or 32 bits, each colour's largest value all ones,
    /// and every colour inside the pixel.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        matches!(self.bits_per_pixel, 8 | 16 | 32)
            && self.channels().iter().all(|&(max, shift)| {
                let bits = max.count_ones();
                max > 0
                    && max.trailing_ones() == bits
                    && u32::from(shift) + bits <= u32::from(self.bits_per_pixel)
            })
    }

    /// Largest value and shift of red, green and blue.
    pub(crate) fn channels(&self) -> [(u16, u8); 3] {
        [
            (self.red_max, self.red_shift),
            (self.green_max, self.green_shift),
            (self.blue_max, self.blue_shift),
        ]
    }

    /// The 16 bytes on the wire, and whether they say true colour.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Option<(Self, bool)> {
        let mut true_colour = false;
        let format = Self {
            bits_per_pixel: fields.u8()?,
            depth: fields.u8()?,
            big_endian: fields.u8()? != 0,
            red_max: {
                true_colour |= fields.u8()? != 0;
                fields.u16()?
            },
            green_max: fields.u16()?,
            blue_max: fields.u16()?,
            red_shift: fields.u8()?,
            green_shift: fields.u8()?,
            blue_shift: fields.u8()?,
        };
        fields.skip(3)?;
        Some((format, true_colour))
    }

    /// As [`read`](Self::read), but only what is usable.
    pub(crate) fn read_usable(fields: &mut Fields<'_>) -> Option<Result<Self, Fault>> {
        let (format, true_colour) = Self::read(fields)?;
        Some(format.check_usable(true_colour).map(|()| format))
    }

    /// Refuses colour maps, and what [`is_usable`](Self::is_usable) refuses.
    pub(crate) fn check_usable(&self, true_colour: bool) -> Result<(), Fault> {
        if !true_colour {
            Err(Fault::NotNegotiated("a colour map"))
        } else if !self.is_usable() {
            Err(Fault::BadValue("pixel format"))
        } else {
            Ok(())
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend([self.bits_per_pixel, self.depth, self.big_endian.into(), 1]);
        for (max, _) in self.channels() {
            out.extend(max.to_be_bytes());
        }
        out.extend([self.red_shift, self.green_shift, self.blue_shift, 0, 0, 0]);
    }
}
