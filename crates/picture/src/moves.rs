//! Moves that no tool tells of: scrolled lists and dragged windows, found by comparing what the client
//! has with what the screen shows.
//!
//! Small pieces of the picture that stand out are looked for in both, and the distances between the
//! places of equal ones are counted: a move is a distance that comes up often. Hashes only propose.
//! What is proposed is compared pixel by pixel, and what doesn't fit after the move stays damage, so
//! that a wrong proposal costs bytes and never a wrong picture.

use crate::client_framebuffer::ClientFramebuffer;
use crate::damage::{TILE, rows};
use crate::framebuffer::{Framebuffer, Move};
use etatuki_rfb::Rect;

/// Below this many damaged pixels a search costs more than it can save: a line of text, a small menu.
const MIN_DAMAGE: usize = 96 * 256;
/// Pieces that are looked at in one picture, at most.
const MAX_PIECES: usize = 8192;
/// A piece: so many pixels in a row, and the same in every second of so many rows.
const PIECE: (usize, usize) = (32, 8);
/// Rows between the screen's pieces; those of the client's picture begin in any row.
const SAMPLED: usize = 4;
/// Equal pieces with the same distance that make a move worth trying.
const MIN_VOTES: usize = 6;
/// Moves that are tried in one update, at most.
const MAX_TRIED: usize = 3;
/// Whole tiles that a move must save.
const MIN_SAVED: i32 = 12;
/// Updates that are let pass without a search, at most, after searches that found nothing.
const MAX_PAUSE: u8 = 4;

/// Looks for moves, less often while there are none.
#[derive(Debug, Default)]
pub(crate) struct Finder {
    /// Updates without a search, from the next one on.
    pause: u8,
    /// The pause after the next search that finds nothing.
    next_pause: u8,
}

impl Finder {
    /// Moves that bring what the client has closer to what the screen shows, made in `client` already.
    /// Only what still differs in their targets is damaged afterwards. `damaged`: the damage as whole
    /// tiles.
    pub(crate) fn find(
        &mut self,
        client: &mut ClientFramebuffer,
        framebuffer: &mut Framebuffer,
        damaged: &[Rect],
    ) -> Vec<Move> {
        if damaged.iter().map(Rect::area).sum::<usize>() < MIN_DAMAGE {
            return Vec::new();
        }
        if self.pause > 0 {
            self.pause -= 1;
            return Vec::new();
        }
        let distances = distances(client, framebuffer, damaged);
        let moves: Vec<Move> = distances
            .into_iter()
            .filter_map(|distance| try_move(distance, client, framebuffer, damaged))
            .collect();
        if moves.is_empty() {
            self.pause = self.next_pause;
            self.next_pause = (self.next_pause * 2).clamp(1, MAX_PAUSE);
        } else {
            self.next_pause = 0;
        }
        moves
    }
}

/// Columns and rows from a place in the client's picture to the place on the screen.
type Distance = (i32, i32);

/// The distances that most pieces have moved by, the best first.
fn distances(
    client: &ClientFramebuffer,
    framebuffer: &Framebuffer,
    damaged: &[Rect],
) -> Vec<Distance> {
    let width = usize::from(framebuffer.width());
    let before = |x: usize, y: usize, length| client.row_part(x, y, length);
    let now = |x: usize, y: usize, length| &framebuffer.pixels()[(y * width + x) * 4..][..length];
    let bounds = framebuffer.bounds();
    let old = only_once(pieces(before, bounds, damaged, 1));
    let new = only_once(pieces(now, bounds, damaged, SAMPLED));
    let mut old = old.iter().peekable();
    let mut votes: Vec<Distance> = Vec::new();
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
    let mut counted: Vec<(usize, Distance)> = votes
        .chunk_by(|one, other| one == other)
        .map(|equal| (equal.len(), equal[0]))
        .filter(|(count, distance)| *count >= MIN_VOTES && *distance != (0, 0))
        .collect();
    counted.sort_unstable_by(|one, other| other.cmp(one));
    counted.truncate(MAX_TRIED);
    counted.into_iter().map(|(_, distance)| distance).collect()
}

type Piece = (u64, (u16, u16));

