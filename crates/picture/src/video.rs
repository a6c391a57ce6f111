//! Video detection. Finds blocks of 64×64 pixels that change at frame rate and look photographic,
//! which may go as JPEG; tracks which pixels the client has only lossily; and schedules their
//! lossless refresh.

use crate::damage::{Damage, TILE};
use crate::framebuffer::Framebuffer;
use crate::grid::BLOCK_SIZE;
use crate::photo::looks_like_a_photo;
use etatuki_rfb::{MAX_JPEG_WIDTH, Rect};
use std::time::Duration;

/// Longest time between two changes that count as consecutive frames.
const MAX_FRAME_INTERVAL: Duration = Duration::from_millis(250);
/// Time within which several changes count as one.
const COALESCE_WINDOW: Duration = Duration::from_millis(20);
/// Consecutive changes that make a block video.
const VIDEO_THRESHOLD: u8 = 3;
/// Largest JPEG in pixels: two rows of blocks in full HD. Each file has some 600 bytes of tables,
/// which fewer and larger ones save; but the first should travel, and be decoded, while the next is
/// encoded.
const MAX_JPEG_AREA: usize = 2 * 1920 * BLOCK_SIZE as usize;
/// Time without change after which what went as JPEG is sent losslessly.
const LOSSLESS_REFRESH_DELAY: Duration = Duration::from_millis(300);

/// The blocks of one client's picture, and the pixels that it has only lossily.
#[derive(Debug)]
pub(crate) struct VideoRegions {
    columns: usize,
    blocks: Vec<BlockState>,
    /// The pixels that the client has from a JPEG.
    lossy: Damage,
    /// The earliest time at which a refresh may be due; `None` while the client has everything
    /// exactly.
    refresh_at: Option<Duration>,
}

/// The recent changes of a block.
#[derive(Clone, Copy, Debug, Default)]
struct BlockState {
    changed_at: Duration,
    /// Changes in a row at frame rate.
    consecutive_changes: u8,
    classification: Classification,
    /// Its last change was sent while the rest of the frame was still to come.
    sent_early: bool,
}

/// The changed blocks that may go as JPEG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JpegCandidates {
    /// Blocks that change like video.
    Video,
    /// Also photographs that stand still: the link is too slow for them losslessly.
    VideoAndStills,
}

/// Cached answers about a block since it last changed: on a slow link it waits for many updates.
#[derive(Clone, Copy, Debug, Default)]
struct Classification {
    /// The block is a photograph.
    whole: Option<bool>,
    /// Each of its quarters is one.
    quarters: Option<bool>,
    /// The part of it that is one, without a window's frame or a bar.
    part: Option<Option<Rect>>,
}

impl VideoRegions {
    pub(crate) fn new(width: u16, height: u16) -> Self {
        let columns = usize::from(width.div_ceil(BLOCK_SIZE));
        Self {
            columns,
            blocks: vec![BlockState::default(); columns * usize::from(height.div_ceil(BLOCK_SIZE))],
            lossy: Damage::new(width, height),
            refresh_at: None,
        }
    }

    /// Counts the changes of the blocks that these rectangles touch.
    pub(crate) fn record_changes(&mut self, rects: &[Rect], now: Duration) {
        for rect in rects {
            for at in self.blocks_touching(*rect) {
                let block = &mut self.blocks[at];
                let since = now.saturating_sub(block.changed_at);
                if block.consecutive_changes > 0 && since < COALESCE_WINDOW {
                    continue;
                }
                let again = block.consecutive_changes > 0 && since < MAX_FRAME_INTERVAL;
                block.consecutive_changes = if again {
                    block.consecutive_changes.saturating_add(1)
                } else {
                    1
                };
                block.changed_at = now;
            }
        }
    }

