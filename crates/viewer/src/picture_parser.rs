//! The parser of the link's picture stream. Converts JPEG rectangles to Raw ones, because noVNC
//! 1.7.0 draws Raw wrongly after a JPEG that it has queued.

use etatuki_rfb::{
    Culprit, ErrorKind, MessageKind, ProtocolError, Rect, Rectangle, ServerMessage, ServerParser,
};

use crate::jpeg;

/// Bytes of pixels in a band of a decoded JPEG, about as many as in a band of a large Raw
/// rectangle.
const BAND_BYTES: usize = 256 << 10;

/// A [`ServerParser`] in BGRX that returns no [`Rectangle::Jpeg`].
#[derive(Debug)]
pub struct PictureParser {
    parser: ServerParser,
    /// The decoded JPEG, as RGBA. The buffer is reused; it has at most 4 bytes for each of
    /// `Limits::max_jpeg_pixels`.
    pixels: Vec<u8>,
    /// The rows of the decoded JPEG that have not been returned yet.
    remaining: Rect,
    /// Whether JPEG rectangles are decoded; else they are checked and left out.
    decoding: bool,
}

impl PictureParser {
    /// Creates a parser that accepts JPEG, whether `parser` did or not. Its format must be BGRX.
    #[must_use]
    pub fn new(parser: ServerParser) -> Self {
        Self {
            parser: parser.with_jpeg(),
            pixels: Vec::new(),
            remaining: Rect::default(),
            decoding: true,
        }
    }

    /// Sets whether the JPEG rectangles from here on are decoded. A picture that nobody looks at
    /// costs no decoding; whoever looks later asks for a whole one.
    pub fn set_decoding(&mut self, decoding: bool) {
        self.decoding = decoding;
    }

    /// Appends bytes of the stream; see [`ServerParser::push`].
    pub fn push(&mut self, bytes: &[u8]) {
        self.parser.push(bytes);
    }

    /// Returns the next message; see [`ServerParser::next`]. A JPEG's pixels come as Raw
    /// rectangles, in bands of whole rows.
    ///
    /// # Errors
    /// The server broke the protocol, or sent a JPEG that can't be decoded. The bytes behind it
    /// can't be parsed.
    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator would end where this waits for bytes"
    )]
    pub fn next(&mut self) -> Result<Option<ServerMessage>, ProtocolError> {
        self.next_decoded_by(|decode| decode())
    }

    /// Returns the next message, as [`next`](Self::next) does; `run` calls the decoding of a JPEG,
    /// which takes milliseconds: a place for whatever is to go on meanwhile.
    ///
    /// # Errors
    /// The same as of [`next`](Self::next).
    pub fn next_decoded_by(
        &mut self,
        run: impl Fn(&mut dyn FnMut()),
    ) -> Result<Option<ServerMessage>, ProtocolError> {
        while self.remaining.is_empty() {
            match self.parser.next()? {
                Some(ServerMessage::Rectangle(Rectangle::Jpeg { rect, data })) => {
                    let size = (rect.w, rect.h);
                    if !self.decoding {
                        jpeg::check(&data, size).map_err(broken)?;
                        continue;
                    }
                    let mut decoded = Ok(());
                    run(&mut || decoded = jpeg::decode(&data, size, &mut self.pixels));
                    decoded.map_err(broken)?;
                    self.remaining = rect;
                }
                other => return Ok(other),
            }
        }
        Ok(Some(ServerMessage::Rectangle(self.take_band())))
    }

    /// Returns the next rows in BGRX, with a fourth byte of 0. Some must remain.
    fn take_band(&mut self) -> Rectangle {
        let remaining = self.remaining;
        let row = usize::from(remaining.w) * 4;
        let rows = (BAND_BYTES / row).clamp(1, usize::from(remaining.h)) as u16;
        let start = self.pixels.len() - row * usize::from(remaining.h);
        let band = &self.pixels[start..start + row * usize::from(rows)];
        let bgrx = |rgba: &[u8; 4]| (u32::from_be_bytes(*rgba) >> 8).to_le_bytes();
        let pixels: Vec<_> = band.as_chunks().0.iter().map(bgrx).collect();
        let pixels = pixels.into_flattened();
        self.remaining = Rect {
            y: remaining.y + rows,
            h: remaining.h - rows,
            ..remaining
        };
        let rect = Rect {
            h: rows,
            ..remaining
        };
        Rectangle::Raw { rect, pixels }
    }
}

fn broken(kind: ErrorKind) -> ProtocolError {
    ProtocolError {
        culprit: Culprit::Server,
        message: MessageKind::Update,
        kind,
    }
}
