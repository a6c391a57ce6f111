//! The tiles that the client has been sent. Pure.
//!
//! A toolkit redraws its whole window for one letter, and the X server reports only that something
//! was drawn: most grabbed pixels are ones that the client has already.

use std::num::NonZeroU64;
use std::ops::Range;

use etatuki_rfb::Rect;
use twox_hash::XxHash3_64;

/// Edge of a tile in pixels; the launcher compares in tiles of this size too.
pub(super) const TILE: u16 = 16;
/// Frames in a row of which every tile changed, after which a row counts as busy.
const BUSY_THRESHOLD: u8 = 3;
/// Frames of a busy row that are forwarded unhashed. Then two frames are hashed in a row: the first
/// only rebuilds the baseline.
const SKIP_FRAMES: u8 = 14;

/// The client's picture, as one hash for each tile. Two different contents of a tile count as equal
/// once in 2^64 times. A copy of the picture would cost 4 bytes a pixel, and reading and writing
/// it.
#[derive(Debug)]
pub(super) struct SentTiles {
    width: u16,
    height: u16,
    /// The hash of each tile as it was sent last, row by row; `None` where the client has nothing.
    tiles: Vec<Option<TileHash>>,
    /// The recent changes of each row of tiles.
    busy_rows: Vec<BusyRow>,
    /// Scratch space: the pixels of the band that is compared.
    pixels: Vec<u8>,
    /// The seed of the hashes.
    seed: u64,
}

/// A hash of a tile's pixels, and of the part of the tile that they cover. Contents that hash to 0
/// have no hash and are always sent.
type TileHash = NonZeroU64;

/// Detects video in a row of tiles: the same band is drawn again and again, and every tile changes
/// each time. Hashing it finds no unchanged tile.
#[derive(Clone, Copy, Debug, Default)]
struct BusyRow {
    /// The band that was drawn last.
    band: Rect,
    /// Frames in a row of which every tile changed; starts again at [`BUSY_THRESHOLD`] after the
    /// second hashed frame.
    changed_in_a_row: u8,
}

impl BusyRow {
    fn skips_hashing(&self) -> bool {
        (BUSY_THRESHOLD..BUSY_THRESHOLD + SKIP_FRAMES).contains(&self.changed_in_a_row)
    }

    fn record(&mut self, all_changed: bool) {
        let next = match self.changed_in_a_row + 1 {
            // The second hashed frame.
            frames if frames == BUSY_THRESHOLD + SKIP_FRAMES + 2 => BUSY_THRESHOLD,
            frames => frames,
        };
        self.changed_in_a_row = if all_changed { next } else { 0 };
    }
}

impl SentTiles {
    /// Creates an empty picture. `seed` must be random and new for each session, so that nobody can
    /// draw two pictures with the same hash.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            width: 0,
            height: 0,
            tiles: Vec::new(),
            busy_rows: Vec::new(),
            pixels: Vec::new(),
            seed,
        }
    }

    /// Sets the screen's size. After a change the client has no tile.
    pub(super) fn resize(&mut self, (width, height): (u16, u16)) {
        if (self.width, self.height) != (width, height) {
            (self.width, self.height) = (width, height);
            let rows = usize::from(height.div_ceil(TILE));
            self.tiles = vec![None; self.columns() * rows];
            self.busy_rows = vec![BusyRow::default(); rows];
        }
    }

    /// Marks the tiles of `rect` as lost by the client.
    pub(super) fn invalidate(&mut self, rect: Rect) {
        let rect = rect.intersection(&self.bounds()).unwrap_or_default();
        for row in tile_range(rect.y, rect.h) {
            let columns = tile_range(rect.x, rect.w);
            let (first, end) = (
                self.tile_index(columns.start, row),
                self.tile_index(columns.end, row),
            );
            self.tiles[first..end].fill(None);
        }
    }

    /// Returns whether a rectangle lies on the screen.
    pub(super) fn contains(&self, rect: Rect) -> bool {
        !rect.is_empty() && self.bounds().contains(&rect)
    }

    /// Compares a band with the client's picture, and records it as sent. Appends the rectangles
    /// that must be sent to `new`. A band lies in one row of tiles; one that is empty or off the
    /// screen is ignored. A part of a tile counts as changed unless the same part was compared
    /// last. `read` appends the band's pixels: BGRX, rows without gaps.
    pub(super) fn diff_band(
        &mut self,
        band: Rect,
        read: impl FnOnce(&mut Vec<u8>),
        new: &mut Vec<Rect>,
    ) {
        if !self.contains(band) {
            return;
        }
        let row = usize::from(band.y / TILE);
        let busy_row = Some(self.busy_rows[row]).filter(|busy_row| busy_row.band == band);
        let mut busy_row = busy_row.unwrap_or(BusyRow {
            band,
            changed_in_a_row: 0,
        });
        if busy_row.skips_hashing() {
            self.invalidate(band);
            new.push(band);
            busy_row.record(true);
        } else {
            let mut pixels = std::mem::take(&mut self.pixels);
            pixels.clear();
            read(&mut pixels);
            let before = new.len();
            self.diff_tiles(row, band, &pixels, new);
            busy_row.record(new[before..] == [band]);
            self.pixels = pixels;
        }
        self.busy_rows[row] = busy_row;
    }

    /// Appends the changed tiles of the band, merged into runs.
    fn diff_tiles(&mut self, row: usize, band: Rect, pixels: &[u8], new: &mut Vec<Rect>) {
        let mut run: Option<Rect> = None;
        for column in tile_range(band.x, band.w) {
            let (x, w) = tile_overlap(column, band.x, band.w);
            let rect = Rect { x, w, ..band };
            let hash = self.hash_tile(rect, band, pixels);
            let index = self.tile_index(column, row);
            if hash.is_some() && self.tiles[index] == hash {
                new.extend(run.take());
            } else {
                self.tiles[index] = hash;
                run = Some(run.unwrap_or_default().union(&rect));
            }
        }
        new.extend(run);
    }

    /// Hashes the pixels of `rect`, a part of one tile in `band`.
    fn hash_tile(&self, rect: Rect, band: Rect, pixels: &[u8]) -> Option<TileHash> {
        const ROW: usize = TILE as usize * 4;
        let which = [rect.x % TILE, rect.y % TILE, rect.w, rect.h].map(|number| number as u8);
        let mut bytes = [0; ROW * TILE as usize + 4];
        let (length, first) = (usize::from(rect.w) * 4, usize::from(rect.x - band.x) * 4);
        let rows = pixels.chunks_exact(usize::from(band.w) * 4);
        if length == ROW {
            // Copies of constant length take a few instructions.
            for (to, row) in bytes.chunks_exact_mut(ROW).zip(rows) {
                to.copy_from_slice(&row[first..first + ROW]);
            }
        } else {
            for (to, row) in bytes.chunks_exact_mut(length).zip(rows) {
                to.copy_from_slice(&row[first..first + length]);
            }
        }
        let end = length * usize::from(rect.h);
        bytes[end..end + 4].copy_from_slice(&which);
        NonZeroU64::new(XxHash3_64::oneshot_with_seed(self.seed, &bytes[..end + 4]))
    }

    fn bounds(&self) -> Rect {
        Rect::new(0, 0, self.width, self.height)
    }

    fn columns(&self) -> usize {
        usize::from(self.width.div_ceil(TILE))
    }

    fn tile_index(&self, column: usize, row: usize) -> usize {
        row * self.columns() + column
    }
}

