//! Pixels of the screen, by shared memory where the server has it for us, else through the connection.

use std::collections::HashMap;

use x11rb::errors::ReplyError;
use x11rb::protocol::ErrorKind;
use x11rb::protocol::shm::ConnectionExt as _;
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat, ImageOrder, Visualtype};

use super::connection::Connection;
use super::segment::Segment;
use crate::error::ScreenError;
use crate::geometry::{Rect, Size};
use crate::pixels::PixelLayout;

const ALL_PLANES: u32 = u32::MAX;
/// What stands for what isn't shown, in each channel.
const GREY: u8 = 0x80;

/// Reads pixels of the root window.
#[derive(Debug)]
pub(super) struct Grabber {
    root: u32,
    layout: PixelLayout,
    row_align: usize,
    shared: bool,
    segment: Option<Segment>,
    last: Vec<Placed>,
}

impl Grabber {
    /// Finds out how the screen keeps its pixels.
    pub(super) fn new(connection: &Connection) -> Result<Self, ScreenError> {
        let (layout, row_align) = layout_of(connection)?;
        let root = connection.screen().root;
        let shared = connection.has("MIT-SHM")?;
        Ok(Self {
            root,
            layout,
            row_align,
            shared,
            segment: None,
            last: Vec::new(),
        })
    }

    /// Makes room for a whole screen, where there isn't: not before the next pixels are read, since what was grabbed
    /// last is to stay as it is until then.
    fn make_room(&mut self, connection: &Connection, size: Size) {
        let wanted = self.bytes_of(&size.rect());
        if let Some(old) = self.segment.take_if(|s| s.len() < wanted) {
            old.detach(&connection.server);
        }
        if self.shared && self.segment.is_none() {
            self.segment = Segment::create(&connection.server, wanted);
            self.shared = self.segment.is_some();
        }
    }

    /// Whether pixels come through shared memory.
    pub(super) fn is_shared(&self) -> bool {
        self.shared
    }

