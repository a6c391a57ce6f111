//! What the customer's side sends, with every JPEG turned into pixels: viewers get none, since noVNC 1.7.0
//! draws Raw wrongly after a JPEG that it has queued.
//!
//! The file comes from a machine that may be hostile. So it has to be of the one shape that our own encoder
//! writes, which is checked before a decoder sees any of it, and its size has to be the rectangle's, which
//! bounds the memory. The decoder is in Rust.

use etatuki_rfb::{
    Culprit, ErrorKind, MessageKind, ProtocolError, Rect, Rectangle, ServerMessage, ServerParser,
};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

/// Bytes of pixels that are handed on at a time, roughly: as in the bands of a large Raw rectangle.
const BAND: usize = 256 << 10;

/// A [`ServerParser`] in BGRX that knows no [`Rectangle::Jpeg`].
#[derive(Debug)]
pub(crate) struct PictureParser {
    parser: ServerParser,
    /// The JPEG that is being handed on: RGBA, and what isn't handed on yet. The buffer is kept, at most
    /// 4 bytes for each of `Limits::max_jpeg_pixels`.
    pixels: Vec<u8>,
    rest: Rect,
}

impl PictureParser {
    /// Takes JPEG from now on, whatever the parser was told; its format must be BGRX.
    pub(crate) fn new(parser: ServerParser) -> Self {
        Self {
            parser: parser.with_jpeg(),
            pixels: Vec::new(),
            rest: Rect::default(),
        }
    }

    /// See [`ServerParser::push`].
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.parser.push(bytes);
    }

    /// See [`ServerParser::next`]. The pixels of a JPEG come as Raw rectangles, in bands of whole rows.
    ///
    /// # Errors
    /// The server broke the protocol, or sent a JPEG that can't be decoded; nothing that comes after it
    /// means anything.
    pub(crate) fn next(&mut self) -> Result<Option<ServerMessage>, ProtocolError> {
        if self.rest.is_empty() {
            match self.parser.next()? {
                Some(ServerMessage::Rectangle(Rectangle::Jpeg { rect, data })) => {
                    self.decode(rect, &data).map_err(broken)?;
                    self.rest = rect;
                }
                other => return Ok(other),
            }
        }
        Ok(Some(ServerMessage::Rectangle(self.band())))
    }

    fn decode(&mut self, rect: Rect, file: &[u8]) -> Result<(), ErrorKind> {
        if size_in(file)? != (rect.w, rect.h) {
            return Err(ErrorKind::BadValue("JPEG size"));
        }
        // Not in our own order, for which the decoder has no SIMD.
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(rect.w.into())
            .set_max_height(rect.h.into())
            .jpeg_set_out_colorspace(ColorSpace::RGBA);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
        // A scan that ends early may leave some as they were: pixels that the same side sent before.
        self.pixels.resize(rect.area() * 4, 0);
        let decoded = decoder.decode_into(&mut self.pixels);
        decoded.map_err(|_| ErrorKind::BadValue("JPEG data"))
    }

    /// The next rows in our own order, with a fourth byte of 0. There must be some.
    fn band(&mut self) -> Rectangle {
        let rest = self.rest;
        let row = usize::from(rest.w) * 4;
        let rows = (BAND / row).clamp(1, usize::from(rest.h)) as u16;
        let done = self.pixels.len() - row * usize::from(rest.h);
        let band = &self.pixels[done..done + row * usize::from(rows)];
        let ours = |rgba: &[u8; 4]| (u32::from_be_bytes(*rgba) >> 8).to_le_bytes();
        let pixels: Vec<_> = band.as_chunks().0.iter().map(ours).collect();
        let pixels = pixels.into_flattened();
        self.rest = Rect::new(rest.x, rest.y + rows, rest.w, rest.h - rows);
        let rect = Rect { h: rows, ..rest };
        Rectangle::Raw { rect, pixels }
    }
}

/// Markers, without the 0xff before each.
mod marker {
    pub(super) const BASELINE_FRAME: u8 = 0xc0;
    pub(super) const HUFFMAN_TABLES: u8 = 0xc4;
    pub(super) const SCAN: u8 = 0xda;
    pub(super) const QUANTISATION: u8 = 0xdb;
    pub(super) const JFIF: u8 = 0xe0;
}

fn broken(kind: ErrorKind) -> ProtocolError {
    ProtocolError {
        culprit: Culprit::Server,
        message: MessageKind::Update,
        kind,
    }
}

/// Columns and rows of a file that is as plain as ours are (ITU-T T.81, annex B): JFIF's mark, tables, a
/// baseline frame of three components, one scan without restarts, and then nothing.
fn size_in(file: &[u8]) -> Result<(u16, u16), ErrorKind> {
    const KIND: ErrorKind = ErrorKind::BadValue("kind of JPEG");
    const COMPONENTS: u8 = 3;
    let mut size = None;
    let mut rest = file.strip_prefix(&[0xff, 0xd8]).ok_or(KIND)?;
    loop {
        let (&[mark, kind, high, low], _) = rest.split_first_chunk().ok_or(KIND)?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (segment, later) = rest[2..].split_at_checked(length).ok_or(KIND)?;
        match (mark, kind) {
            (0xff, marker::JFIF | marker::QUANTISATION | marker::HUFFMAN_TABLES) if length >= 2 => {
            }
            (0xff, marker::BASELINE_FRAME) if size.is_none() => match segment {
                &[_, _, 8, y0, y1, x0, x1, COMPONENTS, ..] => {
                    size = Some((u16::from_be_bytes([x0, x1]), u16::from_be_bytes([y0, y1])));
                }
                _ => return Err(KIND),
            },
            (0xff, marker::SCAN) if segment.get(2) == Some(&COMPONENTS) => {
                return size.filter(|_| is_one_scan(later)).ok_or(KIND);
            }
            _ => return Err(KIND),
        }
        rest = later;
    }
}

/// Whether no marker stands in the entropy-coded bytes but the end's, and that at their end.
fn is_one_scan(bytes: &[u8]) -> bool {
    let Some(coded) = bytes.strip_suffix(&[0xff, 0xd9]) else {
        return false;
    };
    let mut escaped = coded.windows(2).filter(|pair| pair[0] == 0xff);
    coded.last() != Some(&0xff) && escaped.all(|pair| pair[1] == 0)
}
