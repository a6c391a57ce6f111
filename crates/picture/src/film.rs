//! What changes again and again like a film, what of it the client has only nearly as it is, and when that is due to be
//! sent as it is.

use crate::damage::{Damage, TILE};
use crate::framebuffer::Framebuffer;
use crate::grid::BLOCK_SIZE;
use crate::photo::looks_like_a_photo;
use etatuki_rfb::{MAX_JPEG_WIDTH, Rect};
use std::time::Duration;

/// What changes again after less than this is moving.
const BETWEEN: Duration = Duration::from_millis(250);
/// Changes within this are one.
const SAME: Duration = Duration::from_millis(20);
/// So many changes in a row make a film.
const MANY: u8 = 3;
/// Pixels of one JPEG at most: two rows of blocks in full HD. Each has some 600 bytes of tables, which a few larger ones
/// save; but the first should be on its way, and be decoded, while the next is made.
const LARGEST: usize = 2 * 1920 * BLOCK_SIZE as usize;
/// What has been still for so long is sent as it is.
const REST: Duration = Duration::from_millis(300);

/// One client's blocks, and where it has a JPEG's pixels instead of the screen's.
#[derive(Debug)]
pub(crate) struct Film {
    columns: usize,
    blocks: Vec<Block>,
    lossy: Damage,
    /// When something of that may be due; never before. `None` while there is none of it.
    due: Option<Duration>,
}

/// What a block did lately.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    changed: Duration,
    in_a_row: u8,
    judged: Judged,
    /// Its last change went off while the rest of the frame was still to come.
    ahead: bool,
}

/// What was found out about a block since it changed: on a slow line it waits for many updates.
#[derive(Clone, Copy, Debug, Default)]
struct Judged {
    /// Whether it is a photograph.
    photo: Option<bool>,
    /// Whether each of its quarters is.
    quarters: Option<bool>,
    /// What of it is one, without a frame or a bar.
    within: Option<Option<Rect>>,
}

impl Film {
    pub(crate) fn new(width: u16, height: u16) -> Self {
        let columns = usize::from(width.div_ceil(BLOCK_SIZE));
        Self {
            columns,
            blocks: vec![Block::default(); columns * usize::from(height.div_ceil(BLOCK_SIZE))],
            lossy: Damage::new(width, height),
            due: None,
        }
    }

    /// The rectangles of what changed.
    pub(crate) fn changed(&mut self, rects: &[Rect], now: Duration) {
        for rect in rects {
            for at in self.touched(*rect) {
                let block = &mut self.blocks[at];
                let since = now.saturating_sub(block.changed);
                if block.in_a_row > 0 && since < SAME {
                    continue;
                }
                let again = block.in_a_row > 0 && since < BETWEEN;
                block.in_a_row = if again {
                    block.in_a_row.saturating_add(1)
                } else {
                    1
                };
                block.changed = now;
            }
        }
    }

    /// Of a frame that is still coming, the blocks that may go as JPEG: those of a film of which all has changed. They are
    /// joined where they can be.
    pub(crate) fn ripe(&mut self, framebuffer: &mut Framebuffer, now: Duration) -> Vec<Rect> {
        self.forget(framebuffer);
        let mut scenes: Vec<Rect> = Vec::new();
        for at in 0..self.blocks.len() {
            let lately = now.saturating_sub(self.blocks[at].changed) < BETWEEN;
            let block = self.block(at, framebuffer);
            let whole = lately && self.moves(at) && framebuffer.damage().covers(block);
            let scene = (whole && self.is_scene(at, framebuffer)).then_some(block);
            scenes = joined(scenes, scene);
        }
        stacked(scenes)
    }

    /// The client got a JPEG of this before the rest of the frame had come.
    pub(crate) fn went_ahead(&mut self, rect: Rect, now: Duration) {
        self.changed(&[rect], now);
        for at in self.touched(rect) {
            self.blocks[at].ahead = true;
        }
    }

