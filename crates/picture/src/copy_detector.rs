//! Copy detection: scrolled lists and dragged windows that no source announces, found by comparing
//! the client's picture with the framebuffer.
//!
//! The algorithm is content-defined fingerprinting with offset voting. A rolling hash of the pixels
//! chooses where fingerprints are taken (as in content-defined chunking), so that they are the same
//! ones wherever a picture has moved to. Equal fingerprints in both pictures vote for the offset
//! between their places. For the best offsets the rectangle of tiles with the greatest gain is
//! found by Kadane's algorithm. Hashes only propose: a proposal is compared pixel by pixel, and
//! what doesn't fit stays damage, so that a wrong one costs bytes and never a wrong picture.

use crate::client_framebuffer::ClientFramebuffer;
use crate::damage::{TILE, rows};
use crate::framebuffer::{CopyRect, Framebuffer};
use etatuki_rfb::Rect;

/// Damaged pixels (96 tiles) below which a search costs more than it can save: a line of text, a
/// small menu.
const MIN_DAMAGED_PIXELS: usize = 96 * 256;
/// Maximum number of fingerprints of one picture.
const MAX_FINGERPRINTS: usize = 8192;
/// Columns of a patch, the pixels that a fingerprint stands for.
const PATCH_WIDTH: usize = 32;
/// Rows of a patch, of which every second one counts.
const PATCH_HEIGHT: usize = 8;
/// Distance in rows of the framebuffer's patches; those of the client's picture begin in any row.
const FRAMEBUFFER_ROW_STEP: usize = 4;
/// Votes that make an offset worth trying.
const MIN_VOTES: usize = 6;
/// Maximum number of offsets that are tried for one update.
const MAX_CANDIDATES: usize = 3;
/// Whole tiles that a copy must save.
const MIN_SAVED_TILES: i32 = 12;
/// Maximum number of large updates without a search, after searches that found nothing.
const MAX_SKIPPED: u8 = 4;

/// Searches for copies, less often while there are none.
#[derive(Debug, Default)]
pub(crate) struct CopyDetector {
    /// Large updates without a search, from the next one on.
    skips_left: u8,
    /// Value of `skips_left` after the next search that finds nothing.
    next_skips: u8,
}

impl CopyDetector {
    /// Returns copies that bring the client's picture closer to the framebuffer; they are made in
    /// `client` already. Afterwards only what still differs in their targets is damaged. `damaged`
    /// is the damage as whole tiles.
    pub(crate) fn detect(
        &mut self,
        client: &mut ClientFramebuffer,
        framebuffer: &mut Framebuffer,
        damaged: &[Rect],
    ) -> Vec<CopyRect> {
        if damaged.iter().map(Rect::area).sum::<usize>() < MIN_DAMAGED_PIXELS {
            return Vec::new();
        }
        if self.skips_left > 0 {
            self.skips_left -= 1;
            return Vec::new();
        }
        let candidates = candidate_offsets(client, framebuffer, damaged);
        let copies: Vec<CopyRect> = candidates
            .into_iter()
            .filter_map(|offset| try_offset(offset, client, framebuffer, damaged))
            .collect();
        if copies.is_empty() {
            self.skips_left = self.next_skips;
            self.next_skips = (self.next_skips * 2).clamp(1, MAX_SKIPPED);
        } else {
            self.next_skips = 0;
        }
        copies
    }
}

/// Columns and rows from a place in the client's picture to the place in the framebuffer.
type Offset = (i32, i32);

/// Returns the offsets with the most votes, the best first.
fn candidate_offsets(
    client: &ClientFramebuffer,
    framebuffer: &Framebuffer,
    damaged: &[Rect],
) -> Vec<Offset> {
    let width = usize::from(framebuffer.width());
    let client_row = |x: usize, y: usize, length| client.row_part(x, y, length);
    let framebuffer_row =
        |x: usize, y: usize, length| &framebuffer.pixels()[(y * width + x) * 4..][..length];
    let bounds = framebuffer.bounds();
    let old = unique(fingerprints(client_row, bounds, damaged, 1));
    let new = unique(fingerprints(
        framebuffer_row,
        bounds,
        damaged,
        FRAMEBUFFER_ROW_STEP,
    ));
    let mut old = old.iter().peekable();
    let mut votes: Vec<Offset> = Vec::new();
    for (hash, (x, y)) in &new {
        while old.next_if(|(other, _)| other < hash).is_some() {}
        if let Some((_, (from_x, from_y))) = old.next_if(|(other, _)| other == hash) {
            votes.push((
                i32::from(*x) - i32::from(*from_x),
                i32::from(*y) - i32::from(*from_y),
            ));
        }
    }
    votes.sort_unstable();
    let mut counted: Vec<(usize, Offset)> = votes
        .chunk_by(|one, other| one == other)
        .map(|equal| (equal.len(), equal[0]))
        .filter(|(count, offset)| *count >= MIN_VOTES && *offset != (0, 0))
        .collect();
    counted.sort_unstable_by(|one, other| other.cmp(one));
    counted.truncate(MAX_CANDIDATES);
    counted.into_iter().map(|(_, offset)| offset).collect()
}

