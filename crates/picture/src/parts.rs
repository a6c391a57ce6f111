//! An update that goes in parts, each a block: what has been made of it is on its way while the rest is being made.

use etatuki_rfb::Rect;
use std::collections::VecDeque;

/// With so many bytes of JPEG a block goes off, and the update goes on in the next: they travel, and are decoded, while
/// more is made.
pub(crate) const PART: usize = 16 << 10;
/// The same for pixels as they are. Only of continuous updates, which hold no more than a line takes in a moment: the
/// screen stays as it is for an update in parts, and a tool isn't read meanwhile.
pub(crate) const PIXELS_PART: usize = 512 << 10;
/// More bytes of pixels than this go behind the film, since compressing them takes a while, and in parts.
pub(crate) const MANY_PIXELS: usize = 64 << 10;

/// An update that has begun, and what it still lacks.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    pub(crate) films: VecDeque<Rect>,
    /// Pixels as they are, behind the films.
    pub(crate) rects: VecDeque<Rect>,
    /// It began without a number of rectangles, and LastRect is to end it.
    pub(crate) open: bool,
    /// There wasn't room for everything.
    pub(crate) cut: bool,
    /// It shows all of the screen.
    pub(crate) whole: bool,
    /// Updates follow each other, and a fence is to tell when the client has got it.
    pub(crate) paced: bool,
    /// Its bytes so far, and those of JPEG files among them.
    pub(crate) bytes: usize,
    pub(crate) packed: usize,
}

/// Cut so that none holds more than a part, if it has more than one row.
pub(crate) fn in_parts(rects: Vec<Rect>) -> Vec<Rect> {
    let cut = |rect: Rect| {
        let rows = PIXELS_PART / (usize::from(rect.w) * 4).max(1);
        let h = rows.clamp(1, usize::from(u16::MAX)) as u16;
        let tops = (0..rect.h).step_by(usize::from(h));
        tops.map(move |top| Rect {
            y: rect.y + top,
            h: h.min(rect.h - top),
            ..rect
        })
    };
    rects.into_iter().flat_map(cut).collect()
}

/// Of their pixels.
pub(crate) fn bytes(rects: &[Rect]) -> usize {
    rects.iter().map(|rect| rect.area() * 4).sum()
}
