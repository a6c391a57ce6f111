//! What the client has been sent. A toolkit redraws its whole window for one letter, and the X server says no more than
//! that something was drawn: most of what is grabbed is what the client has already. Pure.

use std::ops::Range;

use etatuki_rfb::Rect;

/// Columns and rows that are told apart: the tiles in which the launcher compares too.
const TILE: u16 = 16;
/// What no pixel of the screen is equal to: their fourth byte is 0.
const NOTHING: u8 = 0xff;

/// The client's picture.
#[derive(Debug, Default)]
pub(super) struct Sent {
    width: u16,
    height: u16,
    /// BGRX, rows without gaps; [`NOTHING`] where the client has nothing.
    pixels: Vec<u8>,
}

impl Sent {
    /// The screen's size; with another one the client has nothing.
    pub(super) fn resize(&mut self, (width, height): (u16, u16)) {
        if (self.width, self.height) != (width, height) {
            (self.width, self.height) = (width, height);
            let bytes = usize::from(width) * usize::from(height) * 4;
            self.pixels = vec![NOTHING; bytes];
        }
    }

    /// The client has lost this.
    pub(super) fn forget(&mut self, rect: Rect) {
        let rect = rect.intersection(&self.bounds()).unwrap_or_default();
        for y in rows(rect) {
            let row = self.row(rect, y);
            self.pixels[row].fill(NOTHING);
        }
    }

    /// Whether a rectangle lies on the screen.
    pub(super) fn has(&self, rect: Rect) -> bool {
        !rect.is_empty() && self.bounds().contains(&rect)
    }

    /// Takes in what the screen shows in `rect` (BGRX, rows without gaps), unless that lies outside, and adds to `new` the
    /// parts that the client lacks: it is to be sent them, as they are here.
    pub(super) fn take(&mut self, rect: Rect, pixels: &[u8], new: &mut Vec<Rect>) {
        if !self.has(rect) {
            return;
        }
        let (mut pixels, mut top) = (pixels, rect.y);
        while u32::from(top) < rect.bottom() {
            let end = (u32::from(top / TILE) + 1) * u32::from(TILE);
            let h = (end.min(rect.bottom()) - u32::from(top)) as u16;
            let band = Rect { y: top, h, ..rect };
            let (here, below) = pixels.split_at(pixels.len().min(band.area() * 4));
            self.take_band(band, here, new);
            (pixels, top) = (below, top + h);
        }
    }

    /// The same for rows of one row of tiles.
    fn take_band(&mut self, band: Rect, pixels: &[u8], new: &mut Vec<Rect>) {
        let length = usize::from(band.w) * 4;
        let mut tiles: Vec<_> = tiles(band).map(|bytes| (bytes, false)).collect();
        for (y, row) in rows(band).zip(pixels.chunks_exact(length)) {
            let before = &self.pixels[self.row(band, y)];
            if before == row {
                continue;
            }
            for (bytes, differs) in &mut tiles {
                *differs = *differs || before[bytes.clone()] != row[bytes.clone()];
            }
        }
        for run in tiles.chunk_by(|(_, one), (_, other)| one == other) {
            let ([(first, true), ..], [.., (last, _)]) = (run, run) else {
                continue;
            };
            let run = first.start..last.end;
            for (y, row) in rows(band).zip(pixels.chunks_exact(length)) {
                let start = self.row(band, y).start;
                self.pixels[start + run.start..start + run.end].copy_from_slice(&row[run.clone()]);
            }
            let (x, w) = (run.start / 4, run.len() / 4);
            new.push(Rect {
                x: band.x + x as u16,
                w: w as u16,
                ..band
            });
        }
    }

    /// The rows of a rectangle on the screen.
    pub(super) fn rows(&self, rect: Rect) -> impl Iterator<Item = &[u8]> {
        rows(rect).map(move |y| &self.pixels[self.row(rect, y)])
    }

    fn bounds(&self) -> Rect {
        Rect::new(0, 0, self.width, self.height)
    }

    /// Where the bytes of a rectangle's row `y` are.
    fn row(&self, rect: Rect, y: usize) -> Range<usize> {
        let start = (y * usize::from(self.width) + usize::from(rect.x)) * 4;
        start..start + usize::from(rect.w) * 4
    }
}

fn rows(rect: Rect) -> Range<usize> {
    usize::from(rect.y)..rect.bottom() as usize
}

