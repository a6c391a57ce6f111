//! Decodes the JPEG files of the customer's side, which may be hostile. A file must have the one
//! shape that our own encoder writes, checked before the decoder sees any of it. Its size must be
//! the rectangle's, which bounds the memory. The decoder is in Rust.

use etatuki_rfb::ErrorKind;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

/// Marker codes (ITU-T T.81, table B.1), without the 0xff before each.
mod marker {
    pub(super) const BASELINE_FRAME: u8 = 0xc0;
    pub(super) const HUFFMAN_TABLES: u8 = 0xc4;
    pub(super) const SCAN: u8 = 0xda;
    pub(super) const QUANTISATION: u8 = 0xdb;
    pub(super) const JFIF: u8 = 0xe0;
}

/// Decodes a file of this size, in columns and rows, into `pixels` as RGBA.
///
/// # Errors
/// The file has another size or shape, or can't be decoded; `pixels` is undefined then.
pub(crate) fn decode(
    file: &[u8],
    (width, height): (u16, u16),
    pixels: &mut Vec<u8>,
) -> Result<(), ErrorKind> {
    check(file, (width, height))?;
    // RGBA, because the decoder has no SIMD for BGRA.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(width.into())
        .set_max_height(height.into())
        .jpeg_set_out_colorspace(ColorSpace::RGBA);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    // A truncated scan may leave old pixels in place; the same side sent them.
    pixels.resize(usize::from(width) * usize::from(height) * 4, 0);
    let decoded = decoder.decode_into(pixels);
    decoded.map_err(|_| ErrorKind::BadValue("JPEG data"))
}

/// Checks that a file has our own shape and this size.
///
/// # Errors
/// It hasn't.
pub(crate) fn check(file: &[u8], size: (u16, u16)) -> Result<(), ErrorKind> {
    if checked_size(file)? == size {
        Ok(())
    } else {
        Err(ErrorKind::BadValue("JPEG size"))
    }
}

/// Returns columns and rows of a file in our own shape (ITU-T T.81, annex B): a JFIF header, tables
/// of 8 bits, a baseline frame of three components with one of our two samplings, one scan without
/// restarts, and nothing behind it. Decoders have failed at odd samplings and table numbers, so each
/// byte that names one must be the byte that our encoder writes.
fn checked_size(file: &[u8]) -> Result<(u16, u16), ErrorKind> {
    const KIND: ErrorKind = ErrorKind::BadValue("kind of JPEG");
    let mut size = None;
    let mut rest = file.strip_prefix(&[0xff, 0xd8]).ok_or(KIND)?;
    loop {
        let (&[prefix, code, high, low], _) = rest.split_first_chunk().ok_or(KIND)?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (segment, behind) = rest[2..].split_at_checked(length).ok_or(KIND)?;
        match (prefix, code) {
            (0xff, marker::JFIF) if length == 16 => {}
            (0xff, marker::QUANTISATION) if matches!(segment, &[0, 67, 0 | 1, ..]) => {}
            (0xff, marker::HUFFMAN_TABLES) if is_huffman_table(segment) => {}
            (0xff, marker::BASELINE_FRAME) if size.is_none() => {
                size = Some(frame_size(segment).ok_or(KIND)?);
            }
            (0xff, marker::SCAN) if *segment == SCAN_HEADER => {
                return size.filter(|_| is_one_scan(behind)).ok_or(KIND);
            }
            _ => return Err(KIND),
        }
        rest = behind;
    }
}

/// The header of our one scan: three components, luminance by the tables 0, colour by the tables 1,
/// all coefficients at once.
const SCAN_HEADER: [u8; 12] = [0, 12, 3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0];

/// Returns whether a segment is one of the four standard tables (annex K.3), by its length and the
/// number under which it is used.
fn is_huffman_table(segment: &[u8]) -> bool {
    const DC_LENGTH: u8 = 31;
    const AC_LENGTH: u8 = 181;
    matches!(
        segment,
        &[0, DC_LENGTH, 0x00 | 0x01, ..] | &[0, AC_LENGTH, 0x10 | 0x11, ..]
    )
}

/// Returns columns and rows of a frame header: 8 bits a sample, luminance with the sampling 2×2 or
/// 1×1, both colours with 1×1.
fn frame_size(segment: &[u8]) -> Option<(u16, u16)> {
    let &[0, 17, 8, y0, y1, x0, x1, 3, ref components @ ..] = segment else {
        return None;
    };
    matches!(components, &[1, 0x22 | 0x11, 0, 2, 0x11, 1, 3, 0x11, 1])
        .then_some((u16::from_be_bytes([x0, x1]), u16::from_be_bytes([y0, y1])))
}

/// Returns whether the entropy-coded bytes have no marker except the end of image, at their end.
fn is_one_scan(bytes: &[u8]) -> bool {
    let Some(coded) = bytes.strip_suffix(&[0xff, 0xd9]) else {
        return false;
    };
    let mut escaped = coded.windows(2).filter(|pair| pair[0] == 0xff);
    coded.last() != Some(&0xff) && escaped.all(|pair| pair[1] == 0)
}