    /// The pixels of `rects` of a screen of `size`, all asked for at once; false when one of them is no longer on the screen,
    /// which has become smaller meanwhile.
    pub(super) fn grab(
        &mut self,
        connection: &Connection,
        size: Size,
        rects: &[Rect],
    ) -> Result<bool, ScreenError> {
        self.make_room(connection, size);
        let root = |rect: Rect| Wanted {
            drawable: self.root,
            x: rect.x as i16,
            y: rect.y as i16,
            rect,
        };
        let wanted: Vec<_> = self.fitting(rects).into_iter().map(root).collect();
        match self.read(connection, &wanted) {
            Ok(()) => Ok(true),
            Err(ReplyError::X11Error(e)) if e.error_kind == ErrorKind::Match => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The pixels of parts of windows, and grey for `hidden`; false when one of them is no longer what it was.
    pub(super) fn grab_windows(
        &mut self,
        connection: &Connection,
        size: Size,
        wanted: &[Wanted],
        hidden: &[Rect],
    ) -> Result<bool, ScreenError> {
        self.make_room(connection, size);
        match self.read(connection, wanted) {
            Ok(()) => {}
            Err(ReplyError::X11Error(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        self.last.extend(hidden.iter().map(grey));
        Ok(true)
    }

    /// Grey for all of these.
    pub(super) fn hide(&mut self, hidden: &[Rect]) {
        self.last = hidden.iter().map(grey).collect();
    }

    /// The visuals whose pixels are laid out as the root window's, and what grey is in each. Bits that are
    /// no colour are set: with some they say how opaque it is.
    pub(super) fn visuals(&self, connection: &Connection) -> HashMap<u32, u32> {
        let mut found = HashMap::new();
        for depth in &connection.screen().allowed_depths {
            for visual in &depth.visuals {
                if layout(connection, depth.depth, visual) == Some(self.layout) {
                    let masks = [visual.red_mask, visual.green_mask, visual.blue_mask];
                    let colours = masks.iter().fold(0, |all, mask| all | mask);
                    let half = |mask: &u32| *mask & !(*mask >> 1);
                    let grey = masks.iter().map(half).fold(!colours, |all, bit| all | bit);
                    found.insert(visual.visual_id, grey);
                }
            }
        }
        found
    }

    fn read(&mut self, connection: &Connection, wanted: &[Wanted]) -> Result<(), ReplyError> {
        // The memory is written anew, also when that fails.
        self.last.clear();
        let needed: usize = wanted.iter().map(|w| self.bytes_of(&w.rect)).sum();
        self.last = match &self.segment {
            Some(segment) if needed <= segment.len() => {
                self.through_memory(connection, segment, wanted)?
            }
            _ => self.through_connection(connection, wanted)?,
        };
        Ok(())
    }

    /// What was grabbed last; nothing after a failure.
    pub(super) fn frame(&self) -> Frame<'_> {
        Frame {
            pieces: &self.last,
            grabber: self,
        }
    }

    fn through_memory(
        &self,
        connection: &Connection,
        segment: &Segment,
        wanted: &[Wanted],
    ) -> Result<Vec<Placed>, ReplyError> {
        let mut pieces = Vec::with_capacity(wanted.len());
        let mut replies = Vec::with_capacity(wanted.len());
        let mut offset = 0;
        for Wanted {
            drawable,
            x,
            y,
            rect,
        } in wanted.iter().copied()
        {
            let format = ImageFormat::Z_PIXMAP.into();
            let at = offset as u32;
            replies.push(connection.server.shm_get_image(
                drawable,
                x,
                y,
                rect.w,
                rect.h,
                ALL_PLANES,
                format,
                segment.id(),
                at,
            )?);
            pieces.push(Placed {
                rect,
                bytes: Bytes::Shared(offset),
            });
            offset += self.bytes_of(&rect);
        }
        all(replies.into_iter().map(|reply| reply.reply()))?;
        Ok(pieces)
    }

    fn through_connection(
        &self,
        connection: &Connection,
        wanted: &[Wanted],
    ) -> Result<Vec<Placed>, ReplyError> {
        let mut replies = Vec::with_capacity(wanted.len());
        for w in wanted {
            let reply = connection.server.get_image(
                ImageFormat::Z_PIXMAP,
                w.drawable,
                w.x,
                w.y,
                w.rect.w,
                w.rect.h,
                ALL_PLANES,
            )?;
            replies.push((w.rect, reply));
        }
        let placed = replies.into_iter().map(|(rect, reply)| {
            Ok(Placed {
                rect,
                bytes: Bytes::Copied(reply.reply()?.data),
            })
        });
        all(placed)
    }

    /// The rectangles themselves, or one around all when overlaps make them more than the memory holds.
    fn fitting(&self, rects: &[Rect]) -> Vec<Rect> {
        let needed = rects.iter().map(|r| self.bytes_of(r)).sum::<usize>();
        match &self.segment {
            Some(segment) if needed > segment.len() => {
                vec![rects.iter().fold(Rect::default(), |all, r| all.around(r))]
            }
            _ => rects.to_vec(),
        }
    }

    /// Bytes from one row of a picture to the next.
    fn stride(&self, rect: &Rect) -> usize {
        (usize::from(rect.w) * self.layout.bytes()).next_multiple_of(self.row_align)
    }

    fn bytes_of(&self, rect: &Rect) -> usize {
        self.stride(rect) * usize::from(rect.h)
    }
}

/// The root window's pixel layout, and what its rows are padded to, in bytes.
fn layout_of(connection: &Connection) -> Result<(PixelLayout, usize), ScreenError> {
    let (setup, screen) = (connection.setup(), connection.screen());
    let unsupported = || {
        ScreenError::Unsupported(format!(
            "its pixels are of depth {}, not true colour in 16 or 32 bits",
            screen.root_depth
        ))
    };
    let format = setup
        .pixmap_formats
        .iter()
        .find(|f| f.depth == screen.root_depth)
        .ok_or_else(unsupported)?;
    let visuals = screen.allowed_depths.iter().flat_map(|d| &d.visuals);
    let visual = visuals
        .into_iter()
        .find(|v| v.visual_id == screen.root_visual)
        .ok_or_else(unsupported)?;
    let layout = layout(connection, screen.root_depth, visual).ok_or_else(unsupported)?;
    Ok((layout, usize::from(format.scanline_pad / 8).max(1)))
}

/// How a visual of that depth keeps its pixels.
fn layout(connection: &Connection, depth: u8, visual: &Visualtype) -> Option<PixelLayout> {
    let setup = connection.setup();
    let format = setup.pixmap_formats.iter().find(|f| f.depth == depth)?;
    PixelLayout::from_masks(
        format.bits_per_pixel,
        setup.image_byte_order == ImageOrder::MSB_FIRST,
        visual.red_mask,
        visual.green_mask,
        visual.blue_mask,
    )
}

/// All replies, also those after one that fails: the server writes into memory until the last is there.
fn all<T>(replies: impl Iterator<Item = Result<T, ReplyError>>) -> Result<Vec<T>, ReplyError> {
    let all: Vec<_> = replies.collect();
    all.into_iter().collect()
}

/// Pixels that are read: a part of a drawable, and where on the screen that is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) drawable: u32,
    pub(super) x: i16,
    pub(super) y: i16,
    pub(super) rect: Rect,
}

fn grey(rect: &Rect) -> Placed {
    Placed {
        rect: *rect,
        bytes: Bytes::Hidden,
    }
}

/// Pixels of some rectangles of the screen, as they were at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pieces: &'a [Placed],
    grabber: &'a Grabber,
}

#[derive(Debug)]
struct Placed {
    rect: Rect,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    /// Where in the shared memory it begins.
    Shared(usize),
    Copied(Vec<u8>),
    /// Not read at all: it isn't shown.
    Hidden,
}

impl<'a> Frame<'a> {
    /// How many pieces it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether nothing was grabbed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The pieces; where two overlap, the later one is the newer.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = Piece<'a>> {
        let frame = *self;
        self.pieces.iter().map(move |placed| frame.piece(placed))
    }

    /// One of them, by its place in that order.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<Piece<'a>> {
        self.pieces.get(at).map(|placed| self.piece(placed))
    }

