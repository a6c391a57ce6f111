//! The pixels that a [`Grabber`] read last.

use super::grabber::{Grabber, Storage, StoredRect};
use crate::geometry::Rect;
use crate::pixel_layout::PixelLayout;

/// The grey of pixels that aren't shown, in each channel.
const GREY_LEVEL: u8 = 0x80;

/// Pixels of some rectangles of the screen, as they were at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    rects: &'a [StoredRect],
    grabber: &'a Grabber,
}

impl<'a> Frame<'a> {
    pub(super) fn new(rects: &'a [StoredRect], grabber: &'a Grabber) -> Self {
        Self { rects, grabber }
    }

    /// Returns the number of rectangles.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rects.len()
    }

    /// Returns whether it has no rectangle.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rects.is_empty()
    }

    /// Returns the rectangles. Where two overlap, the later one is newer.
    pub fn rects(&self) -> impl ExactSizeIterator<Item = PixelRect<'a>> {
        let frame = *self;
        self.rects
            .iter()
            .map(move |stored| frame.pixel_rect(stored))
    }

    /// Returns the rectangle at `index` of [`rects`](Self::rects).
    #[must_use]
    pub fn get(&self, index: usize) -> Option<PixelRect<'a>> {
        self.rects.get(index).map(|stored| self.pixel_rect(stored))
    }

    fn pixel_rect(&self, stored: &'a StoredRect) -> PixelRect<'a> {
        let stride = self.grabber.stride(&stored.rect);
        let len = stride * usize::from(stored.rect.h);
        let bytes = match (&stored.storage, self.grabber.segment()) {
            (Storage::Shared(offset), Some(segment)) => &segment.bytes()[*offset..offset + len],
            (Storage::Shared(_), None) | (Storage::Hidden, _) => &[],
            (Storage::Copied(data), _) => &data[..len.min(data.len())],
        };
        PixelRect {
            rect: stored.rect,
            bytes,
            hidden: matches!(stored.storage, Storage::Hidden),
            stride,
            layout: self.grabber.layout(),
        }
    }
}

/// One rectangle with its pixels.
#[derive(Clone, Copy, Debug)]
pub struct PixelRect<'a> {
    /// The position on the screen.
    pub rect: Rect,
    bytes: &'a [u8],
    /// Whether the pixels weren't read: they are grey.
    hidden: bool,
    stride: usize,
    layout: PixelLayout,
}

impl PixelRect<'_> {
    /// Returns the part inside `rect`, empty when there is none.
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

    /// Splits it into bands from top to bottom, each up to the next multiple of `height` on the
    /// screen.
    pub fn bands(&self, height: u16) -> impl Iterator<Item = Self> {
        let (whole, height) = (*self, height.max(1));
        let end = whole.rect.y + whole.rect.h;
        let mut top = whole.rect.y;
        std::iter::from_fn(move || {
            let h = (height - top % height).min(end - top);
            let first = usize::from(top - whole.rect.y) * whole.stride;
            let rows = first..first + usize::from(h) * whole.stride;
            let band = Self {
                rect: Rect {
                    y: top,
                    h,
                    ..whole.rect
                },
                bytes: whole.bytes.get(rows).unwrap_or_default(),
                ..whole
            };
            top += h;
            (h > 0).then_some(band)
        })
    }

    /// Appends the pixels as BGRX, rows without gaps: `rect.area() * 4` bytes, each fourth one
    /// zero.
    pub fn append_bgrx(&self, out: &mut Vec<u8>) {
        if self.hidden {
            let grey = [GREY_LEVEL, GREY_LEVEL, GREY_LEVEL, 0];
            let pixels = std::iter::repeat_n(grey, self.rect.area() as usize);
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
