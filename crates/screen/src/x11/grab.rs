//! Pixels of the screen, by shared memory where the server has it for us, else through the connection.

use x11rb::errors::ReplyError;
use x11rb::protocol::ErrorKind;
use x11rb::protocol::shm::ConnectionExt as _;
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat, ImageOrder};

use super::connection::Connection;
use super::segment::Segment;
use crate::error::ScreenError;
use crate::geometry::{Rect, Size};
use crate::pixels::PixelLayout;

const ALL_PLANES: u32 = u32::MAX;

/// Reads pixels of the root window.
#[derive(Debug)]
pub(super) struct Grabber {
    root: u32,
    layout: PixelLayout,
    row_align: usize,
    shared: bool,
    segment: Option<Segment>,
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
        })
    }

    /// Makes room for a whole screen of `size`.
    pub(super) fn resize(&mut self, connection: &Connection, size: Size) {
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

    /// The pixels of `rects`, all asked for at once; `None` when one of them is no longer on the screen,
    /// which has become smaller meanwhile.
    pub(super) fn grab(
        &mut self,
        connection: &Connection,
        rects: &[Rect],
    ) -> Result<Option<Pieces>, ScreenError> {
        let grabbed = match &self.segment {
            Some(segment) => self.through_memory(connection, segment, rects),
            None => self.through_connection(connection, rects),
        };
        match grabbed {
            Ok(pieces) => Ok(Some(Pieces(pieces))),
            Err(ReplyError::X11Error(e)) if e.error_kind == ErrorKind::Match => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What the last [`grab`](Self::grab) gave, with its pixels.
    pub(super) fn frame(&self, pieces: Pieces) -> Frame<'_> {
        Frame {
            pieces: pieces.0,
            grabber: self,
        }
    }

    fn through_memory(
        &self,
        connection: &Connection,
        segment: &Segment,
        rects: &[Rect],
    ) -> Result<Vec<Placed>, ReplyError> {
        let mut pieces = Vec::with_capacity(rects.len());
        let mut replies = Vec::with_capacity(rects.len());
        let mut offset = 0;
        for rect in self.fitting(rects, segment.len()) {
            let (x, y) = (rect.x as i16, rect.y as i16);
            let format = ImageFormat::Z_PIXMAP.into();
            let at = offset as u32;
            replies.push(connection.server.shm_get_image(
                self.root,
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
        for reply in replies {
            reply.reply()?;
        }
        Ok(pieces)
    }

    fn through_connection(
        &self,
        connection: &Connection,
        rects: &[Rect],
    ) -> Result<Vec<Placed>, ReplyError> {
        let mut replies = Vec::with_capacity(rects.len());
        for rect in rects {
            let (x, y) = (rect.x as i16, rect.y as i16);
            let reply = connection.server.get_image(
                ImageFormat::Z_PIXMAP,
                self.root,
                x,
                y,
                rect.w,
                rect.h,
                ALL_PLANES,
            )?;
            replies.push((*rect, reply));
        }
        let placed = |(rect, reply): (
            Rect,
            x11rb::cookie::Cookie<'_, _, x11rb::protocol::xproto::GetImageReply>,
        )| {
            Ok(Placed {
                rect,
                bytes: Bytes::Copied(reply.reply()?.data),
            })
        };
        replies.into_iter().map(placed).collect()
    }

    /// The rectangles themselves, or one around all when overlaps make them more than the memory holds.
    fn fitting(&self, rects: &[Rect], room: usize) -> Vec<Rect> {
        if rects.iter().map(|r| self.bytes_of(r)).sum::<usize>() <= room {
            return rects.to_vec();
        }
        vec![rects.iter().fold(Rect::default(), |all, r| all.around(r))]
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
    let big_endian = setup.image_byte_order == ImageOrder::MSB_FIRST;
    let layout = PixelLayout::from_masks(
        format.bits_per_pixel,
        big_endian,
        visual.red_mask,
        visual.green_mask,
        visual.blue_mask,
    );
    Ok((
        layout.ok_or_else(unsupported)?,
        usize::from(format.scanline_pad / 8).max(1),
    ))
}

/// Where the pixels that were grabbed last can be found.
#[derive(Debug)]
pub(super) struct Pieces(Vec<Placed>);

/// Pixels of some rectangles of the screen, as they were at one moment.
#[derive(Debug)]
pub struct Frame<'a> {
    pieces: Vec<Placed>,
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
}

impl Frame<'_> {
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
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = Piece<'_>> {
        self.pieces.iter().map(|placed| self.piece(placed))
    }

    fn piece<'a>(&'a self, placed: &'a Placed) -> Piece<'a> {
        let stride = self.grabber.stride(&placed.rect);
        let len = stride * usize::from(placed.rect.h);
        let bytes = match (&placed.bytes, &self.grabber.segment) {
            (Bytes::Shared(offset), Some(segment)) => &segment.bytes()[*offset..offset + len],
            (Bytes::Shared(_), None) => &[],
            (Bytes::Copied(data), _) => &data[..len.min(data.len())],
        };
        Piece {
            rect: placed.rect,
            bytes,
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
    stride: usize,
    layout: PixelLayout,
}

impl Piece<'_> {
    /// Appends its pixels as BGRX, row by row without padding: `rect.area() * 4` bytes, each fourth one zero.
    pub fn append_bgrx(&self, out: &mut Vec<u8>) {
        let row = usize::from(self.rect.w) * self.layout.bytes();
        if row == self.stride {
            return self.layout.append_bgrx(self.bytes, out);
        }
        for line in self.bytes.chunks(self.stride.max(1)) {
            self.layout.append_bgrx(&line[..row.min(line.len())], out);
        }
    }
}
