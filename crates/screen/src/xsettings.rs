//! The settings that a desktop publishes on an X display (XSETTINGS protocol 0.5): parsed, pure.

/// Type byte of a string.
const STRING: u8 = 1;
/// Most settings that are read; a desktop has some dozens.
const MAX_SETTINGS: u32 = 1000;

/// Returns the string setting `name` of a `_XSETTINGS_SETTINGS` property; `None` if it isn't there
/// or the property is malformed.
pub(crate) fn string_setting(property: &[u8], name: &str) -> Option<String> {
    let (first, _) = property.split_first()?;
    let mut reader = Reader {
        bytes: property.get(8..)?,
        is_big_endian: *first == 1,
    };
    for _ in 0..reader.u32()?.min(MAX_SETTINGS) {
        let kind = reader.take(2)?[0];
        let length = usize::from(reader.u16()?);
        let found = reader.padded(length)? == name.as_bytes();
        reader.take(4)?;
        let value = match kind {
            0 => reader.take(4)?,
            STRING => {
                let length = reader.u32()?;
                reader.padded(usize::try_from(length).ok()?)?
            }
            2 => reader.take(8)?,
            _ => return None,
        };
        if found && kind == STRING {
            return String::from_utf8(value.to_vec()).ok();
        }
    }
    None
}

struct Reader<'a> {
    bytes: &'a [u8],
    is_big_endian: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    /// Takes `count` bytes, and the padding to the next multiple of four.
    fn padded(&mut self, count: usize) -> Option<&'a [u8]> {
        let padded = count.checked_next_multiple_of(4)?;
        self.take(padded)?.get(..count)
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?.try_into().ok()?;
        Some(match self.is_big_endian {
            true => u16::from_be_bytes(bytes),
            false => u16::from_le_bytes(bytes),
        })
    }

    fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?.try_into().ok()?;
        Some(match self.is_big_endian {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a property with an integer, a colour and a string.
    fn property() -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0];
        let mut setting = |kind: u8, name: &str, value: &[u8]| {
            bytes.extend([kind, 0, name.len() as u8, 0]);
            bytes.extend(name.as_bytes());
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend([9, 0, 0, 0]);
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        };
        setting(0, "Xft/DPI", &[0, 0, 2, 0]);
        setting(2, "Net/Colour", &[0; 8]);
        setting(STRING, "Net/ThemeName", b"\x0c\0\0\0HighContrast");
        bytes
    }

    #[test]
    fn a_theme_is_found_among_other_settings() {
        let theme = string_setting(&property(), "Net/ThemeName");
        assert_eq!(theme.as_deref(), Some("HighContrast"));
        assert_eq!(string_setting(&property(), "Xft/DPI"), None);
        assert_eq!(string_setting(&property(), "Net/IconThemeName"), None);
    }

    #[test]
    fn no_cut_property_is_believed() {
        let whole = property();
        for length in 0..whole.len() {
            assert_eq!(
                string_setting(&whole[..length], "Net/ThemeName"),
                None,
                "{length}"
            );
        }
        let mut endless = whole;
        endless[8..12].copy_from_slice(&[0xff; 4]);
        assert_eq!(string_setting(&endless, "Net/IconThemeName"), None);
    }
}
