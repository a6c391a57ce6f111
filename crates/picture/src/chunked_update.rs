//! An update that goes in parts, each a block: what has been made of it is on its way while the rest is being made.

use etatuki_rfb::Rect;
use std::collections::VecDeque;

/// With so many bytes of JPEG a block goes off, and the update goes on in the next: they travel, and are decoded, while
/// more is made.
pub(crate) const JPEG_CHUNK_BYTES: usize = 16 << 10;
/// The same for pixels as they are. Only of continuous updates, which hold no more than a line takes in a moment: the
/// screen stays as it is for an update in parts, and a tool isn't read meanwhile.
pub(crate) const RAW_CHUNK_BYTES: usize = 512 << 10;
/// More bytes of pixels than this go behind the film, since compressing them takes a while, and in parts.
pub(crate) const MAX_RAW_BEFORE_JPEG: usize = 64 << 10;

/// An update that has begun, and what it still lacks.
#[derive(Debug, Default)]
pub(crate) struct PartialUpdate {
    pub(crate) jpeg_rects: VecDeque<Rect>,
    /// Pixels as they are, behind the films.
    pub(crate) raw_rects: VecDeque<Rect>,
    /// It began without a number of rectangles, and LastRect is to end it.
    pub(crate) open: bool,
    /// There wasn't room for everything.
    pub(crate) window_limited: bool,
    /// It shows all of the screen.
    pub(crate) covers_framebuffer: bool,
    /// Updates follow each other, and a fence is to tell when the client has got it.
    pub(crate) fenced: bool,
    /// Its bytes so far, and those of JPEG files among them.
    pub(crate) bytes: usize,
    pub(crate) jpeg_bytes: usize,
}

/// Cut so that none holds more than a part, if it has more than one row.
pub(crate) fn split_for_chunks(rects: Vec<Rect>) -> Vec<Rect> {
    let split = |rect: Rect| {
        let rows = RAW_CHUNK_BYTES / (usize::from(rect.w) * 4).max(1);
        let h = rows.clamp(1, usize::from(u16::MAX)) as u16;
        let tops = (0..rect.h).step_by(usize::from(h));
        tops.map(move |top| Rect {
            y: rect.y + top,
            h: h.min(rect.h - top),
            ..rect
        })
    };
    rects.into_iter().flat_map(split).collect()
}
