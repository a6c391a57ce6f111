//! Pixel formats (RFC 6143 section 7.4).

use crate::error::ErrorKind;
use crate::field_reader::{FieldReader, Incomplete};

/// A true-colour pixel format. The parsers refuse colour maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelFormat {
    /// Bits of a pixel on the wire: 8, 16 or 32.
    pub bits_per_pixel: u8,
    /// Bits of a pixel that carry colour.
    pub depth: u8,
    /// Byte order on the wire.
    pub big_endian: bool,
    /// Largest red value, all ones.
    pub red_max: u16,
    /// Largest green value, all ones.
    pub green_max: u16,
    /// Largest blue value, all ones.
    pub blue_max: u16,
    /// Position of red's lowest bit in the pixel value.
    pub red_shift: u8,
    /// Position of green's lowest bit.
    pub green_shift: u8,
    /// Position of blue's lowest bit.
    pub blue_shift: u8,
}

impl PixelFormat {
    /// The format inside this product: 32 bits, depth 24, bytes in the order blue, green, red,
    /// unused.
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

    /// Returns the bytes of one pixel: 1, 2 or 4.
    #[must_use]
    pub const fn bytes_per_pixel(&self) -> usize {
        self.bits_per_pixel as usize / 8
    }

    /// Returns whether pixels can be converted to this format: 8, 16 or 32 bits, each colour's
    /// largest value all ones, and every colour inside the pixel.
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

    /// Returns the largest value and the shift of red, green and blue.
    pub(crate) fn channels(&self) -> [(u16, u8); 3] {
        [
            (self.red_max, self.red_shift),
            (self.green_max, self.green_shift),
            (self.blue_max, self.blue_shift),
        ]
    }

    /// Reads the 16 bytes of section 7.4; returns the format and its true-colour flag.
    pub(crate) fn read(fields: &mut FieldReader<'_>) -> Result<(Self, bool), Incomplete> {
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
        Ok((format, true_colour))
    }

    /// Reads a format that must be true colour and usable.
    pub(crate) fn read_usable(
        fields: &mut FieldReader<'_>,
    ) -> Result<Result<Self, ErrorKind>, Incomplete> {
        let (format, true_colour) = Self::read(fields)?;
        Ok(format.check_usable(true_colour).map(|()| format))
    }

    /// Refuses colour maps, and formats that [`is_usable`](Self::is_usable) refuses.
    pub(crate) fn check_usable(&self, true_colour: bool) -> Result<(), ErrorKind> {
        if !true_colour {
            Err(ErrorKind::NotNegotiated("a colour map"))
        } else if !self.is_usable() {
            Err(ErrorKind::BadValue("pixel format"))
        } else {
            Ok(())
        }
    }

    /// Appends the 16 bytes of section 7.4.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend([self.bits_per_pixel, self.depth, self.big_endian.into(), 1]);
        for (max, _) in self.channels() {
            out.extend(max.to_be_bytes());
        }
        out.extend([self.red_shift, self.green_shift, self.blue_shift, 0, 0, 0]);
    }
}
