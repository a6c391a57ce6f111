//! The damage: pixels that have changed since they were last sent.
//!
//! It has one bit per pixel, 16 to a word, so that it stays exact where a part of a tile was sent
//! or a CopyRect moved it. What is sent is made of whole 16×16 tiles: the compressor behind us
//! likes them.

use etatuki_rfb::Rect;
use std::ops::Range;

/// Side of a tile in pixels; also the bits of a word.
pub(crate) const TILE: u16 = 16;

/// A bitmap of damaged pixels.
#[derive(Debug)]
pub(crate) struct Damage {
    bounds: Rect,
    /// Words per row.
    stride: usize,
    words: Vec<u16>,
    /// One entry per row of tiles, false only if no bit is set in it. Spares the search of a screen
    /// on which little happens.
    tile_row_may_be_damaged: Vec<bool>,
}

impl Damage {
    /// Creates a bitmap without damage.
    pub(crate) fn new(width: u16, height: u16) -> Self {
        let stride = usize::from(width.div_ceil(TILE));
        Self {
            bounds: Rect::new(0, 0, width, height),
            stride,
            words: vec![0; stride * usize::from(height)],
            tile_row_may_be_damaged: vec![false; usize::from(height.div_ceil(TILE))],
        }
    }

    /// Damages a rectangle, clipped to the bounds.
    pub(crate) fn add(&mut self, rect: Rect) {
        let Some(rect) = rect.intersection(&self.bounds) else {
            return;
        };
        self.edit_words(rect, |word, bits| *word |= bits, u16::MAX);
        let tile_rows =
            rows(rect).start / usize::from(TILE)..=(rows(rect).end - 1) / usize::from(TILE);
        self.tile_row_may_be_damaged[tile_rows].fill(true);
    }

    /// Damages `bits` of one word.
    pub(crate) fn mark(&mut self, y: usize, column: usize, bits: u16) {
        self.words[y * self.stride + column] |= bits;
        self.tile_row_may_be_damaged[y / usize::from(TILE)] = true;
    }

    /// Clears a rectangle, clipped to the bounds: it has been sent.
    pub(crate) fn remove(&mut self, rect: Rect) {
        let Some(rect) = rect.intersection(&self.bounds) else {
            return;
        };
        self.edit_words(rect, |word, bits| *word &= !bits, 0);
    }

    /// Applies `edit` to the words that a rectangle (inside the bounds) touches, with the bits that
    /// are inside of it. Words that are wholly inside become `inside`.
    fn edit_words(&mut self, rect: Rect, edit: impl Fn(&mut u16, u16), inside: u16) {
        let Some((left, right, first, last)) = end_words(rect) else {
            return;
        };
        for y in rows(rect) {
            match &mut self.words[y * self.stride..][left..=right] {
                [one] => edit(one, first),
                [start, whole @ .., end] => {
                    edit(start, first);
                    whole.fill(inside);
                    edit(end, last);
                }
                [] => {}
            }
        }
    }

    pub(crate) fn bounds(&self) -> Rect {
        self.bounds
    }

    /// Returns whether every pixel of a rectangle (inside the bounds) is damaged.
    pub(crate) fn covers(&self, rect: Rect) -> bool {
        let Some((left, right, first, last)) = end_words(rect) else {
            return true;
        };
        let has_all = |word: &u16, bits: u16| word & bits == bits;
        rows(rect).all(|y| match &self.words[y * self.stride..][left..=right] {
            [one] => has_all(one, first),
            [start, whole @ .., end] => {
                has_all(start, first)
                    && has_all(end, last)
                    && whole.iter().all(|word| *word == u16::MAX)
            }
            [] => true,
        })
    }

    /// Returns whether any pixel of a rectangle (inside the bounds) is damaged.
    pub(crate) fn touches(&self, rect: Rect) -> bool {
        rows(rect).any(|y| {
            let row = &self.words[y * self.stride..][..self.stride];
            word_spans(rect).any(|(column, bits)| row[column] & bits != 0)
        })
    }

    /// Moves damage along with pixels: afterwards `rect` is damaged exactly where the rectangle at
    /// `from` was before. Both must be inside the bounds.
    pub(crate) fn apply_copy(&mut self, rect: Rect, from: (u16, u16)) {
        if !self.tile_row_may_be_damaged.contains(&true) {
            return;
        }
        let source: Vec<u16> = self.words[usize::from(from.1) * self.stride..]
            [..usize::from(rect.h) * self.stride]
            .to_vec();
        for (y, row) in rows(rect).zip(source.chunks_exact(self.stride)) {
            self.tile_row_may_be_damaged[y / usize::from(TILE)] = true;
            for (column, bits) in word_spans(rect) {
                let x = column as i64 * 16 + i64::from(from.0) - i64::from(rect.x);
                let word = &mut self.words[y * self.stride + column];
                *word = (*word & !bits) | (word_at(row, x) & bits);
            }
        }
    }