/// The pieces that stand out inside the damage, at places which the pixels themselves decide, so that
/// they are the same ones wherever a picture has moved to.
fn pieces<'a>(
    row_part: impl Fn(usize, usize, usize) -> &'a [u8],
    bounds: Rect,
    damaged: &[Rect],
    sampled: usize,
) -> Vec<Piece> {
    let mut found = Vec::new();
    for rect in damaged {
        let right =
            (rect.right() as usize).min((usize::from(bounds.w) + 1).saturating_sub(PIECE.0));
        let bottom =
            (rect.bottom() as usize).min((usize::from(bounds.h) + 1).saturating_sub(PIECE.1));
        let left = usize::from(rect.x);
        for y in (usize::from(rect.y)..bottom).step_by(sampled) {
            if found.len() >= MAX_PIECES {
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
    const FELT: usize = 16;
    let mut hash = 0u32;
    let mut before = 0;
    row.iter().enumerate().filter_map(move |(x, pixel)| {
        let pixel = u32::from_le_bytes(*pixel);
        hash = (hash << 2).wrapping_add(pixel.wrapping_mul(0x9e37_79b1));
        let edge = pixel != before;
        before = pixel;
        (edge && x >= FELT && hash.wrapping_mul(0x85eb_ca6b) >> 27 == 0).then(|| x - FELT + 1)
    })
}

fn fingerprint<'a>(row_part: impl Fn(usize, usize, usize) -> &'a [u8], x: usize, y: usize) -> u64 {
    let mut hash = 0u64;
    for row in (0..PIECE.1).step_by(2) {
        for bytes in row_part(x, y + row, PIECE.0 * 4).as_chunks::<8>().0 {
            hash = (hash.rotate_left(23) ^ u64::from_le_bytes(*bytes))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }
    hash
}

/// In the order of their hashes, those whose hash comes up once: a piece that is there twice doesn't
/// tell where it went.
fn only_once(mut pieces: Vec<Piece>) -> Vec<Piece> {
    pieces.sort_unstable();
    let single = |equal: &[Piece]| (equal.len() == 1).then(|| equal[0]);
    pieces
        .chunk_by(|one, other| one.0 == other.0)
        .filter_map(single)
        .collect()
}

/// Makes the move by this distance, of the rectangle that gains most by it, if that is enough.
fn try_move(
    distance: Distance,
    client: &mut ClientFramebuffer,
    framebuffer: &mut Framebuffer,
    damaged: &[Rect],
) -> Option<Move> {
    let target = target(distance, framebuffer.bounds(), damaged)?;
    let grid = Grid::new(target);
    let gains = grid.map(|tile| gain(tile, distance, client, framebuffer));
    let rect = grid.best(&gains)?;
    let rect = grown(rect, target, |strip| {
        fits(strip, distance, client, framebuffer)
    });
    let source = moved_back(rect, distance);
    let made = Move {
        rect,
        from: (source.x, source.y),
    };
    client.apply_copy(made);
    client.diff_into(rect, framebuffer);
    Some(made)
}

/// Where something can have come to: around the damage, and from inside the picture.
fn target(distance: Distance, bounds: Rect, damaged: &[Rect]) -> Option<Rect> {
    let around = damaged
        .iter()
        .copied()
        .reduce(|all, rect| all.around(&rect))?;
    let edge = |distance: i32, length: u16| {
        let first = distance.clamp(0, length.into());
        let end = (i32::from(length) + distance).clamp(first, length.into());
        (first as u16, (end - first) as u16)
    };
    let ((x, w), (y, h)) = (edge(distance.0, bounds.w), edge(distance.1, bounds.h));
    Rect { x, y, w, h }.intersection(&around)
}

fn moved_back(rect: Rect, (dx, dy): Distance) -> Rect {
    Rect {
        x: (i32::from(rect.x) - dx) as u16,
        y: (i32::from(rect.y) - dy) as u16,
        ..rect
    }
}

/// Whether what the client has at the rectangle's source is what the screen shows in it.
fn fits(
    rect: Rect,
    distance: Distance,
    client: &ClientFramebuffer,
    framebuffer: &Framebuffer,
) -> bool {
    let (source, width) = (moved_back(rect, distance), usize::from(framebuffer.width()));
    let length = usize::from(rect.w) * 4;
    rows(rect).zip(rows(source)).all(|(to, from)| {
        let at = (to * width + usize::from(rect.x)) * 4;
        framebuffer.pixels()[at..at + length] == *client.row_part(source.x.into(), from, length)
    })
}

/// Tiles that needn't be sent if this one is part of the move: one that becomes right, or less one
/// that was right and becomes wrong.
fn gain(
    tile: Rect,
    distance: Distance,
    client: &ClientFramebuffer,
    framebuffer: &mut Framebuffer,
) -> i32 {
    match (
        framebuffer.damage().touches(tile),
        fits(tile, distance, client, framebuffer),
    ) {
        (true, true) => 1,
        (false, false) => -1,
        _ => 0,
    }
}

/// Adds rows and columns of pixels that fit as well, less than a tile on each side.
fn grown(mut rect: Rect, target: Rect, fits: impl Fn(Rect) -> bool) -> Rect {
    for _ in 1..TILE {
        if rect.y > target.y
            && fits(Rect {
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
        if target.contains(&below) && fits(below) {
            rect.h += 1;
        }
    }
    for _ in 1..TILE {
        if rect.x > target.x
            && fits(Rect {
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
        if target.contains(&beside) && fits(beside) {
            rect.w += 1;
        }
    }
    rect
}

/// The tiles of the screen that a rectangle touches.
struct Grid {
    target: Rect,
    columns: usize,
    rows: usize,
}

impl Grid {
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
    fn best(&self, gains: &[i32]) -> Option<Rect> {
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
        let mut best = (MIN_SAVED - 1, None);
        for first in 0..across {
            let mut sums = vec![0; along];
            for last in first..across {
                sums.iter_mut()
                    .enumerate()
                    .for_each(|(j, sum)| *sum += gain(last, j));
                let (sum, start, end) = best_run(&sums);
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
fn best_run(sums: &[i32]) -> (i32, usize, usize) {
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