/// The bytes of each tile in a row of the rectangle.
fn tiles(rect: Rect) -> impl Iterator<Item = Range<usize>> {
    let (left, right, tile) = (u32::from(rect.x), rect.right(), u32::from(TILE));
    (left / tile..right.div_ceil(tile)).map(move |column| {
        let (first, end) = (column * tile, (column + 1) * tile);
        let byte = |x: u32| (x - left) as usize * 4;
        byte(first.max(left))..byte(end.min(right))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: (u16, u16) = (100, 70);
    const WHOLE: Rect = Rect::new(0, 0, SIZE.0, SIZE.1);

    fn cut(screen: &[u8], rect: Rect) -> Vec<u8> {
        let row = |y: usize| (y * usize::from(SIZE.0) + usize::from(rect.x)) * 4;
        rows(rect)
            .flat_map(|y| screen[row(y)..][..usize::from(rect.w) * 4].to_vec())
            .collect()
    }

    fn sent(sent: &mut Sent, screen: &[u8], rect: Rect) -> Vec<Rect> {
        let mut new = Vec::new();
        sent.take(rect, &cut(screen, rect), &mut new);
        new
    }

    fn black() -> (Sent, Vec<u8>) {
        let (mut fresh, screen) = (Sent::default(), vec![0; WHOLE.area() * 4]);
        fresh.resize(SIZE);
        (fresh, screen)
    }

    #[track_caller]
    fn check(changed: &[(usize, usize)], rect: Rect, expected: &[Rect]) {
        let (mut client, mut screen) = black();
        sent(&mut client, &screen, WHOLE);
        for (x, y) in changed {
            screen[(y * usize::from(SIZE.0) + x) * 4] = 1;
        }
        assert_eq!(sent(&mut client, &screen, rect), expected);
        assert_eq!(sent(&mut client, &screen, rect), [], "it has that now");
    }

    #[test]
    fn only_what_differs_is_sent() {
        check(&[], WHOLE, &[]);
        check(&[(17, 20)], WHOLE, &[Rect::new(16, 16, 16, 16)]);
        check(&[(17, 20)], Rect::new(0, 0, 17, 70), &[]);
        check(&[(99, 69)], WHOLE, &[Rect::new(96, 64, 4, 6)]);
        check(
            &[(15, 1), (16, 3), (64, 0)],
            WHOLE,
            &[Rect::new(0, 0, 32, 16), Rect::new(64, 0, 16, 16)],
        );
        check(
            &[(17, 20)],
            Rect::new(10, 18, 30, 9),
            &[Rect::new(16, 18, 16, 9)],
        );
    }

    #[test]
    fn what_is_not_there_is_sent_whatever_it_shows() {
        let (mut client, screen) = black();
        let all = sent(&mut client, &screen, WHOLE);
        assert_eq!(all.iter().map(Rect::area).sum::<usize>(), WHOLE.area());
        client.forget(Rect::new(90, 60, 200, 200));
        assert_eq!(
            sent(&mut client, &screen, WHOLE),
            [Rect::new(80, 48, 20, 16), Rect::new(80, 64, 20, 6)]
        );
        client.resize(SIZE);
        assert_eq!(sent(&mut client, &screen, WHOLE), []);
        client.resize((70, 100));
        client.resize(SIZE);
        assert_eq!(sent(&mut client, &screen, WHOLE), all);
    }

    #[test]
    fn what_lies_outside_is_left_out() {
        let (mut client, _) = black();
        let mut new = Vec::new();
        client.take(Rect::new(90, 0, 20, 1), &[0; 80], &mut new);
        client.take(Rect::default(), &[], &mut new);
        assert_eq!(new, []);
    }

    prop_compose! {
        fn any_rect()(x in 0..SIZE.0, y in 0..SIZE.1)(x in Just(x), y in Just(y), w in 1..=SIZE.0 - x, h in 1..=SIZE.1 - y) -> Rect {
            Rect { x, y, w, h }
        }
    }

    proptest! {
        /// A client that draws what it is sent has the screen's picture wherever it was looked at.
        #[test]
        fn the_client_has_the_screen(
            steps in prop::collection::vec((any_rect(), any_rect(), 0..4u8, any::<bool>()), 1..12),
        ) {
            let (mut client, mut screen) = black();
            let mut shown = vec![7; screen.len()];
            let stride = usize::from(SIZE.0) * 4;
            for (drawn, looked, colour, forgets) in steps {
                for y in rows(drawn) {
                    screen[y * stride..][usize::from(drawn.x) * 4..][..usize::from(drawn.w) * 4].fill(colour);
                }
                if forgets {
                    client.forget(drawn);
                    for y in rows(drawn) {
                        shown[y * stride..][usize::from(drawn.x) * 4..][..usize::from(drawn.w) * 4].fill(9);
                    }
                }
                for new in sent(&mut client, &screen, looked) {
                    prop_assert!(looked.contains(&new));
                    for (y, row) in rows(new).zip(client.rows(new)) {
                        shown[y * stride..][usize::from(new.x) * 4..][..row.len()].copy_from_slice(row);
                    }
                }
                prop_assert_eq!(cut(&shown, looked), cut(&screen, looked));
            }
        }
    }
}