    /// Returns the damaged tiles inside `area`, clipped to it, as few rectangles: runs along x,
    /// then equal runs of neighbouring tile rows joined. They are sorted from top to bottom. Tile
    /// rows without damage are remembered.
    pub(crate) fn rects(&mut self, area: Rect) -> Vec<Rect> {
        let mut done = Vec::new();
        let Some(area) = area.intersection(&self.bounds) else {
            return done;
        };
        let mut open_rects: Vec<Rect> = Vec::new();
        let mut tiles = vec![0; self.stride];
        let mut top = area.y;
        while u32::from(top) < area.bottom() {
            let next_top = (u32::from(top / TILE) + 1) * u32::from(TILE);
            let h = (next_top.min(area.bottom()) - u32::from(top)) as u16;
            let band = Rect { y: top, h, ..area };
            let runs = if self.fold_tile_row(band, &mut tiles) {
                tile_runs(&tiles, band)
            } else {
                Vec::new()
            };
            merge_runs(&mut open_rects, runs, &mut done);
            top += h;
        }
        done.append(&mut open_rects);
        done.sort_by_key(|rect| (rect.y, rect.x));
        done
    }

    /// Combines the rows of a band of one tile's height with OR into `tiles`. Returns whether there
    /// is any damage.
    fn fold_tile_row(&mut self, band: Rect, tiles: &mut [u16]) -> bool {
        let tile_row = usize::from(band.y / TILE);
        if !self.tile_row_may_be_damaged[tile_row] {
            return false;
        }
        tiles.fill(0);
        for y in rows(band) {
            let row = &self.words[y * self.stride..][..self.stride];
            for (tile, word) in tiles.iter_mut().zip(row) {
                *tile |= word;
            }
        }
        let any = tiles.iter().any(|tile| *tile != 0);
        let reaches_end = band.h == TILE || band.bottom() == self.bounds.bottom();
        let is_whole_row = band.y.is_multiple_of(TILE) && reaches_end;
        self.tile_row_may_be_damaged[tile_row] = any || !is_whole_row;
        any
    }
}

/// Returns the rows of a rectangle, as indices.
pub(crate) fn rows(rect: Rect) -> Range<usize> {
    usize::from(rect.y)..rect.bottom() as usize
}

/// Returns the words that a row of a rectangle (not empty) touches, each with the bits that are
/// inside; the lowest bit is the leftmost pixel.
pub(crate) fn word_spans(rect: Rect) -> impl Iterator<Item = (usize, u16)> {
    let (left, right) = (u32::from(rect.x), rect.right());
    (left / 16..right.div_ceil(16)).map(move |column| {
        let first = left.max(column * 16) - column * 16;
        let end = right.min(column * 16 + 16) - column * 16;
        (column as usize, ((1 << end) - (1 << first)) as u16)
    })
}

/// Returns the first and the last word that a row of a rectangle touches, and the bits of each;
/// `None` for a rectangle without columns.
fn end_words(rect: Rect) -> Option<(usize, usize, u16, u16)> {
    let (left, first) = word_spans(rect).next()?;
    let (right, last) = word_spans(rect).last()?;
    Some((left, right, first, last))
}

/// Returns 16 bits of a row from pixel `x` on, which may begin before the row or reach beyond it.
fn word_at(row: &[u16], x: i64) -> u16 {
    let word = |column: i64| {
        let word = usize::try_from(column).ok().and_then(|i| row.get(i));
        u32::from(word.copied().unwrap_or(0))
    };
    let column = x.div_euclid(16);
    let pair = word(column) | word(column + 1) << 16;
    (pair >> x.rem_euclid(16)) as u16
}

/// Returns the runs of damaged tiles in a band, clipped to it.
fn tile_runs(tiles: &[u16], band: Rect) -> Vec<Rect> {
    let mut runs: Vec<Rect> = Vec::new();
    for (column, bits) in word_spans(band) {
        if tiles[column] & bits == 0 {
            continue;
        }
        let left = (column as u32 * 16).max(band.x.into());
        let w = (column as u32 * 16 + 16).min(band.right()) - left;
        match runs.last_mut() {
            Some(run) if run.right() == left => run.w += w as u16,
            _ => runs.push(Rect::new(left as u16, band.y, w as u16, band.h)),
        }
    }
    runs
}