    /// Returns the video blocks of a frame that is still coming which have changed completely,
    /// merged where they touch.
    pub(crate) fn complete_blocks(
        &mut self,
        framebuffer: &mut Framebuffer,
        now: Duration,
    ) -> Vec<Rect> {
        self.drop_stale_classifications(framebuffer);
        let mut rects: Vec<Rect> = Vec::new();
        for at in 0..self.blocks.len() {
            let recent = now.saturating_sub(self.blocks[at].changed_at) < MAX_FRAME_INTERVAL;
            let block = self.block_rect(at, framebuffer);
            let complete = recent && self.is_video(at) && framebuffer.damage().covers(block);
            if complete && self.is_photographic(at, framebuffer) {
                append_merged(&mut rects, block);
            }
        }
        merge_vertically(rects)
    }

    /// Notes that the client got a JPEG of this before the rest of the frame had come.
    pub(crate) fn mark_sent_early(&mut self, rect: Rect, now: Duration) {
        self.record_changes(&[rect], now);
        for at in self.blocks_touching(rect) {
            self.blocks[at].sent_early = true;
        }
    }

    /// Returns those of the changed rectangles that may go as JPEG: whole blocks, merged where they
    /// touch, or the photographic part of a block at a video's edge.
    pub(crate) fn jpeg_rects(
        &mut self,
        changed: &[Rect],
        candidates: JpegCandidates,
        framebuffer: &mut Framebuffer,
    ) -> Vec<Rect> {
        self.drop_stale_classifications(framebuffer);
        let framebuffer = &*framebuffer;
        let mut changed_area = vec![0usize; self.blocks.len()];
        for rect in changed {
            for at in self.blocks_touching(*rect) {
                if candidates == JpegCandidates::VideoAndStills || self.is_video(at) {
                    let inside = self.block_rect(at, framebuffer).intersection(rect);
                    changed_area[at] += inside.map_or(0, |inside| inside.area());
                }
            }
        }
        // A small change costs less as it is than the whole block anew.
        let mostly_changed = |at: usize| {
            changed_area[at] > 0 && changed_area[at] * 2 >= self.block_rect(at, framebuffer).area()
        };
        let mostly_changed: Vec<bool> = (0..self.blocks.len()).map(mostly_changed).collect();
        let photos: Vec<bool> = (0..self.blocks.len())
            .map(|at| mostly_changed[at] && self.is_photographic(at, framebuffer))
            .collect();
        let shows_video = |video: &Self, at: usize| photos[at] || video.blocks[at].sent_early;
        let mut rects: Vec<Rect> = Vec::new();
        for at in (0..self.blocks.len()).filter(|at| mostly_changed[*at]) {
            let block = self.block_rect(at, framebuffer);
            let part = if photos[at] {
                Some(block)
            } else if self.is_video(at)
                && self.neighbours(at).any(|beside| shows_video(self, beside))
            {
                let part = &mut self.blocks[at].classification.part;
                *part.get_or_insert_with(|| find_photo_part(framebuffer, block))
            } else {
                None
            };
            if let Some(part) = part {
                append_merged(&mut rects, part);
            }
        }
        for block in &mut self.blocks {
            block.sent_early = false;
        }
        merge_vertically(rects)
    }

    /// Forgets what is known of the blocks that have changed, or of all of them while the
    /// framebuffer has another size.
    fn drop_stale_classifications(&mut self, framebuffer: &mut Framebuffer) {
        if framebuffer.bounds() == self.lossy.bounds() {
            for at in framebuffer.take_changed_blocks() {
                self.blocks[at].classification = Classification::default();
            }
        } else {
            for block in &mut self.blocks {
                block.classification = Classification::default();
            }
        }
    }

    /// Returns whether the block may go as JPEG. What stands still is examined more closely, since
    /// it may be text.
    fn is_photographic(&mut self, at: usize, framebuffer: &Framebuffer) -> bool {
        let (block, is_video) = (self.block_rect(at, framebuffer), self.is_video(at));
        let classification = &mut self.blocks[at].classification;
        let whole = classification
            .whole
            .get_or_insert_with(|| is_photo(framebuffer, block));
        let quarters = || are_quarters_photo(framebuffer, block);
        *whole && (is_video || *classification.quarters.get_or_insert_with(quarters))
    }

