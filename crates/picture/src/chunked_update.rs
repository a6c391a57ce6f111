//! An update that goes in several chunks: the first travel while the rest is being made.

use etatuki_rfb::Rect;
use std::collections::VecDeque;

/// JPEG bytes after which a chunk ends and its update continues in the next one: 16 KiB. They
/// travel, and are decoded, while more is encoded.
pub(crate) const JPEG_CHUNK_BYTES: usize = 16 << 10;
/// Raw bytes after which a chunk ends: 512 KiB. It counts for continuous updates alone, which hold
/// no more than the link takes at once: the framebuffer doesn't change during an update in chunks,
/// and the source isn't read meanwhile.
pub(crate) const RAW_CHUNK_BYTES: usize = 512 << 10;
/// Raw bytes above which they go behind the JPEGs, and in chunks: compressing 64 KiB takes a while.
pub(crate) const MAX_RAW_BEFORE_JPEG: usize = 64 << 10;

/// An update that has begun, and what it still lacks.
#[derive(Debug, Default)]
pub(crate) struct PartialUpdate {
    pub(crate) jpeg_rects: VecDeque<Rect>,
    /// Rectangles that follow the JPEGs as Raw.
    pub(crate) raw_rects: VecDeque<Rect>,
    pub(crate) framing: Framing,
    /// Something that changed is left out, for want of budget.
    pub(crate) window_limited: bool,
    pub(crate) covers_framebuffer: bool,
    /// It is a continuous update: a fence behind it measures when the client has it.
    pub(crate) fenced: bool,
    /// Bytes of the chunks so far.
    pub(crate) bytes: usize,
    /// Bytes of JPEG files among them.
    pub(crate) jpeg_bytes: usize,
}

/// The way in which a client learns where an update ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By the number of rectangles at its beginning.
    #[default]
    RectCount,
    /// By a LastRect pseudo-rectangle: the number wasn't known at its beginning.
    LastRect,
}

/// Splits rectangles into bands of at most [`RAW_CHUNK_BYTES`], but of one row at least.
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