/// A patch's hash, and its place.
type Fingerprint = (u64, (u16, u16));

/// Returns the fingerprints inside the damage.
fn fingerprints<'a>(
    row_part: impl Fn(usize, usize, usize) -> &'a [u8],
    bounds: Rect,
    damaged: &[Rect],
    row_step: usize,
) -> Vec<Fingerprint> {
    let mut found = Vec::new();
    for rect in damaged {
        let right =
            (rect.right() as usize).min((usize::from(bounds.w) + 1).saturating_sub(PATCH_WIDTH));
        let bottom =
            (rect.bottom() as usize).min((usize::from(bounds.h) + 1).saturating_sub(PATCH_HEIGHT));
        let left = usize::from(rect.x);
        for y in (usize::from(rect.y)..bottom).step_by(row_step) {
            if found.len() >= MAX_FINGERPRINTS {
                return found;
            }
            if left < right {
                let row = row_part(left, y, (right - left) * 4).as_chunks::<4>().0;
                for at in anchors(row) {
                    let hash = fingerprint(&row_part, left + at, y);
                    found.push((hash, ((left + at) as u16, y as u16)));
                }
            }
        }
    }
    found
}

/// Returns the columns at which a patch begins: one in 32 of those at which the colour changes,
/// chosen by a rolling hash of the pixels around it.
fn anchors(row: &[[u8; 4]]) -> impl Iterator<Item = usize> {
    /// Pixels that the rolling hash holds: each shifts those before it by 2 of its 32 bits.
    const HASH_WINDOW: usize = 16;
    let mut hash = 0u32;
    let mut before = 0;
    row.iter().enumerate().filter_map(move |(x, pixel)| {
        let pixel = u32::from_le_bytes(*pixel);
        hash = (hash << 2).wrapping_add(pixel.wrapping_mul(0x9e37_79b1));
        let edge = pixel != before;
        before = pixel;
        (edge && x >= HASH_WINDOW && hash.wrapping_mul(0x85eb_ca6b) >> 27 == 0)
            .then(|| x - HASH_WINDOW + 1)
    })
}

