//! Parser of the messages that a server sends after the handshake. It accepts only the encodings
//! that this project announces.

use crate::error::{ErrorKind, MessageKind};
use crate::field_reader::{FieldReader, ParseError};
use crate::receive_buffer::ReceiveBuffer;
use crate::{
    CursorImage, Limits, MAX_JPEG_WIDTH, PixelFormat, ProtocolError, Rect, Rectangle,
    ServerMessage, encoding,
};

/// Target size of a band of a Raw rectangle, in bytes: bounds how much of a large picture is
/// buffered.
const RAW_BAND_BYTES: usize = 256 << 10;

/// Parses what a server sends after the handshake.
#[derive(Debug)]
pub struct ServerParser {
    limits: Limits,
    format: PixelFormat,
    width: u16,
    height: u16,
    /// True when JPEG was announced to the server.
    jpeg: bool,
    buffer: ReceiveBuffer,
    state: ParserState,
    failed: Option<ProtocolError>,
}

/// Position in the stream of the next byte.
#[derive(Clone, Copy, Debug)]
enum ParserState {
    /// Before a message.
    Message,
    /// In an update, before the first of `left` rectangles, or before its end. With 65,535,
    /// LastRect may end it.
    Rectangles { left: u16 },
    /// In a Raw rectangle, before the rows `rest`; `left` rectangles follow it.
    Raw { rest: Rect, left: u16 },
    /// In a clipboard text above the limit, before its last `left` bytes.
    SkippedCutText { left: u32, length: u32 },
}

impl ServerParser {
    /// Returns a parser for a connection whose pixels come in `format`, on a screen of this size
    /// (ServerInit's; the parser follows later sizes). The format must be usable
    /// ([`PixelFormat::is_usable`]).
    #[must_use]
    pub fn new(limits: Limits, format: PixelFormat, width: u16, height: u16) -> Self {
        Self {
            limits,
            format,
            width,
            height,
            jpeg: false,
            buffer: ReceiveBuffer::default(),
            state: ParserState::Message,
            failed: None,
        }
    }

    /// Accepts JPEG rectangles too: for a connection on which [`encoding::TIGHT`] was announced.
    #[must_use]
    pub fn with_jpeg(mut self) -> Self {
        self.jpeg = true;
        self
    }