    /// Of the changed rectangles, those that may go as JPEG, in whole blocks that are joined where they can be:
    /// photographs that move; or all of them (`every`), where what stands still is too much for the line, too. Of a block
    /// at a film's edge it may be a part.
    pub(crate) fn scenes(
        &mut self,
        rects: &[Rect],
        every: bool,
        framebuffer: &mut Framebuffer,
    ) -> Vec<Rect> {
        self.forget(framebuffer);
        let framebuffer = &*framebuffer;
        let mut changed = vec![0usize; self.blocks.len()];
        for rect in rects {
            for at in self.touched(*rect) {
                if every || self.moves(at) {
                    let inside = self.block(at, framebuffer).intersection(rect);
                    changed[at] += inside.map_or(0, |inside| inside.area());
                }
            }
        }
        // A little of a picture costs less as it is than the whole block anew.
        let much =
            |at: usize| changed[at] > 0 && changed[at] * 2 >= self.block(at, framebuffer).area();
        let much: Vec<bool> = (0..self.blocks.len()).map(much).collect();
        let photos: Vec<bool> = (0..self.blocks.len())
            .map(|at| much[at] && self.is_scene(at, framebuffer))
            .collect();
        let shows_film = |film: &Self, at: usize| photos[at] || film.blocks[at].ahead;
        let mut scenes: Vec<Rect> = Vec::new();
        for at in (0..self.blocks.len()).filter(|at| much[*at]) {
            let block = self.block(at, framebuffer);
            let scene = if photos[at] {
                Some(block)
            } else if self.moves(at) && self.neighbours(at).any(|beside| shows_film(self, beside)) {
                let within = &mut self.blocks[at].judged.within;
                *within.get_or_insert_with(|| film_within(framebuffer, block))
            } else {
                None
            };
            scenes = joined(scenes, scene);
        }
        for block in &mut self.blocks {
            block.ahead = false;
        }
        stacked(scenes)
    }

    /// What is known of blocks that have changed, or of all of them while the screen's size is another one.
    fn forget(&mut self, framebuffer: &mut Framebuffer) {
        if framebuffer.bounds() == self.lossy.bounds() {
            for at in framebuffer.take_changed_blocks() {
                self.blocks[at].judged = Judged::default();
            }
        } else {
            for block in &mut self.blocks {
                block.judged = Judged::default();
            }
        }
    }

    fn is_scene(&mut self, at: usize, framebuffer: &Framebuffer) -> bool {
        let (block, moves) = (self.block(at, framebuffer), self.moves(at));
        let judged = &mut self.blocks[at].judged;
        let photo = judged
            .photo
            .get_or_insert_with(|| is_photo(framebuffer, block));
        let quarters = || is_all_photo(framebuffer, block);
        *photo && (moves || *judged.quarters.get_or_insert_with(quarters))
    }

    fn moves(&self, at: usize) -> bool {
        self.blocks[at].in_a_row >= MANY
    }

    /// Whether all of this moves like a film.
    pub(crate) fn is_moving(&self, rect: Rect) -> bool {
        self.touched(rect).all(|at| self.moves(at))
    }

    /// The client got a JPEG of this.
    pub(crate) fn blurred(&mut self, rect: Rect) {
        self.lossy.add(rect);
        let rested = self.touched(rect).map(|at| self.blocks[at].changed + REST);
        self.due = self.due.into_iter().chain(rested).min();
    }

    /// The client got this as it is.
    pub(crate) fn exact(&mut self, rect: Rect) {
        if self.due.is_some() {
            self.lossy.remove(rect);
        }
    }

    /// The client makes a move.
    pub(crate) fn moved(&mut self, rect: Rect, from: (u16, u16)) {
        if self.due.is_some() {
            self.lossy.copy(rect, from);
        }
    }

    /// What the client should get as it is by now, from top to bottom.
    pub(crate) fn rested(&mut self, now: Duration) -> Vec<Rect> {
        if self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        let (mut rested, mut due) = (Vec::new(), None);
        for rect in self.lossy.rects(self.lossy.bounds()) {
            for at in self.touched(rect) {
                let since = self.blocks[at].changed + REST;
                due = due.into_iter().chain([since]).min();
                let part = self.square(at).intersection(&rect);
                rested.extend(part.filter(|_| since <= now));
            }
        }
        self.due = due;
        rested.sort_by_key(|rect| (rect.y, rect.x));
        rested
    }

    /// What has rested can't be sent now: it is looked for again later, and not all the time.
    pub(crate) fn postpone(&mut self, now: Duration) {
        self.due = self
            .due
            .map(|due| if due <= now { now + REST } else { due });
    }

