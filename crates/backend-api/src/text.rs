//! Texts across the C interface: written into the caller's buffer, never handed over.

use std::ffi::c_char;

use zeroize::Zeroizing;

use crate::raw::{self, Text};

/// Longest text that [`read`] accepts, in bytes.
pub const MAX_BYTES: usize = 65_535;

/// Writes `text` into the caller's buffer as the header demands: with a NUL, whole or not at all,
/// and its length in any case. Returns the status to return. Text from the first NUL on is left
/// out.
///
/// # Safety
/// `out` is null, or points to a [`Text`] whose `data` is null or has `capacity` writable bytes.
pub unsafe fn write(out: *mut Text, text: &str) -> i32 {
    // SAFETY: null or valid, as the caller guarantees.
    let Some(out) = (unsafe { out.as_mut() }) else {
        return raw::E_NULL;
    };
    let bytes = text.split('\0').next().unwrap_or_default().as_bytes();
    let Ok(length) = u32::try_from(bytes.len()) else {
        return raw::E_INTERNAL;
    };
    out.length = length;
    if out.data.is_null() {
        return if out.capacity == 0 {
            raw::OK
        } else {
            raw::E_NULL
        };
    }
    if out.capacity <= length {
        if out.capacity > 0 {
            // SAFETY: there is at least one byte.
            unsafe { out.data.write(0) };
        }
        return raw::E_BUFFER;
    }
    // SAFETY: `capacity` > `length`, so text and NUL fit; the buffer is the caller's and can't
    // overlap ours.
    unsafe {
        out.data
            .copy_from_nonoverlapping(bytes.as_ptr().cast::<c_char>(), bytes.len());
        out.data.add(bytes.len()).write(0);
    }
    raw::OK
}

/// Reads a text from the other side: calls `fill` with a buffer, and again with a larger one if it
/// asks for that.
///
/// # Errors
/// The status of `fill`, or [`raw::E_ARGUMENT`] when the text isn't UTF-8 or is longer than
/// [`MAX_BYTES`].
pub fn read(mut fill: impl FnMut(*mut Text) -> i32) -> Result<Zeroizing<String>, i32> {
    read_several(|[text]| fill(text)).map(|[text]| text)
}

/// Reads several texts of one call of `fill`, as [`read`] does for one.
///
/// # Errors
/// As [`read`].
pub fn read_several<const N: usize>(
    mut fill: impl FnMut([*mut Text; N]) -> i32,
) -> Result<[Zeroizing<String>; N], i32> {
    let mut capacities = [256; N];
    // A text may grow between two calls, and a callee may name one need at a time; more calls than
    // this are refused.
    for _ in 0..N + 3 {
        let mut buffers = capacities.map(|capacity| Zeroizing::new(vec![0u8; capacity]));
        let mut texts = std::array::from_fn(|index| {
            let buffer = &mut buffers[index];
            Text {
                data: buffer.as_mut_ptr().cast::<c_char>(),
                capacity: buffer.len() as u32,
                length: 0,
            }
        });
        let status = fill(texts.each_mut().map(std::ptr::from_mut));
        let lengths = texts.map(|text| text.length as usize);
        match status {
            raw::OK => return decode_utf8(buffers, lengths),
            raw::E_BUFFER => grow(&mut capacities, lengths)?,
            other => return Err(other),
        }
    }
    Err(raw::E_ARGUMENT)
}

fn decode_utf8<const N: usize>(
    buffers: [Zeroizing<Vec<u8>>; N],
    lengths: [usize; N],
) -> Result<[Zeroizing<String>; N], i32> {
    let mut texts = std::array::from_fn(|_| Zeroizing::new(String::new()));
    for ((text, buffer), length) in texts.iter_mut().zip(&buffers).zip(lengths) {
        let bytes = buffer
            .get(..length)
            .filter(|_| length < buffer.len())
            .ok_or(raw::E_ARGUMENT)?;
        text.push_str(std::str::from_utf8(bytes).map_err(|_| raw::E_ARGUMENT)?);
    }
    Ok(texts)
}

