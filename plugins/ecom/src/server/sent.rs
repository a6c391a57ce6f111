//! What the client has been sent. A toolkit redraws its whole window for one letter, and the X server says no more than
//! that something was drawn: most of what is grabbed is what the client has already. Pure.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::num::NonZeroU64;
use std::ops::Range;

use etatuki_rfb::Rect;
use twox_hash::XxHash3_64;

/// Columns and rows that are told apart: the tiles in which the launcher compares too.
pub(super) const TILE: u16 = 16;
/// So many looks in a row at which nothing was as before make a film.
const MANY: u8 = 3;
/// So many frames of a film go without a look; then it is looked at twice, or nothing could be found to be as before.
const BLIND: u8 = 14;

/// The client's picture, known by a hash of each tile: two pictures of one tile are taken for the same once in 2^64
/// times. A second picture would cost 4 bytes a pixel, and reading and writing it.
#[derive(Debug)]
pub(super) struct Sent {
    width: u16,
    height: u16,
    /// What was taken in last of each tile; by rows.
    tiles: Vec<Option<Taken>>,
    /// What each row of tiles did lately.
    films: Vec<Film>,
    /// Those of a band that is compared.
    pixels: Vec<u8>,
    /// Another one in every session, so that nobody can draw two pictures that are taken for the same.
    seed: u64,
}

/// A hash of the pixels and of the part of the tile that they were. None is 0: what has that hash is sent again.
type Taken = NonZeroU64;

/// A part of a row of tiles that is taken in again and again: of a film nothing is as before, and looking for that is in
/// vain.
#[derive(Clone, Copy, Debug, Default)]
struct Film {
    /// Which part.
    band: Rect,
    /// How often in a row nothing was as before; it begins anew after a look.
    changes: u8,
}

impl Film {
    fn is_blind(&self) -> bool {
        (MANY..MANY + BLIND).contains(&self.changes)
    }

    fn next(&mut self, all_new: bool) {
        let next = match self.changes + 1 {
            // The second look.
            changes if changes == MANY + BLIND + 2 => MANY,
            changes => changes,
        };
        self.changes = if all_new { next } else { 0 };
    }
}

impl Default for Sent {
    /// Of no screen.
    fn default() -> Self {
        Self {
            width: 0,
            height: 0,
            tiles: Vec::new(),
            films: Vec::new(),
            pixels: Vec::new(),
            seed: RandomState::new().build_hasher().finish(),
        }
    }
}

impl Sent {
    /// The screen's size; with another one the client has nothing.
    pub(super) fn resize(&mut self, (width, height): (u16, u16)) {
        if (self.width, self.height) != (width, height) {
            (self.width, self.height) = (width, height);
            let rows = usize::from(height.div_ceil(TILE));
            self.tiles = vec![None; self.columns() * rows];
            self.films = vec![Film::default(); rows];
        }
    }

    /// The client has lost this.
    pub(super) fn forget(&mut self, rect: Rect) {
        let rect = rect.intersection(&self.bounds()).unwrap_or_default();
        for row in tiles(rect.y, rect.h) {
            let columns = tiles(rect.x, rect.w);
            let (first, end) = (self.place(columns.start, row), self.place(columns.end, row));
            self.tiles[first..end].fill(None);
        }
    }

    /// Whether a rectangle lies on the screen.
    pub(super) fn has(&self, rect: Rect) -> bool {
        !rect.is_empty() && self.bounds().contains(&rect)
    }

    /// Takes in what the screen shows in a `band` (not empty) of rows of one row of tiles, unless that lies outside, and adds
    /// to `new` the parts that the client may lack: it is to be sent them. A part of a tile is one of them too where it was
    /// not the same part that was taken in last. `read` appends the band's pixels: BGRX, rows without gaps.
    pub(super) fn take(
        &mut self,
        band: Rect,
        read: impl FnOnce(&mut Vec<u8>),
        new: &mut Vec<Rect>,
    ) {
        if !self.has(band) {
            return;
        }
        let row = usize::from(band.y / TILE);
        let film = Some(self.films[row]).filter(|film| film.band == band);
        let mut film = film.unwrap_or(Film { band, changes: 0 });
        if film.is_blind() {
            self.forget(band);
            new.push(band);
            film.next(true);
        } else {
            let mut pixels = std::mem::take(&mut self.pixels);
            pixels.clear();
            read(&mut pixels);
            let before = new.len();
            self.compare(row, band, &pixels, new);
            film.next(new[before..] == [band]);
            self.pixels = pixels;
        }
        self.films[row] = film;
    }

    /// Tile by tile.
    fn compare(&mut self, row: usize, band: Rect, pixels: &[u8], new: &mut Vec<Rect>) {
        let mut run: Option<Rect> = None;
        for column in tiles(band.x, band.w) {
            let (x, w) = inside(column, band.x, band.w);
            let part = Rect { x, w, ..band };
            let taken = self.hash(part, band, pixels);
            let at = self.place(column, row);
            if taken.is_some() && self.tiles[at] == taken {
                new.extend(run.take());
            } else {
                self.tiles[at] = taken;
                run = Some(run.unwrap_or_default().around(&part));
            }
        }
        new.extend(run);
    }