    /// When [`rested`](Self::rested) may have something; `None` while all that the client has is exact.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// The blocks that a rectangle touches.
    fn touched(&self, rect: Rect) -> impl Iterator<Item = usize> + use<> {
        let columns = self.columns;
        let of = |start: u16, end: u32| {
            usize::from(start / BLOCK_SIZE)..(end as usize).div_ceil(usize::from(BLOCK_SIZE))
        };
        let across = of(rect.x, rect.right());
        let down = of(rect.y, rect.bottom());
        let empty = rect.is_empty();
        down.flat_map(move |y| across.clone().map(move |x| y * columns + x))
            .filter(move |_| !empty)
    }

    /// The blocks to the left and right, above and below.
    fn neighbours(&self, at: usize) -> impl Iterator<Item = usize> {
        let (column, columns) = (at % self.columns, self.columns);
        let left = (column > 0).then(|| at - 1);
        let right = (column + 1 < columns).then_some(at + 1);
        let below = Some(at + columns).filter(|below| *below < self.blocks.len());
        [left, right, at.checked_sub(columns), below]
            .into_iter()
            .flatten()
    }

    fn square(&self, at: usize) -> Rect {
        let (x, y) = (at % self.columns, at / self.columns);
        Rect::new(
            x as u16 * BLOCK_SIZE,
            y as u16 * BLOCK_SIZE,
            BLOCK_SIZE,
            BLOCK_SIZE,
        )
    }

    fn block(&self, at: usize, framebuffer: &Framebuffer) -> Rect {
        let square = self.square(at);
        square
            .intersection(&framebuffer.bounds())
            .unwrap_or_default()
    }
}

/// A rectangle more, as a part of the last one where it goes on there.
fn joined(mut scenes: Vec<Rect>, scene: Option<Rect>) -> Vec<Rect> {
    let Some(scene) = scene else { return scenes };
    match scenes.last_mut() {
        Some(last)
            if (last.y, last.h) == (scene.y, scene.h)
                && last.right() == u32::from(scene.x)
                && last.w + scene.w <= MAX_JPEG_WIDTH =>
        {
            last.w += scene.w;
        }
        _ => scenes.push(scene),
    }
    scenes
}

/// The same with those that go on below.
fn stacked(scenes: Vec<Rect>) -> Vec<Rect> {
    let mut stacked: Vec<Rect> = Vec::new();
    for scene in scenes {
        let fits = |above: &&mut Rect| {
            (above.x, above.w) == (scene.x, scene.w)
                && above.bottom() == u32::from(scene.y)
                && above.area() + scene.area() <= LARGEST
        };
        match stacked.iter_mut().rev().find(fits) {
            Some(above) => above.h += scene.h,
            None => stacked.push(scene),
        }
    }
    stacked
}

/// What is left of a block without the frame of the window that the film is shown in, or the bar that lies on it: one or
/// two rows of tiles at one of its sides. This asks more than once, so that the answer has to be surer.
fn film_within(framebuffer: &Framebuffer, block: Rect) -> Option<Rect> {
    let (x, y) = (block.x, block.y);
    let (right, bottom) = (x + block.w, y + block.h);
    let parts = [TILE, 2 * TILE].into_iter().flat_map(|cut| {
        // At the screen's edge a block may end where no tile does.
        let before = |end: u16| end.saturating_sub(cut).next_multiple_of(TILE);
        [
            between((x, y), (right, before(bottom))),
            between((x, y + cut), (right, bottom)),
            between((x, y), (before(right), bottom)),
            between((x + cut, y), (right, bottom)),
        ]
    });
    parts
        .flatten()
        .find(|part| is_photo(framebuffer, *part) && is_all_photo(framebuffer, *part))
}

/// From one corner to the one that lies outside; `None` where nothing is between them.
fn between((x, y): (u16, u16), (right, bottom): (u16, u16)) -> Option<Rect> {
    let inside = right > x && bottom > y;
    inside.then(|| Rect::new(x, y, right - x, bottom - y))
}

fn is_photo(framebuffer: &Framebuffer, block: Rect) -> bool {
    let stride = usize::from(framebuffer.width()) * 4;
    looks_like_a_photo(framebuffer.pixels(), stride, block)
}

/// What stands still may be text, and what outweighs the sliver of a letter in a block doesn't in its quarters.
fn is_all_photo(framebuffer: &Framebuffer, block: Rect) -> bool {
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
