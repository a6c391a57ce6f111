//! The client's copy of the framebuffer: what detected copies are made from, and checked against.

use crate::damage::{Damage, rows, word_spans};
use crate::framebuffer::{CopyRect, Framebuffer};
use crate::grid::copy_pixels;
use etatuki_rfb::Rect;

/// The pixels that a client has. They are known from a moment on at which it had everything.
#[derive(Debug)]
pub(crate) struct ClientFramebuffer {
    bounds: Rect,
    pixels: Vec<u8>,
    /// Pixels that aren't known; they are [`UNKNOWN`]. `None` before the first video.
    unknown: Option<Damage>,
}

/// Byte of an unknown pixel. No framebuffer's pixel is equal: its fourth byte is 0.
const UNKNOWN: u8 = 0xff;

impl ClientFramebuffer {
    /// Creates the picture of a client that shows exactly what the framebuffer shows.
    pub(crate) fn all_of(framebuffer: &Framebuffer) -> Self {
        Self {
            bounds: framebuffer.bounds(),
            pixels: framebuffer.pixels().to_vec(),
            unknown: None,
        }
    }

    pub(crate) fn bounds(&self) -> Rect {
        self.bounds
    }

    /// Returns `length` bytes of row `y` from column `x` on.
    pub(crate) fn row_part(&self, x: usize, y: usize, length: usize) -> &[u8] {
        &self.pixels[(y * usize::from(self.bounds.w) + x) * 4..][..length]
    }

    /// Copies pixels that the client was sent.
    pub(crate) fn update_from(&mut self, rect: Rect, framebuffer: &Framebuffer) {
        let (width, length) = (usize::from(self.bounds.w), usize::from(rect.w) * 4);
        for y in rows(rect) {
            let at = (y * width + usize::from(rect.x)) * 4;
            let row = at..at + length;
            self.pixels[row.clone()].copy_from_slice(&framebuffer.pixels()[row]);
        }
        if let Some(unknown) = &mut self.unknown {
            unknown.remove(rect);
        }
    }

    /// Makes the pixels of a rectangle (inside the bounds) unknown. Video isn't kept frame by
    /// frame, and no copy begins there.
    pub(crate) fn invalidate(&mut self, rect: Rect) {
        let Rect { w, h, .. } = self.bounds;
        let unknown = self.unknown.get_or_insert_with(|| Damage::new(w, h));
        if unknown.covers(rect) {
            return;
        }
        unknown.add(rect);
        for y in rows(rect) {
            let at = (y * usize::from(w) + usize::from(rect.x)) * 4;
            self.pixels[at..at + usize::from(rect.w) * 4].fill(UNKNOWN);
        }
    }

    /// Makes a copy that the client makes. Both places must be inside the bounds.
    pub(crate) fn apply_copy(&mut self, CopyRect { rect, from }: CopyRect) {
        copy_pixels(&mut self.pixels, self.bounds.w, rect, from);
        if let Some(unknown) = &mut self.unknown {
            unknown.apply_copy(rect, from);
        }
    }

    /// Damages exactly those pixels of `rect` (not empty) that differ from the client's, in parts
    /// of rows of up to 16 pixels.
    pub(crate) fn diff_into(&self, rect: Rect, framebuffer: &mut Framebuffer) {
        framebuffer.damage().remove(rect);
        for y in rows(rect) {
            let row = y * usize::from(self.bounds.w) * 4;
            for (column, bits) in word_spans(rect) {
                let first = column * 16 + bits.trailing_zeros() as usize;
                let at = row + first * 4;
                let stretch = at..at + bits.count_ones() as usize * 4;
                if self.pixels[stretch.clone()] != framebuffer.pixels()[stretch] {
                    framebuffer.damage().mark(y, column, bits);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO: Rect = Rect::new(16, 16, 32, 16);
    const BESIDE: Rect = Rect::new(48, 32, 32, 16);

    /// Creates a black framebuffer, which the client has.
    fn client() -> (ClientFramebuffer, Framebuffer) {
        let mut framebuffer = Framebuffer::new(96, 64);
        let whole = framebuffer.bounds();
        framebuffer.damage().remove(whole);
        (ClientFramebuffer::all_of(&framebuffer), framebuffer)
    }

    fn differs(client: &ClientFramebuffer, framebuffer: &mut Framebuffer, rect: Rect) -> Vec<Rect> {
        client.diff_into(rect, framebuffer);
        framebuffer.damage().rects(rect)
    }

    #[test]
    fn what_is_lost_is_like_nothing_until_it_is_sent() {
        let (mut client, mut framebuffer) = client();
        assert_eq!(differs(&client, &mut framebuffer, VIDEO), []);
        // Again after it was sent, and while it is unknown.
        for _ in 0..2 {
            client.invalidate(VIDEO);
            client.invalidate(VIDEO);
            let whole = framebuffer.bounds();
            assert_eq!(differs(&client, &mut framebuffer, whole), [VIDEO]);
            client.update_from(VIDEO, &framebuffer);
            assert_eq!(differs(&client, &mut framebuffer, whole), []);
        }
    }

    #[test]
    fn it_is_lost_where_it_moves_to() {
        let (mut client, mut framebuffer) = client();
        client.invalidate(VIDEO);
        let (rect, from) = (BESIDE, (VIDEO.x, VIDEO.y));
        client.apply_copy(CopyRect { rect, from });
        assert_eq!(differs(&client, &mut framebuffer, BESIDE), [BESIDE]);
        client.update_from(BESIDE, &framebuffer);
        client.invalidate(BESIDE);
        assert_eq!(differs(&client, &mut framebuffer, BESIDE), [BESIDE]);
        // What moves over it is known again, and can be lost again.
        let (rect, from) = (VIDEO, (0, 48));
        client.apply_copy(CopyRect { rect, from });
        assert_eq!(differs(&client, &mut framebuffer, VIDEO), []);
        client.invalidate(VIDEO);
        assert_eq!(differs(&client, &mut framebuffer, VIDEO), [VIDEO]);
    }
}