    /// Returns the screen's size by the server's last message about it.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        (self.width, self.height)
    }

    /// Returns whether a message, or an update, has begun and isn't complete.
    #[must_use]
    pub fn is_mid_message(&self) -> bool {
        !matches!(self.state, ParserState::Message) || !self.buffer.bytes().is_empty()
    }

    /// Appends bytes, split anywhere. Call [`next`](Self::next) until it returns `None` before the
    /// next push: then little more than one band of a picture, JPEG file, pointer image or
    /// clipboard text is held.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.push(bytes);
        }
    }

    /// Returns the next whole message or part of an update; `None` until more bytes come.
    ///
    /// # Errors
    /// The server broke the protocol; every later call returns the same error. An Extended
    /// Clipboard message (negative length) and a colour map are such breaks: we never ask for them.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<ServerMessage>, ProtocolError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        loop {
            match self.parse() {
                Ok(Some(message)) => return Ok(Some(message)),
                Ok(None) => {}
                Err(ParseError::Incomplete) => return Ok(None),
                Err(ParseError::Protocol(error)) => {
                    self.failed = Some(error.clone());
                    return Err(error);
                }
            }
        }
    }

    /// Parses the next part of the stream; returns `None` when that part has no message of its own.
    fn parse(&mut self) -> Parsed<Option<ServerMessage>> {
        match self.state {
            ParserState::Message => self.parse_message(),
            ParserState::Rectangles { left: 0 } => {
                self.state = ParserState::Message;
                Ok(Some(ServerMessage::UpdateEnd))
            }
            ParserState::Rectangles { left } => self.parse_rectangle(left - 1),
            ParserState::Raw { rest, left } => self.parse_raw_band(rest, left),
            ParserState::SkippedCutText { left, length } => self.skip_cut_text(left, length),
        }
    }

    fn parse_message(&mut self) -> Parsed<Option<ServerMessage>> {
        let mut fields = FieldReader::new(self.buffer.bytes());
        let message = match fields.u8()? {
            0 => {
                fields.skip(1)?;
                let left = fields.u16()?;
                self.state = ParserState::Rectangles { left };
                Some(ServerMessage::UpdateStart)
            }
            1 => {
                let kind = ErrorKind::NotNegotiated("a colour map");
                return Err(ParseError::server(MessageKind::SetColourMap, kind));
            }
            2 => Some(ServerMessage::Bell),
            3 => {
                let (text, state) = cut_text(&mut fields, &self.limits)?;
                self.state = state;
                text
            }
            150 => Some(ServerMessage::EndOfContinuousUpdates),
            248 => Some(fence(&mut fields, &self.limits)?),
            other => {
                let message = MessageKind::Unknown(other);
                return Err(ParseError::server(message, ErrorKind::UnknownType));
            }
        };
        let length = fields.position();
        self.buffer.consume(length);
        Ok(message)
    }

    /// Parses a rectangle's header, and its content unless that is Raw; `left` rectangles follow
    /// it.
    fn parse_rectangle(&mut self, left: u16) -> Parsed<Option<ServerMessage>> {
        let mut fields = FieldReader::new(self.buffer.bytes());
        let rect = fields.rect()?;
        let encoding = fields.i32()?;
        let mut state = ParserState::Rectangles { left };
        let rectangle = match encoding {
            encoding::RAW => {
                self.check_inside(rect)?;
                if !rect.is_empty() {
                    state = ParserState::Raw { rest: rect, left };
                }
                None
            }
            encoding::COPY_RECT => self.copy_rect(&mut fields, rect)?,
            encoding::TIGHT if self.jpeg => Some(self.jpeg(&mut fields, rect)?),
            encoding::CURSOR => Some(self.cursor(&mut fields, rect)?),
            encoding::POINTER_POS => Some(Rectangle::PointerPos {
                x: rect.x,
                y: rect.y,
            }),
            encoding::DESKTOP_SIZE => Some(self.desktop_size(rect)?),
            encoding::EXTENDED_DESKTOP_SIZE => Some(self.extended_desktop_size(&mut fields, rect)?),
            encoding::LAST_RECT => {
                state = ParserState::Rectangles { left: 0 };
                None
            }
            encoding::QEMU_EXTENDED_KEY
            | encoding::EXTENDED_MOUSE_BUTTONS
            | encoding::UTF8_CUT_TEXT => Some(Rectangle::Supports { encoding }),
            other => return fail_update(ErrorKind::Encoding(other)),
        };
        let length = fields.position();
        self.buffer.consume(length);
        self.state = state;
        self.follow_size(rectangle.as_ref());
        Ok(rectangle.map(ServerMessage::Rectangle))
    }

    /// Parses the next band of a Raw rectangle: whole rows, once they are all there.
    fn parse_raw_band(&mut self, rest: Rect, left: u16) -> Parsed<Option<ServerMessage>> {
        let row_bytes = usize::from(rest.w) * self.format.bytes_per_pixel();
        let rows = (RAW_BAND_BYTES / row_bytes).clamp(1, usize::from(rest.h)) as u16;
        let length = row_bytes * usize::from(rows);
        let pixels = FieldReader::new(self.buffer.bytes())
            .bytes(length)?
            .to_vec();
        self.buffer.consume(length);
        self.state = if rows == rest.h {
            ParserState::Rectangles { left }
        } else {
            let rest = Rect::new(rest.x, rest.y + rows, rest.w, rest.h - rows);
            ParserState::Raw { rest, left }
        };
        let rect = Rect { h: rows, ..rest };
        let band = Rectangle::Raw { rect, pixels };
        Ok(Some(ServerMessage::Rectangle(band)))
    }

    /// Skips the bytes that have come of a clipboard text above the limit.
    fn skip_cut_text(&mut self, left: u32, length: u32) -> Parsed<Option<ServerMessage>> {
        let skipped = self.buffer.bytes().len().min(left as usize);
        self.buffer.consume(skipped);
        let left = left - skipped as u32;
        if left > 0 {
            self.state = ParserState::SkippedCutText { left, length };
            return Err(ParseError::Incomplete);
        }
        self.state = ParserState::Message;
        Ok(Some(ServerMessage::CutTextSkipped { length }))
    }

    fn copy_rect(&self, fields: &mut FieldReader<'_>, rect: Rect) -> Parsed<Option<Rectangle>> {
        let from = (fields.u16()?, fields.u16()?);
        self.check_inside(rect)?;
        self.check_inside(Rect::new(from.0, from.1, rect.w, rect.h))?;
        let copy = Rectangle::CopyRect { rect, from };
        Ok((!rect.is_empty()).then_some(copy))
    }

    /// Parses Tight's JPEG subtype, the only one that is announced. A control byte that resets zlib
    /// streams is refused as another subtype, since there are no streams.
    fn jpeg(&self, fields: &mut FieldReader<'_>, rect: Rect) -> Parsed<Rectangle> {
        self.check_inside(rect)?;
        if rect.is_empty() {
            return fail_update(ErrorKind::BadValue("JPEG rectangle"));
        }
        let (width, limit) = (usize::from(rect.w), usize::from(MAX_JPEG_WIDTH));
        in_update(ErrorKind::check("JPEG width", width, limit))?;
        let (pixels, limit) = (rect.area(), self.limits.max_jpeg_pixels);
        in_update(ErrorKind::check("number of JPEG pixels", pixels, limit))?;
        if fields.u8()? != encoding::TIGHT_JPEG_CONTROL {
            return fail_update(ErrorKind::BadValue("Tight subtype"));
        }
        let length = fields.compact_length()?;
        if length == 0 {
            return fail_update(ErrorKind::BadValue("JPEG length"));
        }
        let limit = self.limits.max_jpeg_bytes;
        in_update(ErrorKind::check("JPEG length", length, limit))?;
        let data = fields.bytes(length)?.to_vec();
        Ok(Rectangle::Jpeg { rect, data })
    }

    /// Parses a pointer image; its rectangle's corner is the hotspot.
    fn cursor(&self, fields: &mut FieldReader<'_>, rect: Rect) -> Parsed<Rectangle> {
        let (width, height) = (rect.w, rect.h);
        let limit = usize::from(self.limits.max_cursor);
        let largest = usize::from(width.max(height));
        in_update(ErrorKind::check("pointer image", largest, limit))?;
        let pixels = rect.area() * self.format.bytes_per_pixel();
        let mask = CursorImage::mask_stride(width) * usize::from(height);
        Ok(Rectangle::Cursor(CursorImage {
            hotspot: (rect.x, rect.y),
            width,
            height,
            pixels: fields.bytes(pixels)?.to_vec(),
            mask: fields.bytes(mask)?.to_vec(),
        }))
    }

    fn desktop_size(&self, rect: Rect) -> Parsed<Rectangle> {
        in_update(self.limits.check_size(rect.w, rect.h))?;
        Ok(Rectangle::DesktopSize {
            width: rect.w,
            height: rect.h,
        })
    }

    /// Parses ExtendedDesktopSize; its rectangle's corner is reason and status. After a refusal the
    /// other fields mean nothing.
    fn extended_desktop_size(&self, fields: &mut FieldReader<'_>, rect: Rect) -> Parsed<Rectangle> {
        let count = fields.u8()?;
        fields.skip(3)?;
        let screens = fields.screens(count)?;
        let refused = rect.y != 0;
        if !refused {
            in_update(self.limits.check_size(rect.w, rect.h))?;
        }
        Ok(Rectangle::ExtendedDesktopSize {
            reason: rect.x,
            status: rect.y,
            width: if refused { self.width } else { rect.w },
            height: if refused { self.height } else { rect.h },
            screens,
        })
    }

    fn check_inside(&self, rect: Rect) -> Parsed<()> {
        if Rect::new(0, 0, self.width, self.height).contains(&rect) {
            return Ok(());
        }
        fail_update(ErrorKind::OutsideScreen {
            x: rect.x,
            y: rect.y,
            w: rect.w,
            h: rect.h,
            width: self.width,
            height: self.height,
        })
    }

    /// Adopts a new screen size, which bounds the rectangles that follow.
    fn follow_size(&mut self, rectangle: Option<&Rectangle>) {
        if let Some(
            Rectangle::DesktopSize { width, height }
            | Rectangle::ExtendedDesktopSize { width, height, .. },
        ) = rectangle
        {
            (self.width, self.height) = (*width, *height);
        }
    }
}