    fn is_video(&self, at: usize) -> bool {
        self.blocks[at].consecutive_changes >= VIDEO_THRESHOLD
    }

    /// Returns whether all blocks of a rectangle change like video.
    pub(crate) fn is_all_video(&self, rect: Rect) -> bool {
        self.blocks_touching(rect).all(|at| self.is_video(at))
    }

    /// Notes that the client got a JPEG of this.
    pub(crate) fn mark_lossy(&mut self, rect: Rect) {
        self.lossy.add(rect);
        let rested_at = self
            .blocks_touching(rect)
            .map(|at| self.blocks[at].changed_at + LOSSLESS_REFRESH_DELAY);
        self.refresh_at = self.refresh_at.into_iter().chain(rested_at).min();
    }

    /// Notes that the client got these pixels losslessly.
    pub(crate) fn mark_exact(&mut self, rect: Rect) {
        if self.refresh_at.is_some() {
            self.lossy.remove(rect);
        }
    }

    /// Makes a copy that the client makes.
    pub(crate) fn apply_copy(&mut self, rect: Rect, from: (u16, u16)) {
        if self.refresh_at.is_some() {
            self.lossy.apply_copy(rect, from);
        }
    }

    /// Returns the lossy pixels that have rested for [`LOSSLESS_REFRESH_DELAY`], sorted from top to
    /// bottom.
    pub(crate) fn due_refresh(&mut self, now: Duration) -> Vec<Rect> {
        if self.refresh_at.is_none_or(|refresh_at| now < refresh_at) {
            return Vec::new();
        }
        let (mut due, mut refresh_at) = (Vec::new(), None);
        for rect in self.lossy.rects(self.lossy.bounds()) {
            for at in self.blocks_touching(rect) {
                let rested_at = self.blocks[at].changed_at + LOSSLESS_REFRESH_DELAY;
                refresh_at = refresh_at.into_iter().chain([rested_at]).min();
                let part = self.block_square(at).intersection(&rect);
                due.extend(part.filter(|_| rested_at <= now));
            }
        }
        self.refresh_at = refresh_at;
        due.sort_by_key(|rect| (rect.y, rect.x));
        due
    }

    /// Postpones a refresh that is due but can't be sent now, so that it isn't searched for all the
    /// time.
    pub(crate) fn defer_refresh(&mut self, now: Duration) {
        self.refresh_at = self.refresh_at.map(|at| {
            if at <= now {
                now + LOSSLESS_REFRESH_DELAY
            } else {
                at
            }
        });
    }

    /// Returns the earliest time at which [`due_refresh`](Self::due_refresh) may return something;
    /// `None` while the client has everything exactly.
    pub(crate) fn refresh_at(&self) -> Option<Duration> {
        self.refresh_at
    }

    /// Returns the indices of the blocks that a rectangle touches.
    fn blocks_touching(&self, rect: Rect) -> impl Iterator<Item = usize> + use<> {
        let columns = self.columns;
        let span = |start: u16, end: u32| {
            usize::from(start / BLOCK_SIZE)..(end as usize).div_ceil(usize::from(BLOCK_SIZE))
        };
        let across = span(rect.x, rect.right());
        let down = span(rect.y, rect.bottom());
        let empty = rect.is_empty();
        down.flat_map(move |y| across.clone().map(move |x| y * columns + x))
            .filter(move |_| !empty)
    }

    /// Returns the indices of the blocks to the left and right, above and below.
    fn neighbours(&self, at: usize) -> impl Iterator<Item = usize> {
        let (column, columns) = (at % self.columns, self.columns);
        let left = (column > 0).then(|| at - 1);
        let right = (column + 1 < columns).then_some(at + 1);
        let below = Some(at + columns).filter(|below| *below < self.blocks.len());
        [left, right, at.checked_sub(columns), below]
            .into_iter()
            .flatten()
    }

