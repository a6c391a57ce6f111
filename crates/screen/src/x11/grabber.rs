//! Reads pixels: through shared memory where the server has it for us, else through the connection.

use std::collections::HashMap;

use x11rb::errors::ReplyError;
use x11rb::protocol::ErrorKind;
use x11rb::protocol::shm::ConnectionExt as _;
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat, ImageOrder, Visualtype};

use super::connection::Connection;
use super::frame::Frame;
use super::shm_segment::ShmSegment;
use crate::error::ScreenError;
use crate::geometry::{Rect, Size};
use crate::pixel_layout::PixelLayout;

const ALL_PLANES: u32 = u32::MAX;

/// Reads pixels of the root window or of single windows, and keeps them until the next read.
#[derive(Debug)]
pub(super) struct Grabber {
    root: u32,
    layout: PixelLayout,
    /// Bytes to whose multiple rows are padded.
    row_align: usize,
    uses_shm: bool,
    segment: Option<ShmSegment>,
    stored: Vec<StoredRect>,
}

/// A request for pixels: a rectangle of a drawable, and its position on the screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadRequest {
    pub(super) drawable: u32,
    /// The left edge, in the drawable.
    pub(super) x: i16,
    /// The top edge, in the drawable.
    pub(super) y: i16,
    pub(super) rect: Rect,
}

/// A rectangle of the screen that was read.
#[derive(Debug)]
pub(super) struct StoredRect {
    pub(super) rect: Rect,
    pub(super) storage: Storage,
}

/// The place of a rectangle's pixels.
#[derive(Debug)]
pub(super) enum Storage {
    /// In the shared segment, from this offset on.
    Shared(usize),
    /// In this buffer.
    Copied(Vec<u8>),
    /// Nowhere: they weren't read, and show as grey.
    Hidden,
}

impl Grabber {
    /// Creates a grabber for the root window's pixel layout.
    ///
    /// # Errors
    /// [`ScreenError::Unsupported`] for a layout that can't be converted.
    pub(super) fn new(connection: &Connection) -> Result<Self, ScreenError> {
        let (layout, row_align) = root_layout(connection)?;
        let root = connection.screen().root;
        let uses_shm = connection.has_extension("MIT-SHM")?;
        Ok(Self {
            root,
            layout,
            row_align,
            uses_shm,
            segment: None,
            stored: Vec::new(),
        })
    }

    /// Creates a segment that holds the whole screen, unless there is one. Runs only before a read:
    /// the pixels read last stay valid until then.
    fn ensure_segment(&mut self, connection: &Connection, size: Size) {
        let wanted = self.byte_len(&size.rect());
        if let Some(old) = self.segment.take_if(|s| s.len() < wanted) {
            old.detach(&connection.server);
        }
        if self.uses_shm && self.segment.is_none() {
            self.segment = ShmSegment::create(&connection.server, wanted);
            self.uses_shm = self.segment.is_some();
        }
    }

    /// Returns whether pixels come through shared memory.
    pub(super) fn uses_shared_memory(&self) -> bool {
        self.uses_shm
    }