type Parsed<T> = Result<T, ParseError>;

fn fail_update<T>(kind: ErrorKind) -> Parsed<T> {
    Err(ParseError::server(MessageKind::Update, kind))
}

/// Attributes an error to the update.
fn in_update(result: Result<(), ErrorKind>) -> Parsed<()> {
    result.or_else(fail_update)
}

/// Parses the header of a clipboard text, and the text unless it is above the limit.
fn cut_text(
    fields: &mut FieldReader<'_>,
    limits: &Limits,
) -> Parsed<(Option<ServerMessage>, ParserState)> {
    fields.skip(3)?;
    let length = fields.u32()?;
    if length >= 1 << 31 {
        let kind = ErrorKind::NotNegotiated("the extended clipboard");
        return Err(ParseError::server(MessageKind::CutText, kind));
    }
    if length as usize > limits.max_cut_text {
        let left = length;
        return Ok((None, ParserState::SkippedCutText { left, length }));
    }
    let text = fields.bytes(length as usize)?.to_vec();
    Ok((Some(ServerMessage::CutText(text)), ParserState::Message))
}

fn fence(fields: &mut FieldReader<'_>, limits: &Limits) -> Parsed<ServerMessage> {
    fields.skip(3)?;
    let flags = fields.u32()?;
    let length = usize::from(fields.u8()?);
    ErrorKind::check("payload", length, limits.max_fence_payload)
        .map_err(|kind| ParseError::server(MessageKind::Fence, kind))?;
    let payload = fields.bytes(length)?.to_vec();
    Ok(ServerMessage::Fence { flags, payload })
}
