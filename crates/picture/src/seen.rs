//! The picture that a client has: what found moves are made from, and checked against.

use crate::damage::{rows, spans};
use crate::screen::{Move, Screen};
use etatuki_rfb::Rect;

/// All of a client's picture, which has the screen's size. It is known only from a moment on at which
/// the client had everything.
#[derive(Debug)]
pub(crate) struct Seen {
    bounds: Rect,
    pixels: Vec<u8>,
}

impl Seen {
    /// The client shows exactly what the screen shows.
    pub(crate) fn all_of(screen: &Screen) -> Self {
        Self {
            bounds: screen.bounds(),
            pixels: screen.pixels().to_vec(),
        }
    }

    pub(crate) fn bounds(&self) -> Rect {
        self.bounds
    }

    /// So many bytes from a pixel on, inside its row.
    pub(crate) fn stretch(&self, x: usize, y: usize, length: usize) -> &[u8] {
        &self.pixels[(y * usize::from(self.bounds.w) + x) * 4..][..length]
    }

    /// The client was sent these pixels of the screen.
    pub(crate) fn take(&mut self, rect: Rect, screen: &Screen) {
        let (width, length) = (usize::from(self.bounds.w), usize::from(rect.w) * 4);
        for y in rows(rect) {
            let at = (y * width + usize::from(rect.x)) * 4;
            let row = at..at + length;
            self.pixels[row.clone()].copy_from_slice(&screen.pixels()[row]);
        }
    }

    /// The client makes a move. Both places must be inside.
    pub(crate) fn make(&mut self, Move { rect, from }: Move) {
        copy(&mut self.pixels, self.bounds.w, rect, from);
    }

    /// Marks as damaged, inside `rect` (not empty), exactly the stretches that the client sees otherwise.
    pub(crate) fn compare(&self, rect: Rect, screen: &mut Screen) {
        screen.damage().remove(rect);
        for y in rows(rect) {
            let row = y * usize::from(self.bounds.w) * 4;
            for (column, bits) in spans(rect) {
                let first = column * 16 + bits.trailing_zeros() as usize;
                let at = row + first * 4;
                let stretch = at..at + bits.count_ones() as usize * 4;
                if self.pixels[stretch.clone()] != screen.pixels()[stretch] {
                    screen.damage().mark(y, column, bits);
                }
            }
        }
    }
}

/// Moves pixels inside a picture of this width, in the order in which no row is overwritten before it
/// has been read.
pub(crate) fn copy(pixels: &mut [u8], width: u16, rect: Rect, from: (u16, u16)) {
    let length = usize::from(rect.w) * 4;
    let offset = |x: u16, y: usize| (y * usize::from(width) + usize::from(x)) * 4;
    for step in 0..usize::from(rect.h) {
        let row = if rect.y <= from.1 {
            step
        } else {
            usize::from(rect.h) - 1 - step
        };
        let source = offset(from.0, usize::from(from.1) + row);
        let target = offset(rect.x, usize::from(rect.y) + row);
        pixels.copy_within(source..source + length, target);
    }
}
