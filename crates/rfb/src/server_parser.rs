//! The parser of what a server sends. It knows only the encodings that this project announces.

use crate::error::{Fault, MessageKind};
use crate::input::{Fields, Input};
use crate::{
    CursorImage, Limits, MAX_JPEG_WIDTH, PixelFormat, ProtocolError, Rect, Rectangle,
    ServerMessage, encoding,
};
use std::ops::ControlFlow;

/// Bytes of a band of a Raw rectangle, roughly: what is buffered of a large picture at a time.
const BAND: usize = 256 << 10;

/// Reads what a server sends after the handshake.
#[derive(Debug)]
pub struct ServerParser {
    limits: Limits,
    format: PixelFormat,
    width: u16,
    height: u16,
    /// Whether JPEG was announced to the server.
    jpeg: bool,
    input: Input,
    place: Place,
    broken: Option<ProtocolError>,
}

/// Where in the stream the next byte stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Before a message.
    Message,
    /// In an update, before one of so many rectangles (or before its end); 65,535 may end by LastRect.
    Rectangles { left: u16 },
    /// In a Raw rectangle, before its rows from `rest` on.
    Raw { rest: Rect, left: u16 },
    /// In a clipboard text that is too long.
    Skipping { left: u32, length: u32 },
}

impl ServerParser {
    /// A parser for a connection whose pixels come in `format`, on a screen of this size
    /// (from ServerInit; later sizes are followed). The format must be usable
    /// ([`PixelFormat::is_usable`]).
    #[must_use]
    pub fn new(limits: Limits, format: PixelFormat, width: u16, height: u16) -> Self {
        Self {
            limits,
            format,
            width,
            height,
            jpeg: false,
            input: Input::default(),
            place: Place::Message,
            broken: None,
        }
    }

    /// Takes JPEG rectangles too: for a connection on which [`encoding::TIGHT`] was announced.
    #[must_use]
    pub fn with_jpeg(mut self) -> Self {
        self.jpeg = true;
        self
    }