    fn piece(&self, placed: &'a Placed) -> Piece<'a> {
        let stride = self.grabber.stride(&placed.rect);
        let len = stride * usize::from(placed.rect.h);
        let bytes = match (&placed.bytes, &self.grabber.segment) {
            (Bytes::Shared(offset), Some(segment)) => &segment.bytes()[*offset..offset + len],
            (Bytes::Shared(_), None) | (Bytes::Hidden, _) => &[],
            (Bytes::Copied(data), _) => &data[..len.min(data.len())],
        };
        Piece {
            rect: placed.rect,
            bytes,
            hidden: matches!(placed.bytes, Bytes::Hidden),
            stride,
            layout: self.grabber.layout,
        }
    }
}

/// One rectangle with its pixels.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Where on the screen.
    pub rect: Rect,
    bytes: &'a [u8],
    hidden: bool,
    stride: usize,
    layout: PixelLayout,
}

impl Piece<'_> {
    /// What of it lies inside `rect`; empty when nothing does.
    #[must_use]
    pub fn inside(&self, rect: Rect) -> Self {
        let rect = self.rect.intersection(&rect);
        if rect.is_empty() {
            return Self {
                rect,
                bytes: &[],
                ..*self
            };
        }
        let (down, right) = (rect.y - self.rect.y, rect.x - self.rect.x);
        let first = usize::from(down) * self.stride + usize::from(right) * self.layout.bytes();
        let length =
            usize::from(rect.h - 1) * self.stride + usize::from(rect.w) * self.layout.bytes();
        Self {
            rect,
            bytes: self.bytes.get(first..first + length).unwrap_or_default(),
            ..*self
        }
    }

    /// The same in pieces from top to bottom: all rows up to the next multiple of `height` on the screen.
    pub fn bands(&self, height: u16) -> impl Iterator<Item = Self> {
        let (piece, height) = (*self, height.max(1));
        let end = piece.rect.y + piece.rect.h;
        let mut top = piece.rect.y;
        std::iter::from_fn(move || {
            let h = (height - top % height).min(end - top);
            let first = usize::from(top - piece.rect.y) * piece.stride;
            let rows = first..first + usize::from(h) * piece.stride;
            let band = Self {
                rect: Rect {
                    y: top,
                    h,
                    ..piece.rect
                },
                bytes: piece.bytes.get(rows).unwrap_or_default(),
                ..piece
            };
            top += h;
            (h > 0).then_some(band)
        })
    }

    /// Appends its pixels as BGRX, row by row without padding: `rect.area() * 4` bytes, each fourth one zero.
    pub fn append_bgrx(&self, out: &mut Vec<u8>) {
        if self.hidden {
            let pixels = std::iter::repeat_n([GREY, GREY, GREY, 0], self.rect.area() as usize);
            return pixels.for_each(|pixel| out.extend_from_slice(&pixel));
        }
        let row = usize::from(self.rect.w) * self.layout.bytes();
        if row == self.stride {
            return self.layout.append_bgrx(self.bytes, out);
        }
        for line in self.bytes.chunks(self.stride.max(1)) {
            self.layout.append_bgrx(&line[..row.min(line.len())], out);
        }
    }
}