    /// Of a part of one tile.
    fn hash(&self, part: Rect, band: Rect, pixels: &[u8]) -> Option<Taken> {
        const ROW: usize = TILE as usize * 4;
        let which = [part.x % TILE, part.y % TILE, part.w, part.h].map(|number| number as u8);
        let mut bytes = [0; ROW * TILE as usize + 4];
        let (length, first) = (usize::from(part.w) * 4, usize::from(part.x - band.x) * 4);
        let rows = pixels.chunks_exact(usize::from(band.w) * 4);
        if length == ROW {
            // Copies of a length that is known beforehand take a few instructions.
            for (to, row) in bytes.chunks_exact_mut(ROW).zip(rows) {
                to.copy_from_slice(&row[first..first + ROW]);
            }
        } else {
            for (to, row) in bytes.chunks_exact_mut(length).zip(rows) {
                to.copy_from_slice(&row[first..first + length]);
            }
        }
        let end = length * usize::from(part.h);
        bytes[end..end + 4].copy_from_slice(&which);
        NonZeroU64::new(XxHash3_64::oneshot_with_seed(self.seed, &bytes[..end + 4]))
    }

    fn bounds(&self) -> Rect {
        Rect::new(0, 0, self.width, self.height)
    }

    fn columns(&self) -> usize {
        usize::from(self.width.div_ceil(TILE))
    }

    fn place(&self, column: usize, row: usize) -> usize {
        row * self.columns() + column
    }
}

/// The columns or rows of tiles that some columns or rows of pixels lie in.
fn tiles(start: u16, length: u16) -> Range<usize> {
    let end = u32::from(start) + u32::from(length);
    usize::from(start / TILE)..end.div_ceil(u32::from(TILE)) as usize
}

/// Which of them lie in that one: the first, and how many.
fn inside(tile: usize, start: u16, length: u16) -> (u16, u16) {
    let first = tile * usize::from(TILE);
    let end = usize::from(start) + usize::from(length);
    let from = first.max(usize::from(start));
    let to = (first + usize::from(TILE)).min(end);
    (from as u16, to.saturating_sub(from) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: (u16, u16) = (100, 70);
    const WHOLE: Rect = Rect::new(0, 0, SIZE.0, SIZE.1);

    fn rows(rect: Rect) -> Range<usize> {
        usize::from(rect.y)..rect.bottom() as usize
    }

    fn cut(screen: &[u8], rect: Rect) -> Vec<u8> {
        let row = |y: usize| (y * usize::from(SIZE.0) + usize::from(rect.x)) * 4;
        rows(rect)
            .flat_map(|y| screen[row(y)..][..usize::from(rect.w) * 4].to_vec())
            .collect()
    }

    fn sent(sent: &mut Sent, screen: &[u8], rect: Rect) -> Vec<Rect> {
        let mut new = Vec::new();
        for row in tiles(rect.y, rect.h) {
            let (y, h) = inside(row, rect.y, rect.h);
            let band = Rect { y, h, ..rect };
            sent.take(band, |out| out.extend(cut(screen, band)), &mut new);
        }
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
        sent(&mut client, &screen, rect);
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
        check(
            &[(17, 20)],
            Rect::new(17, 20, 1, 1),
            &[Rect::new(17, 20, 1, 1)],
        );
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
    fn another_part_of_a_tile_is_sent() {
        let (mut client, screen) = black();
        sent(&mut client, &screen, WHOLE);
        let part = Rect::new(10, 18, 30, 9);
        assert_eq!(sent(&mut client, &screen, part), [part]);
        assert_eq!(sent(&mut client, &screen, part), []);
        let around = [Rect::new(0, 16, 48, 16)];
        assert_eq!(sent(&mut client, &screen, WHOLE), around);
        assert_eq!(sent(&mut client, &screen, WHOLE), []);
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
    fn a_film_is_sent_without_a_look_and_its_end_is_found() {
        let (mut client, mut screen) = black();
        let band = Rect::new(10, 16, 60, 16);
        let look = |client: &mut Sent, screen: &[u8]| {
            let (mut new, mut looked) = (Vec::new(), false);
            let read = |out: &mut Vec<u8>| {
                looked = true;
                out.extend(cut(screen, band));
            };
            client.take(band, read, &mut new);
            (new, looked)
        };
        let mut looks = 0;
        for frame in 1..100 {
            screen.fill(frame);
            let (new, looked) = look(&mut client, &screen);
            assert_eq!(new, [band]);
            looks += u32::from(looked);
        }
        assert!((8..25).contains(&looks), "{looks} looks");
        // What it shows last is sent some times more, and then known.
        let again = (0..30).take_while(|_| look(&mut client, &screen) == (vec![band], false));
        assert!(again.count() <= BLIND.into());
        let mut last = (0..3).map(|_| look(&mut client, &screen));
        assert!(last.any(|news| news == (vec![], true)));
        // Another part of the row is no film.
        for frame in 1..9 {
            screen.fill(frame);
            look(&mut client, &screen);
        }
        sent(&mut client, &screen, WHOLE);
        assert_eq!(sent(&mut client, &screen, WHOLE), []);
    }

    #[test]
    fn what_lies_outside_is_left_out() {
        let (mut client, _) = black();
        let mut new = Vec::new();
        for band in [Rect::new(90, 0, 20, 1), Rect::default()] {
            client.take(band, |_| panic!("there is nothing to read"), &mut new);
        }
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
                    for y in rows(new) {
                        let row = y * stride + usize::from(new.x) * 4..y * stride + new.right() as usize * 4;
                        shown[row.clone()].copy_from_slice(&screen[row]);
                    }
                }
                prop_assert_eq!(cut(&shown, looked), cut(&screen, looked));
            }
        }
    }
}