/// Enlarges the capacities that were too small. It fails when none was, or when a text is too long.
fn grow(capacities: &mut [usize], lengths: impl IntoIterator<Item = usize>) -> Result<(), i32> {
    let mut grown = false;
    for (capacity, length) in capacities.iter_mut().zip(lengths) {
        if length > MAX_BYTES {
            return Err(raw::E_ARGUMENT);
        }
        if length >= *capacity {
            *capacity = length + 1;
            grown = true;
        }
    }
    if grown { Ok(()) } else { Err(raw::E_ARGUMENT) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, capacity: usize, expected: (i32, u32, &[u8])) {
        let mut buffer = vec![b'#'; capacity];
        let mut out = Text {
            data: buffer.as_mut_ptr().cast(),
            capacity: capacity as u32,
            length: 9,
        };
        // SAFETY: the buffer has `capacity` bytes.
        let status = unsafe { write(&raw mut out, text) };
        assert_eq!(
            (status, out.length, buffer.as_slice()),
            expected,
            "{text:?} into {capacity}"
        );
    }

    #[test]
    fn a_text_is_written_whole_or_not_at_all() {
        check("abc", 5, (raw::OK, 3, b"abc\0#"));
        check("abc", 4, (raw::OK, 3, b"abc\0"));
        check("abc", 3, (raw::E_BUFFER, 3, b"\0##"));
        check("abc", 1, (raw::E_BUFFER, 3, b"\0"));
        check("", 1, (raw::OK, 0, b"\0"));
        check("a\0b", 3, (raw::OK, 1, b"a\0#"));
    }

    #[test]
    fn null_asks_for_the_length() {
        let mut out = Text {
            data: std::ptr::null_mut(),
            capacity: 0,
            length: 0,
        };
        // SAFETY: no buffer, no capacity.
        assert_eq!(unsafe { write(&raw mut out, "abc") }, raw::OK);
        assert_eq!(out.length, 3);
        out.capacity = 8;
        // SAFETY: `write` must refuse before it writes.
        assert_eq!(unsafe { write(&raw mut out, "abc") }, raw::E_NULL);
        // SAFETY: null is allowed.
        assert_eq!(unsafe { write(std::ptr::null_mut(), "abc") }, raw::E_NULL);
    }

    #[test]
    fn several_texts_are_read_at_once() {
        let long = "x".repeat(1000);
        // SAFETY: `read_several` gives valid buffers.
        let both = read_several(|[a, b]| unsafe {
            match write(a, &long) {
                raw::OK => write(b, &long),
                status => status,
            }
        });
        assert_eq!(both.unwrap().map(|text| text.len()), [1000, 1000]);
    }

    #[test]
    fn reading_grows_once_and_distrusts() {
        let long = "ä".repeat(5000);
        // SAFETY: `read` gives a valid buffer.
        assert_eq!(*read(|out| unsafe { write(out, &long) }).unwrap(), long);
        assert_eq!(read(|_| raw::E_STATE), Err(raw::E_STATE));
        let lie = |out: *mut Text| {
            // SAFETY: `read` gives a valid buffer.
            unsafe { (*out).length = u32::MAX };
            raw::OK
        };
        assert_eq!(read(lie), Err(raw::E_ARGUMENT));
        let asks_too_much = |out: *mut Text| {
            // SAFETY: as above.
            unsafe { (*out).length = u32::MAX };
            raw::E_BUFFER
        };
        assert_eq!(read(asks_too_much), Err(raw::E_ARGUMENT));
        let not_text = |out: *mut Text| {
            // SAFETY: as above; there are 256 bytes.
            unsafe {
                (*out).data.write(0xff_u8 as c_char);
                (*out).length = 1;
            }
            raw::OK
        };
        assert_eq!(read(not_text), Err(raw::E_ARGUMENT));
    }
}