/// Returns the hash of the patch at a place.
fn fingerprint<'a>(row_part: impl Fn(usize, usize, usize) -> &'a [u8], x: usize, y: usize) -> u64 {
    let mut hash = 0u64;
    for row in (0..PATCH_HEIGHT).step_by(2) {
        for bytes in row_part(x, y + row, PATCH_WIDTH * 4).as_chunks::<8>().0 {
            hash = (hash.rotate_left(23) ^ u64::from_le_bytes(*bytes))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }
    hash
}

/// Returns the fingerprints whose hash comes up once, sorted by hash: a patch that is there twice
/// doesn't tell where it went.
fn unique(mut fingerprints: Vec<Fingerprint>) -> Vec<Fingerprint> {
    fingerprints.sort_unstable();
    let single = |equal: &[Fingerprint]| (equal.len() == 1).then(|| equal[0]);
    fingerprints
        .chunk_by(|one, other| one.0 == other.0)
        .filter_map(single)
        .collect()
}

/// Makes the copy by this offset whose rectangle gains most, if that is enough.
fn try_offset(
    offset: Offset,
    client: &mut ClientFramebuffer,
    framebuffer: &mut Framebuffer,
    damaged: &[Rect],
) -> Option<CopyRect> {
    let target = target_area(offset, framebuffer.bounds(), damaged)?;
    let grid = TileGrid::new(target);
    let gains = grid.map(|tile| tile_gain(tile, offset, client, framebuffer));
    let rect = grid.best_rect(&gains)?;
    let rect = grow(rect, target, |strip| {
        matches(strip, offset, client, framebuffer)
    });
    let source = source_of(rect, offset);
    let copy = CopyRect {
        rect,
        from: (source.x, source.y),
    };
    client.apply_copy(copy);
    client.diff_into(rect, framebuffer);
    Some(copy)
}

/// Returns the area in which a copy's target may lie: around the damage, with its source inside the
/// picture.
fn target_area(offset: Offset, bounds: Rect, damaged: &[Rect]) -> Option<Rect> {
    let around = damaged
        .iter()
        .copied()
        .reduce(|all, rect| all.union(&rect))?;
    let edge = |offset: i32, length: u16| {
        let first = offset.clamp(0, length.into());
        let end = (i32::from(length) + offset).clamp(first, length.into());
        (first as u16, (end - first) as u16)
    };
    let ((x, w), (y, h)) = (edge(offset.0, bounds.w), edge(offset.1, bounds.h));
    Rect { x, y, w, h }.intersection(&around)
}

/// Returns a target's source.
fn source_of(rect: Rect, (dx, dy): Offset) -> Rect {
    Rect {
        x: (i32::from(rect.x) - dx) as u16,
        y: (i32::from(rect.y) - dy) as u16,
        ..rect
    }
}

/// Returns whether the client's pixels at the rectangle's source are equal to the framebuffer's in
/// it.
fn matches(
    rect: Rect,
    offset: Offset,
    client: &ClientFramebuffer,
    framebuffer: &Framebuffer,
) -> bool {
    let (source, width) = (source_of(rect, offset), usize::from(framebuffer.width()));
    let length = usize::from(rect.w) * 4;
    rows(rect).zip(rows(source)).all(|(to, from)| {
        let at = (to * width + usize::from(rect.x)) * 4;
        framebuffer.pixels()[at..at + length] == *client.row_part(source.x.into(), from, length)
    })
}

/// Returns 1 for a damaged tile that a copy would make right, -1 for a right one that it would make
/// wrong, else 0.
fn tile_gain(
    tile: Rect,
    offset: Offset,
    client: &ClientFramebuffer,
    framebuffer: &mut Framebuffer,
) -> i32 {
    match (
        framebuffer.damage().touches(tile),
        matches(tile, offset, client, framebuffer),
    ) {
        (true, true) => 1,
        (false, false) => -1,
        _ => 0,
    }
}

/// Adds rows and columns of pixels that match as well, less than a tile on each side.
fn grow(mut rect: Rect, target: Rect, matches: impl Fn(Rect) -> bool) -> Rect {
    for _ in 1..TILE {
        if rect.y > target.y
            && matches(Rect {
                y: rect.y - 1,
                h: 1,
                ..rect
            })
        {
            (rect.y, rect.h) = (rect.y - 1, rect.h + 1);
        }
        let below = Rect {
            y: rect.y + rect.h,
            h: 1,
            ..rect
        };
        if target.contains(&below) && matches(below) {
            rect.h += 1;
        }
    }
    for _ in 1..TILE {
        if rect.x > target.x
            && matches(Rect {
                x: rect.x - 1,
                w: 1,
                ..rect
            })
        {
            (rect.x, rect.w) = (rect.x - 1, rect.w + 1);
        }
        let beside = Rect {
            x: rect.x + rect.w,
            w: 1,
            ..rect
        };
        if target.contains(&beside) && matches(beside) {
            rect.w += 1;
        }
    }
    rect
}

/// The tiles of the framebuffer that a target touches.
struct TileGrid {
    target: Rect,
    columns: usize,
    rows: usize,
}

impl TileGrid {
    fn new(target: Rect) -> Self {
        let tiles = |start: u16, end: u32| (end.div_ceil(16) - u32::from(start) / 16) as usize;
        Self {
            target,
            columns: tiles(target.x, target.right()),
            rows: tiles(target.y, target.bottom()),
        }
    }

    /// Returns the pixels of these tiles, both corners included, clipped to the target.
    fn pixels(&self, (left, top): (usize, usize), (right, bottom): (usize, usize)) -> Rect {
        let edge = |start: u16, tile: usize| (u32::from(start) / 16 + tile as u32) * 16;
        let x = edge(self.target.x, left).max(self.target.x.into());
        let y = edge(self.target.y, top).max(self.target.y.into());
        let end_x = edge(self.target.x, right + 1).min(self.target.right());
        let end_y = edge(self.target.y, bottom + 1).min(self.target.bottom());
        Rect::new(x as u16, y as u16, (end_x - x) as u16, (end_y - y) as u16)
    }

    /// Returns the gain of each tile, row by row.
    fn map(&self, mut gain: impl FnMut(Rect) -> i32) -> Vec<i32> {
        let tiles = (0..self.rows).flat_map(|y| (0..self.columns).map(move |x| (x, y)));
        tiles.map(|tile| gain(self.pixels(tile, tile))).collect()
    }

    /// Returns the rectangle with the greatest sum of gains, if that is worth a copy (Kadane's
    /// algorithm for each span of the shorter side).
    fn best_rect(&self, gains: &[i32]) -> Option<Rect> {
        let wide = self.columns >= self.rows;
        let (across, along) = if wide {
            (self.rows, self.columns)
        } else {
            (self.columns, self.rows)
        };
        let gain = |i: usize, j: usize| {
            let (x, y) = if wide { (j, i) } else { (i, j) };
            gains[y * self.columns + x]
        };
        let mut best = (MIN_SAVED_TILES - 1, None);
        for first in 0..across {
            let mut sums = vec![0; along];
            for last in first..across {
                sums.iter_mut()
                    .enumerate()
                    .for_each(|(j, sum)| *sum += gain(last, j));
                let (sum, start, end) = max_subarray(&sums);
                if sum > best.0 {
                    best = (sum, Some(((first, start), (last, end))));
                }
            }
        }
        let flip = |(i, j)| if wide { (j, i) } else { (i, j) };
        best.1
            .map(|(start, end)| self.pixels(flip(start), flip(end)))
    }
}

/// Returns the greatest sum of neighbours, and the first and last of them (Kadane's algorithm).
fn max_subarray(sums: &[i32]) -> (i32, usize, usize) {
    let mut best = (0, 0, 0);
    let (mut sum, mut start) = (0, 0);
    for (at, value) in sums.iter().enumerate() {
        if sum <= 0 {
            (sum, start) = (0, at);
        }
        sum += value;
        if sum > best.0 {
            best = (sum, start, at);
        }
    }
    best
}
