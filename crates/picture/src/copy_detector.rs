//! Moves that no tool tells of: scrolled lists and dragged windows, found by comparing what the client
//! has with what the screen shows.
//!
//! Small pieces of the picture that stand out are looked for in both, and the distances between the
//! places of equal ones are counted: a move is a distance that comes up often. Hashes only propose.
//! What is proposed is compared pixel by pixel, and what doesn't fit after the move stays damage, so
//! that a wrong proposal costs bytes and never a wrong picture.

use crate::client_framebuffer::ClientFramebuffer;
use crate::damage::{TILE, rows};
use crate::framebuffer::{CopyRect, Framebuffer};
use etatuki_rfb::Rect;

/// Below this many damaged pixels a search costs more than it can save: a line of text, a small menu.
const MIN_DAMAGED_PIXELS: usize = 96 * 256;
/// Pieces that are looked at in one picture, at most.
const MAX_FINGERPRINTS: usize = 8192;
/// A piece: so many pixels in a row, and the same in every second of so many rows.
const PATCH_WIDTH: usize = 32;
/// The rows of a patch; every second one counts.
const PATCH_HEIGHT: usize = 8;
/// Rows between the screen's pieces; those of the client's picture begin in any row.
const FRAMEBUFFER_ROW_STEP: usize = 4;
/// Equal pieces with the same distance that make a move worth trying.
const MIN_VOTES: usize = 6;
/// Moves that are tried in one update, at most.
const MAX_CANDIDATES: usize = 3;
/// Whole tiles that a move must save.
const MIN_SAVED_TILES: i32 = 12;
/// Updates that are let pass without a search, at most, after searches that found nothing.
const MAX_SKIPPED: u8 = 4;

/// Looks for moves, less often while there are none.
#[derive(Debug, Default)]
pub(crate) struct CopyDetector {
    /// Updates without a search, from the next one on.
    skips_left: u8,
    /// The pause after the next search that finds nothing.
    next_skips: u8,
}

impl CopyDetector {
    /// Moves that bring what the client has closer to what the screen shows, made in `client` already.
    /// Only what still differs in their targets is damaged afterwards. `damaged`: the damage as whole
    /// tiles.
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

/// Columns and rows from a place in the client's picture to the place on the screen.
type Offset = (i32, i32);

/// The distances that most pieces have moved by, the best first.
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

type Fingerprint = (u64, (u16, u16));

/// The pieces that stand out inside the damage, at places which the pixels themselves decide, so that
/// they are the same ones wherever a picture has moved to.
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

/// Where a piece begins: one place in 32 among those where the colour changes, chosen by the pixels
/// around it.
fn anchors(row: &[[u8; 4]]) -> impl Iterator<Item = usize> {
    /// Pixels that are still felt in the hash: each shifts those before it by 2 of its 32 bits.
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

/// In the order of their hashes, those whose hash comes up once: a piece that is there twice doesn't
/// tell where it went.
fn unique(mut fingerprints: Vec<Fingerprint>) -> Vec<Fingerprint> {
    fingerprints.sort_unstable();
    let single = |equal: &[Fingerprint]| (equal.len() == 1).then(|| equal[0]);
    fingerprints
        .chunk_by(|one, other| one.0 == other.0)
        .filter_map(single)
        .collect()
}

/// Makes the move by this distance, of the rectangle that gains most by it, if that is enough.
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

/// Where something can have come to: around the damage, and from inside the picture.
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

fn source_of(rect: Rect, (dx, dy): Offset) -> Rect {
    Rect {
        x: (i32::from(rect.x) - dx) as u16,
        y: (i32::from(rect.y) - dy) as u16,
        ..rect
    }
}

/// Whether what the client has at the rectangle's source is what the screen shows in it.
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

/// Tiles that needn't be sent if this one is part of the move: one that becomes right, or less one
/// that was right and becomes wrong.
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

/// Adds rows and columns of pixels that fit as well, less than a tile on each side.
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

/// The tiles of the screen that a rectangle touches.
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

    /// Pixels of these columns and rows of tiles (`right` and `bottom` among them), clipped.
    fn pixels(&self, (left, top): (usize, usize), (right, bottom): (usize, usize)) -> Rect {
        let edge = |start: u16, tile: usize| (u32::from(start) / 16 + tile as u32) * 16;
        let x = edge(self.target.x, left).max(self.target.x.into());
        let y = edge(self.target.y, top).max(self.target.y.into());
        let end_x = edge(self.target.x, right + 1).min(self.target.right());
        let end_y = edge(self.target.y, bottom + 1).min(self.target.bottom());
        Rect::new(x as u16, y as u16, (end_x - x) as u16, (end_y - y) as u16)
    }

    fn map(&self, mut gain: impl FnMut(Rect) -> i32) -> Vec<i32> {
        let tiles = (0..self.rows).flat_map(|y| (0..self.columns).map(move |x| (x, y)));
        tiles.map(|tile| gain(self.pixels(tile, tile))).collect()
    }

    /// The rectangle with the greatest sum, if that is worth a move (Kadane's search for each span of
    /// the shorter side).
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

/// The greatest sum of neighbours, and the first and last of them.
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