    fn block_square(&self, at: usize) -> Rect {
        let (x, y) = (at % self.columns, at / self.columns);
        Rect::new(
            x as u16 * BLOCK_SIZE,
            y as u16 * BLOCK_SIZE,
            BLOCK_SIZE,
            BLOCK_SIZE,
        )
    }

    fn block_rect(&self, at: usize, framebuffer: &Framebuffer) -> Rect {
        self.block_square(at)
            .intersection(&framebuffer.bounds())
            .unwrap_or_default()
    }
}

/// Appends `rect`, merging it with the last one if they are horizontally adjacent.
fn append_merged(rects: &mut Vec<Rect>, rect: Rect) {
    match rects.last_mut() {
        Some(last)
            if (last.y, last.h) == (rect.y, rect.h)
                && last.right() == u32::from(rect.x)
                && last.w + rect.w <= MAX_JPEG_WIDTH =>
        {
            last.w += rect.w;
        }
        _ => rects.push(rect),
    }
}

/// Merges vertically adjacent rectangles of equal width, up to [`MAX_JPEG_AREA`].
fn merge_vertically(rects: Vec<Rect>) -> Vec<Rect> {
    let mut merged: Vec<Rect> = Vec::new();
    for rect in rects {
        let fits = |above: &&mut Rect| {
            (above.x, above.w) == (rect.x, rect.w)
                && above.bottom() == u32::from(rect.y)
                && above.area() + rect.area() <= MAX_JPEG_AREA
        };
        match merged.iter_mut().rev().find(fits) {
            Some(above) => above.h += rect.h,
            None => merged.push(rect),
        }
    }
    merged
}

/// Returns the rest of a block without one or two rows of tiles at one of its sides, where a
/// window's frame or a bar may lie, if that rest is a photograph. Several parts are tried, so each
/// has to pass the closer examination.
fn find_photo_part(framebuffer: &Framebuffer, block: Rect) -> Option<Rect> {
    let (x, y) = (block.x, block.y);
    let (right, bottom) = (x + block.w, y + block.h);
    let parts = [TILE, 2 * TILE].into_iter().flat_map(|cut| {
        // At the framebuffer's edge a block may end where no tile does.
        let before = |end: u16| end.saturating_sub(cut).next_multiple_of(TILE);
        [
            rect_between((x, y), (right, before(bottom))),
            rect_between((x, y + cut), (right, bottom)),
            rect_between((x, y), (before(right), bottom)),
            rect_between((x + cut, y), (right, bottom)),
        ]
    });
    parts
        .flatten()
        .find(|part| is_photo(framebuffer, *part) && are_quarters_photo(framebuffer, *part))
}

/// Returns the rectangle from one corner to the other, which is outside of it; `None` if it is
/// empty.
fn rect_between((x, y): (u16, u16), (right, bottom): (u16, u16)) -> Option<Rect> {
    let inside = right > x && bottom > y;
    inside.then(|| Rect::new(x, y, right - x, bottom - y))
}

fn is_photo(framebuffer: &Framebuffer, block: Rect) -> bool {
    let stride = usize::from(framebuffer.width()) * 4;
    looks_like_a_photo(framebuffer.pixels(), stride, block)
}

/// Returns whether each quarter of a block is a photograph. Texture that outweighs the sliver of a
/// letter in a block doesn't in its quarter.
fn are_quarters_photo(framebuffer: &Framebuffer, block: Rect) -> bool {
    let (w, h) = (block.w / 2, block.h / 2);
    [(0, 0), (w, 0), (0, h), (w, h)]
        .map(|(x, y)| Rect {
            x: block.x + x,
            y: block.y + y,
            w: if x == 0 { w } else { block.w - w },
            h: if y == 0 { h } else { block.h - h },
        })
        .into_iter()
        .all(|quarter| is_photo(framebuffer, quarter))
}