/// Extends the open rectangles by the runs of equal place and width below them; the other open ones
/// are done. Both lists run from left to right.
fn merge_runs(open_rects: &mut Vec<Rect>, runs: Vec<Rect>, done: &mut Vec<Rect>) {
    let mut above = std::mem::take(open_rects).into_iter().peekable();
    for run in runs {
        while let Some(rect) = above.next_if(|rect| rect.x < run.x) {
            done.push(rect);
        }
        match above.next_if(|rect| rect.x == run.x) {
            Some(rect) if rect.w == run.w => open_rects.push(Rect {
                h: rect.h + run.h,
                ..rect
            }),
            other => {
                done.extend(other);
                open_rects.push(run);
            }
        }
    }
    done.extend(above);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(added: &[Rect], area: Rect, expected: &[Rect]) {
        let mut damage = Damage::new(100, 70);
        for rect in added {
            damage.add(*rect);
        }
        assert_eq!(damage.rects(area), expected);
    }

    const ALL: Rect = Rect::new(0, 0, 100, 70);

    #[test]
    fn whole_tiles_are_joined() {
        check(&[], ALL, &[]);
        check(&[ALL], ALL, &[ALL]);
        check(
            &[Rect::new(17, 20, 1, 1)],
            ALL,
            &[Rect::new(16, 16, 16, 16)],
        );
        check(&[Rect::new(99, 69, 1, 1)], ALL, &[Rect::new(96, 64, 4, 6)]);
        check(
            &[Rect::new(15, 0, 2, 33), Rect::new(64, 0, 1, 1)],
            ALL,
            &[Rect::new(0, 0, 32, 48), Rect::new(64, 0, 16, 16)],
        );
    }

    #[test]
    fn the_area_clips() {
        check(&[ALL], Rect::new(5, 7, 20, 30), &[Rect::new(5, 7, 20, 30)]);
        // damaged inside the tile, but not inside the area
        check(&[Rect::new(0, 0, 4, 4)], Rect::new(5, 0, 9, 9), &[]);
        check(&[Rect::new(0, 0, 4, 4)], Rect::new(0, 5, 9, 9), &[]);
    }

    fn rects() -> impl Strategy<Value = Rect> {
        (0..100u16, 0..70u16).prop_flat_map(|(x, y)| {
            (1..=100 - x, 1..=70 - y).prop_map(move |(w, h)| Rect { x, y, w, h })
        })
    }

    /// Returns every bit, the simple way.
    fn bits(damage: &Damage) -> Vec<bool> {
        let bit =
            |x: usize, y: usize| damage.words[y * damage.stride + x / 16] >> (x % 16) & 1 == 1;
        (0..70)
            .flat_map(|y| (0..100).map(move |x| bit(x, y)))
            .collect()
    }

    proptest! {
        #[test]
        fn rectangles_cover_the_damage_once(added in prop::collection::vec(rects(), 0..6), area in rects()) {
            let mut damage = Damage::new(100, 70);
            for rect in &added {
                damage.add(*rect);
            }
            let sent = damage.rects(area);
            let covered: usize = sent.iter().map(Rect::area).sum();
            for rect in &sent {
                prop_assert!(area.contains(rect));
                damage.remove(*rect);
            }
            prop_assert_eq!(damage.rects(area), vec![]);
            let mut union = Damage::new(100, 70);
            sent.iter().for_each(|rect| union.add(*rect));
            prop_assert_eq!(bits(&union).iter().filter(|bit| **bit).count(), covered, "overlap");
        }

        #[test]
        fn damage_moves_with_the_pixels(
            added in prop::collection::vec(rects(), 0..6),
            rect in rects(),
            x in 0..100u16,
            y in 0..70u16,
        ) {
            let from = (x.min(100 - rect.w), y.min(70 - rect.h));
            let mut damage = Damage::new(100, 70);
            for rect in &added {
                damage.add(*rect);
            }
            let before = bits(&damage);
            damage.apply_copy(rect, from);
            let after = bits(&damage);
            for y in 0..70usize {
                for x in 0..100usize {
                    let inside = rect.contains(&Rect::new(x as u16, y as u16, 1, 1));
                    let source = if inside {
                        let (dx, dy) = (x - usize::from(rect.x), y - usize::from(rect.y));
                        (usize::from(from.0) + dx, usize::from(from.1) + dy)
                    } else {
                        (x, y)
                    };
                    prop_assert_eq!(after[y * 100 + x], before[source.1 * 100 + source.0]);
                }
            }
        }
    }
}
