//! Pixels of an update that are converted as the socket takes them.

use etatuki_rfb::encode::server;
use etatuki_rfb::{PixelFormat, Rect, convert_pixels};

/// Bytes of an update that are prepared at a time. The client reads them while the next are made,
/// and no second copy of the screen is needed.
pub(super) const CHUNK_BYTES: usize = 128 * 1024;

/// The Raw rectangles of an update that aren't in the send buffer yet. Their pixels stay in the
/// grabbed frame until then.
#[derive(Debug)]
pub(super) struct PendingPixels {
    format: PixelFormat,
    rects: std::vec::IntoIter<GrabbedRect>,
    /// The rest of the rectangle that has begun.
    current: GrabbedRect,
    /// Scratch space: pixels to be converted to the client's format.
    bgrx: Vec<u8>,
}

/// A part of the grabbed frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GrabbedRect {
    /// The index of the frame's rectangle.
    pub(super) index: usize,
    /// The position on the screen, inside of that rectangle.
    pub(super) rect: Rect,
}

impl Default for PendingPixels {
    /// Creates an empty queue.
    fn default() -> Self {
        Self::new(PixelFormat::BGRX, Vec::new())
    }
}

impl PendingPixels {
    /// Creates a queue of these rectangles, in this order.
    pub(super) fn new(format: PixelFormat, rects: Vec<GrabbedRect>) -> Self {
        Self {
            format,
            rects: rects.into_iter(),
            current: GrabbedRect::default(),
            bgrx: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.current.rect.is_empty() && self.rects.len() == 0
    }

    /// Appends rows until `out` has [`CHUNK_BYTES`]. `append_grabbed` appends a rectangle's pixels:
    /// BGRX, rows without gaps.
    pub(super) fn append(
        &mut self,
        append_grabbed: impl Fn(GrabbedRect, &mut Vec<u8>),
        out: &mut Vec<u8>,
    ) {
        while out.len() < CHUNK_BYTES {
            if self.current.rect.is_empty() {
                let Some(grabbed) = self.rects.next() else {
                    return;
                };
                server::raw_header(out, grabbed.rect);
                self.current = grabbed;
            }
            let GrabbedRect { index, rect } = self.current;
            let row = usize::from(rect.w) * 4;
            let room = (CHUNK_BYTES - out.len().min(CHUNK_BYTES)).div_ceil(row);
            let h = rect.h.min(u16::try_from(room).unwrap_or(u16::MAX));
            let rows = GrabbedRect {
                index,
                rect: Rect { h, ..rect },
            };
            self.current.rect.y += h;
            self.current.rect.h -= h;
            if self.format == PixelFormat::BGRX {
                append_grabbed(rows, out);
            } else {
                self.bgrx.clear();
                append_grabbed(rows, &mut self.bgrx);
                convert_pixels(&self.bgrx, &self.format, out);
            }
        }
    }
}