    /// Reads the pixels of `rects` of a screen of `size`, all in one round trip. Returns false when
    /// one of them is off the screen, which has become smaller meanwhile.
    pub(super) fn grab(
        &mut self,
        connection: &Connection,
        size: Size,
        rects: &[Rect],
    ) -> Result<bool, ScreenError> {
        self.ensure_segment(connection, size);
        let from_root = |rect: Rect| ReadRequest {
            drawable: self.root,
            x: rect.x as i16,
            y: rect.y as i16,
            rect,
        };
        let fitting = self.fit_to_segment(rects);
        let requests: Vec<_> = fitting.into_iter().map(from_root).collect();
        match self.read(connection, &requests) {
            Ok(()) => Ok(true),
            Err(ReplyError::X11Error(e)) if e.error_kind == ErrorKind::Match => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads parts of windows, and stores grey for `hidden`. Returns false when a window has
    /// changed meanwhile, so that a part can't be read.
    pub(super) fn grab_windows(
        &mut self,
        connection: &Connection,
        size: Size,
        requests: &[ReadRequest],
        hidden: &[Rect],
    ) -> Result<bool, ScreenError> {
        self.ensure_segment(connection, size);
        match self.read(connection, requests) {
            Ok(()) => {}
            Err(ReplyError::X11Error(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        self.stored.extend(hidden.iter().map(hidden_rect));
        Ok(true)
    }

    /// Replaces the stored pixels by grey for `hidden`.
    pub(super) fn store_hidden(&mut self, hidden: &[Rect]) {
        self.stored = hidden.iter().map(hidden_rect).collect();
    }

    /// Returns the visuals with the root window's pixel layout, and the pixel value of grey in
    /// each. Bits outside of the colour masks are set in it: in some visuals they are the opacity.
    pub(super) fn readable_visuals(&self, connection: &Connection) -> HashMap<u32, u32> {
        let mut readable = HashMap::new();
        for depth in &connection.screen().allowed_depths {
            for visual in &depth.visuals {
                if visual_layout(connection, depth.depth, visual) == Some(self.layout) {
                    let masks = [visual.red_mask, visual.green_mask, visual.blue_mask];
                    let colours = masks.iter().fold(0, |all, mask| all | mask);
                    let half = |mask: &u32| *mask & !(*mask >> 1);
                    let grey = masks.iter().map(half).fold(!colours, |all, bit| all | bit);
                    readable.insert(visual.visual_id, grey);
                }
            }
        }
        readable
    }

    fn read(
        &mut self,
        connection: &Connection,
        requests: &[ReadRequest],
    ) -> Result<(), ReplyError> {
        // The segment is overwritten, even if the read fails.
        self.stored.clear();
        let needed: usize = requests.iter().map(|r| self.byte_len(&r.rect)).sum();
        self.stored = match &self.segment {
            Some(segment) if needed <= segment.len() => {
                self.read_via_shm(connection, segment, requests)?
            }
            _ => self.read_via_connection(connection, requests)?,
        };
        Ok(())
    }

    /// Returns the pixels read last; empty after a failure.
    pub(super) fn frame(&self) -> Frame<'_> {
        Frame::new(&self.stored, self)
    }

    fn read_via_shm(
        &self,
        connection: &Connection,
        segment: &ShmSegment,
        requests: &[ReadRequest],
    ) -> Result<Vec<StoredRect>, ReplyError> {
        let mut stored = Vec::with_capacity(requests.len());
        let mut replies = Vec::with_capacity(requests.len());
        let mut offset = 0;
        for ReadRequest {
            drawable,
            x,
            y,
            rect,
        } in requests.iter().copied()
        {
            let format = ImageFormat::Z_PIXMAP.into();
            replies.push(connection.server.shm_get_image(
                drawable,
                x,
                y,
                rect.w,
                rect.h,
                ALL_PLANES,
                format,
                segment.id(),
                offset as u32,
            )?);
            stored.push(StoredRect {
                rect,
                storage: Storage::Shared(offset),
            });
            offset += self.byte_len(&rect);
        }
        collect_replies(replies.into_iter().map(|reply| reply.reply()))?;
        Ok(stored)
    }

    fn read_via_connection(
        &self,
        connection: &Connection,
        requests: &[ReadRequest],
    ) -> Result<Vec<StoredRect>, ReplyError> {
        let mut replies = Vec::with_capacity(requests.len());
        for r in requests {
            let reply = connection.server.get_image(
                ImageFormat::Z_PIXMAP,
                r.drawable,
                r.x,
                r.y,
                r.rect.w,
                r.rect.h,
                ALL_PLANES,
            )?;
            replies.push((r.rect, reply));
        }
        let stored = replies.into_iter().map(|(rect, reply)| {
            Ok(StoredRect {
                rect,
                storage: Storage::Copied(reply.reply()?.data),
            })
        });
        collect_replies(stored)
    }

    /// Returns `rects`, or their bounding box if overlaps make them more than the segment holds.
    fn fit_to_segment(&self, rects: &[Rect]) -> Vec<Rect> {
        let needed = rects.iter().map(|r| self.byte_len(r)).sum::<usize>();
        match &self.segment {
            Some(segment) if needed > segment.len() => {
                vec![rects.iter().fold(Rect::default(), |all, r| all.union(r))]
            }
            _ => rects.to_vec(),
        }
    }

    pub(super) fn segment(&self) -> Option<&ShmSegment> {
        self.segment.as_ref()
    }

    pub(super) fn layout(&self) -> PixelLayout {
        self.layout
    }

    /// Returns the bytes from one row of a rectangle to the next.
    pub(super) fn stride(&self, rect: &Rect) -> usize {
        (usize::from(rect.w) * self.layout.bytes()).next_multiple_of(self.row_align)
    }

    fn byte_len(&self, rect: &Rect) -> usize {
        self.stride(rect) * usize::from(rect.h)
    }
}

/// Returns the root window's pixel layout, and the alignment of its rows in bytes.
fn root_layout(connection: &Connection) -> Result<(PixelLayout, usize), ScreenError> {
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
    let layout = visual_layout(connection, screen.root_depth, visual).ok_or_else(unsupported)?;
    Ok((layout, usize::from(format.scanline_pad / 8).max(1)))
}

/// Returns the pixel layout of a visual of that depth.
fn visual_layout(connection: &Connection, depth: u8, visual: &Visualtype) -> Option<PixelLayout> {
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

/// Waits for all replies, also those after one that fails: the server writes into the segment until
/// the last reply.
fn collect_replies<T>(
    replies: impl Iterator<Item = Result<T, ReplyError>>,
) -> Result<Vec<T>, ReplyError> {
    let all: Vec<_> = replies.collect();
    all.into_iter().collect()
}

fn hidden_rect(rect: &Rect) -> StoredRect {
    StoredRect {
        rect: *rect,
        storage: Storage::Hidden,
    }
}