/// Returns the columns (or rows) of tiles that contain these columns (or rows) of pixels.
fn tile_range(start: u16, length: u16) -> Range<usize> {
    let end = u32::from(start) + u32::from(length);
    usize::from(start / TILE)..end.div_ceil(u32::from(TILE)) as usize
}

/// Returns the first of these columns (or rows) of pixels inside of `tile`, and their number.
fn tile_overlap(tile: usize, start: u16, length: u16) -> (u16, u16) {
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

    fn sent(sent: &mut SentTiles, screen: &[u8], rect: Rect) -> Vec<Rect> {
        let mut new = Vec::new();
        for row in tile_range(rect.y, rect.h) {
            let (y, h) = tile_overlap(row, rect.y, rect.h);
            let band = Rect { y, h, ..rect };
            sent.diff_band(band, |out| out.extend(cut(screen, band)), &mut new);
        }
        new
    }

    fn black() -> (SentTiles, Vec<u8>) {
        let (mut fresh, screen) = (SentTiles::new(7), vec![0; WHOLE.area() * 4]);
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
        let rect = Rect::new(10, 18, 30, 9);
        assert_eq!(sent(&mut client, &screen, rect), [rect]);
        assert_eq!(sent(&mut client, &screen, rect), []);
        let around = [Rect::new(0, 16, 48, 16)];
        assert_eq!(sent(&mut client, &screen, WHOLE), around);
        assert_eq!(sent(&mut client, &screen, WHOLE), []);
    }

    #[test]
    fn what_is_not_there_is_sent_whatever_it_shows() {
        let (mut client, screen) = black();
        let all = sent(&mut client, &screen, WHOLE);
        assert_eq!(all.iter().map(Rect::area).sum::<usize>(), WHOLE.area());
        client.invalidate(Rect::new(90, 60, 200, 200));
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
    fn a_video_is_sent_without_comparing_and_its_end_is_found() {
        let (mut client, mut screen) = black();
        let band = Rect::new(10, 16, 60, 16);
        let look = |client: &mut SentTiles, screen: &[u8]| {
            let (mut new, mut looked) = (Vec::new(), false);
            let read = |out: &mut Vec<u8>| {
                looked = true;
                out.extend(cut(screen, band));
            };
            client.diff_band(band, read, &mut new);
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
        // The last frame is sent some times more, and then found unchanged.
        let again = (0..30).take_while(|_| look(&mut client, &screen) == (vec![band], false));
        assert!(again.count() <= SKIP_FRAMES.into());
        let mut last = (0..3).map(|_| look(&mut client, &screen));
        assert!(last.any(|news| news == (vec![], true)));
        // Another part of the row is no video.
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
            client.diff_band(band, |_| panic!("there is nothing to read"), &mut new);
        }
        assert_eq!(new, []);
    }

    prop_compose! {
        fn any_rect()(x in 0..SIZE.0, y in 0..SIZE.1)(x in Just(x), y in Just(y), w in 1..=SIZE.0 - x, h in 1..=SIZE.1 - y) -> Rect {
            Rect { x, y, w, h }
        }
    }

    proptest! {
        /// A client that draws the rectangles sent has the screen's picture in every compared part.
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
                    client.invalidate(drawn);
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