    /// The screen's size as the server last said it.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        (self.width, self.height)
    }

    /// More bytes, split anywhere. Ask [`next`](Self::next) until it has no more before you push again:
    /// then little more than a band of a picture, a JPEG, a pointer image or a clipboard text is ever held.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.input.push(bytes);
        }
    }

    /// The next whole message or part of an update; `None` until more bytes come.
    ///
    /// # Errors
    /// The server broke the protocol; the same error comes back from then on. An extended-clipboard
    /// message (negative length) and a colour map are such breaks: we never ask for them.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<ServerMessage>, ProtocolError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        loop {
            match self.step() {
                ControlFlow::Continue(Some(message)) => return Ok(Some(message)),
                ControlFlow::Continue(None) => {}
                ControlFlow::Break(None) => return Ok(None),
                ControlFlow::Break(Some(error)) => {
                    self.broken = Some(error.clone());
                    return Err(error);
                }
            }
        }
    }

    /// One step forward, with or without something to tell.
    fn step(&mut self) -> Parsed<Option<ServerMessage>> {
        match self.place {
            Place::Message => self.message(),
            Place::Rectangles { left: 0 } => {
                self.place = Place::Message;
                ControlFlow::Continue(Some(ServerMessage::UpdateEnd))
            }
            Place::Rectangles { left } => self.rectangle(left - 1),
            Place::Raw { rest, left } => self.raw_band(rest, left),
            Place::Skipping { left, length } => self.skip(left, length),
        }
    }

    fn message(&mut self) -> Parsed<Option<ServerMessage>> {
        let mut fields = Fields::new(self.input.bytes());
        let message = match wait(fields.u8())? {
            0 => {
                wait(fields.skip(1))?;
                let left = wait(fields.u16())?;
                self.place = Place::Rectangles { left };
                Some(ServerMessage::UpdateStart)
            }
            1 => broken(
                MessageKind::SetColourMap,
                Fault::NotNegotiated("a colour map"),
            )?,
            2 => Some(ServerMessage::Bell),
            3 => {
                let (text, place) = cut_text(&mut fields, &self.limits)?;
                self.place = place;
                text
            }
            150 => Some(ServerMessage::EndOfContinuousUpdates),
            248 => Some(fence(&mut fields, &self.limits)?),
            other => broken(MessageKind::Unknown(other), Fault::UnknownType)?,
        };
        let used = fields.read();
        self.input.consume(used);
        ControlFlow::Continue(message)
    }

    /// A rectangle's head, and its content unless that is Raw. `left` more follow it.
    fn rectangle(&mut self, left: u16) -> Parsed<Option<ServerMessage>> {
        let mut fields = Fields::new(self.input.bytes());
        let rect = wait(fields.rect())?;
        let encoding = wait(fields.i32())?;
        let mut place = Place::Rectangles { left };
        let rectangle = match encoding {
            encoding::RAW => {
                self.inside(rect)?;
                if !rect.is_empty() {
                    place = Place::Raw { rest: rect, left };
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
            encoding::EXTENDED_DESKTOP_SIZE => Some(self.desktop_layout(&mut fields, rect)?),
            encoding::LAST_RECT => {
                place = Place::Rectangles { left: 0 };
                None
            }
            encoding::QEMU_EXTENDED_KEY
            | encoding::EXTENDED_MOUSE_BUTTONS
            | encoding::UTF8_CUT_TEXT => Some(Rectangle::Supports { encoding }),
            other => fault(Fault::Encoding(other))?,
        };
        let used = fields.read();
        self.input.consume(used);
        self.place = place;
        self.follow(rectangle.as_ref());
        ControlFlow::Continue(rectangle.map(ServerMessage::Rectangle))
    }

    /// As many whole rows of a Raw rectangle as make a band, once they are all there.
    fn raw_band(&mut self, rest: Rect, left: u16) -> Parsed<Option<ServerMessage>> {
        let row = usize::from(rest.w) * self.format.bytes_per_pixel();
        let rows = (BAND / row).clamp(1, usize::from(rest.h)) as u16;
        let length = row * usize::from(rows);
        let pixels = wait(self.input.bytes().get(..length))?.to_vec();
        self.input.consume(length);
        self.place = if rows == rest.h {
            Place::Rectangles { left }
        } else {
            let rest = Rect::new(rest.x, rest.y + rows, rest.w, rest.h - rows);
            Place::Raw { rest, left }
        };
        let rect = Rect { h: rows, ..rest };
        let band = Rectangle::Raw { rect, pixels };
        ControlFlow::Continue(Some(ServerMessage::Rectangle(band)))
    }

    /// Passes over what has come of a clipboard text that is too long.
    fn skip(&mut self, left: u32, length: u32) -> Parsed<Option<ServerMessage>> {
        let here = self.input.bytes().len().min(left as usize);
        self.input.consume(here);
        let left = left - here as u32;
        if left > 0 {
            self.place = Place::Skipping { left, length };
            return ControlFlow::Break(None);
        }
        self.place = Place::Message;
        ControlFlow::Continue(Some(ServerMessage::CutTextSkipped { length }))
    }

    fn inside(&self, rect: Rect) -> Parsed<()> {
        if Rect::new(0, 0, self.width, self.height).contains(&rect) {
            return ControlFlow::Continue(());
        }
        fault(Fault::OutsideScreen {
            x: rect.x,
            y: rect.y,
            w: rect.w,
            h: rect.h,
            width: self.width,
            height: self.height,
        })
    }

    fn copy_rect(&self, fields: &mut Fields<'_>, rect: Rect) -> Parsed<Option<Rectangle>> {
        let from = (wait(fields.u16())?, wait(fields.u16())?);
        self.inside(rect)?;
        self.inside(Rect::new(from.0, from.1, rect.w, rect.h))?;
        let copy = Rectangle::CopyRect { rect, from };
        ControlFlow::Continue((!rect.is_empty()).then_some(copy))
    }

    /// Tight's JPEG subtype, the only one that is announced; a control byte that resets zlib streams is
    /// another one, since there are none.
    fn jpeg(&self, fields: &mut Fields<'_>, rect: Rect) -> Parsed<Rectangle> {
        self.inside(rect)?;
        if rect.is_empty() {
            return fault(Fault::BadValue("JPEG rectangle"));
        }
        let (width, limit) = (usize::from(rect.w), usize::from(MAX_JPEG_WIDTH));
        checked(Fault::check("JPEG width", width, limit))?;
        let (pixels, limit) = (rect.area(), self.limits.max_jpeg_pixels);
        checked(Fault::check("number of JPEG pixels", pixels, limit))?;
        if wait(fields.u8())? != encoding::TIGHT_JPEG {
            return fault(Fault::BadValue("Tight subtype"));
        }
        let length = wait(fields.compact_length())?;
        if length == 0 {
            return fault(Fault::BadValue("JPEG length"));
        }
        checked(Fault::check("JPEG length", length, self.limits.max_jpeg))?;
        let data = wait(fields.take(length))?.to_vec();
        ControlFlow::Continue(Rectangle::Jpeg { rect, data })
    }

    /// The rectangle's corner is the hot spot.
    fn cursor(&self, fields: &mut Fields<'_>, rect: Rect) -> Parsed<Rectangle> {
        let (width, height) = (rect.w, rect.h);
        let limit = usize::from(self.limits.max_cursor);
        let largest = usize::from(width.max(height));
        checked(Fault::check("pointer image", largest, limit))?;
        let pixels = rect.area() * self.format.bytes_per_pixel();
        let mask = CursorImage::mask_stride(width) * usize::from(height);
        ControlFlow::Continue(Rectangle::Cursor(CursorImage {
            hot: (rect.x, rect.y),
            width,
            height,
            pixels: wait(fields.take(pixels))?.to_vec(),
            mask: wait(fields.take(mask))?.to_vec(),
        }))
    }

    fn desktop_size(&self, rect: Rect) -> Parsed<Rectangle> {
        self.allowed(rect)?;
        ControlFlow::Continue(Rectangle::DesktopSize {
            width: rect.w,
            height: rect.h,
        })
    }

    /// The rectangle's corner is reason and status. After a refusal the other fields mean nothing.
    fn desktop_layout(&self, fields: &mut Fields<'_>, rect: Rect) -> Parsed<Rectangle> {
        let count = usize::from(wait(fields.u8())?);
        wait(fields.skip(3))?;
        let mut list = Fields::new(wait(fields.take(count * 16))?);
        let screens = std::iter::from_fn(|| list.layout()).collect();
        let refused = rect.y != 0;
        if !refused {
            self.allowed(rect)?;
        }
        ControlFlow::Continue(Rectangle::ExtendedDesktopSize {
            reason: rect.x,
            status: rect.y,
            width: if refused { self.width } else { rect.w },
            height: if refused { self.height } else { rect.h },
            screens,
        })
    }

    fn allowed(&self, rect: Rect) -> Parsed<()> {
        checked(self.limits.check_size(rect.w, rect.h))
    }

    /// The size that the following rectangles must keep to.
    fn follow(&mut self, rectangle: Option<&Rectangle>) {
        if let Some(
            Rectangle::DesktopSize { width, height }
            | Rectangle::ExtendedDesktopSize { width, height, .. },
        ) = rectangle
        {
            (self.width, self.height) = (*width, *height);
        }
    }
}

/// Why there is no message: bytes are missing (`None`), or the server broke the protocol.
type Stop = Option<ProtocolError>;
type Parsed<T> = ControlFlow<Stop, T>;

fn wait<T>(read: Option<T>) -> Parsed<T> {
    read.map_or(ControlFlow::Break(None), ControlFlow::Continue)
}

fn broken<T>(message: MessageKind, fault: Fault) -> Parsed<T> {
    ControlFlow::Break(Some(ProtocolError::server(message, fault)))
}

/// A fault inside an update.
fn fault<T>(fault: Fault) -> Parsed<T> {
    broken(MessageKind::Update, fault)
}

fn checked(result: Result<(), Fault>) -> Parsed<()> {
    result.map_or_else(fault, ControlFlow::Continue)
}

fn cut_text(fields: &mut Fields<'_>, limits: &Limits) -> Parsed<(Option<ServerMessage>, Place)> {
    wait(fields.skip(3))?;
    let length = wait(fields.u32())?;
    if length >= 1 << 31 {
        let extension = Fault::NotNegotiated("the extended clipboard");
        return broken(MessageKind::CutText, extension);
    }
    if length as usize > limits.max_cut_text {
        let left = length;
        return ControlFlow::Continue((None, Place::Skipping { left, length }));
    }
    let text = wait(fields.take(length as usize))?.to_vec();
    ControlFlow::Continue((Some(ServerMessage::CutText(text)), Place::Message))
}

fn fence(fields: &mut Fields<'_>, limits: &Limits) -> Parsed<ServerMessage> {
    wait(fields.skip(3))?;
    let flags = wait(fields.u32())?;
    let length = usize::from(wait(fields.u8())?);
    if let Err(fault) = Fault::check("payload", length, limits.max_fence) {
        return broken(MessageKind::Fence, fault);
    }
    let payload = wait(fields.take(length))?.to_vec();
    ControlFlow::Continue(ServerMessage::Fence { flags, payload })
}
