//! Which parts of the screen changed: a short list of rectangles.
//!
//! Each rectangle costs a request to the window system and a header on the wire, each needless pixel
//! costs its bytes; the list is kept short by joining rectangles where that wastes little. And what one request
//! reads is of one moment: between two a program may draw its next frame, of which one would show a part.

use crate::geometry::Rect;

/// Pixels that may be wasted to save one rectangle (about what a request and a header cost).
const SLACK: u64 = 2048;
/// Pixels for each that may be wasted, where that is more: what is drawn around a small window that lies on top.
const PIXELS_FOR_ONE: u64 = 16;
/// Most rectangles that are kept apart.
const MOST: usize = 24;

/// A set of pixels that covers at least every rectangle that was added.
#[derive(Clone, Debug, Default)]
pub struct Region {
    rects: Vec<Rect>,
}

impl Region {
    /// A region of one rectangle.
    #[must_use]
    pub fn of(rect: Rect) -> Self {
        let mut region = Self::default();
        region.add(rect);
        region
    }

    /// Whether it holds no pixel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rects.is_empty()
    }

    /// The rectangles, none of them empty; they may overlap a little.
    #[must_use]
    pub fn rects(&self) -> &[Rect] {
        &self.rects
    }

    /// The smallest rectangle around all of it.
    #[must_use]
    pub fn bounds(&self) -> Rect {
        self.rects
            .iter()
            .fold(Rect::default(), |all, r| all.around(r))
    }

    /// Adds a rectangle, joined with those that it lies close to.
    pub fn add(&mut self, rect: Rect) {
        if rect.is_empty() || self.rects.iter().any(|r| r.contains(&rect)) {
            return;
        }
        let mut grown = rect;
        while let Some(near) = self.rects.iter().position(|r| wastes_little(r, &grown)) {
            grown = grown.around(&self.rects.swap_remove(near));
        }
        self.rects.retain(|r| !grown.contains(r));
        self.rects.push(grown);
        if self.rects.len() > MOST {
            self.join_cheapest();
        }
    }

    /// Takes away what lies inside `within` and returns it; the rest stays.
    pub fn take(&mut self, within: Rect) -> Region {
        let mut taken = Region::default();
        let mut rest = Region::default();
        for rect in self.rects.drain(..) {
            let inside = rect.intersection(&within);
            taken.add(inside);
            for piece in outside(&rect, &inside) {
                rest.add(piece);
            }
        }
        *self = rest;
        taken
    }

    fn join_cheapest(&mut self) {
        let mut best = (u64::MAX, 0, 1);
        for (i, a) in self.rects.iter().enumerate() {
            for (j, b) in self.rects.iter().enumerate().skip(i + 1) {
                best = best.min((waste(a, b), i, j));
            }
        }
        let (_, i, j) = best;
        let joined = self.rects.swap_remove(j).around(&self.rects.swap_remove(i));
        self.rects.retain(|r| !joined.contains(r));
        self.rects.push(joined);
    }
}

fn wastes_little(a: &Rect, b: &Rect) -> bool {
    waste(a, b) <= SLACK.max(a.around(b).area() / PIXELS_FOR_ONE)
}

/// Pixels that joining the two would add to what they cover now.
fn waste(a: &Rect, b: &Rect) -> u64 {
    let covered = a.area() + b.area() - a.intersection(b).area();
    a.around(b).area().saturating_sub(covered)
}

/// What is left of `rect` without `hole`, which lies inside it: above, below, left and right of it.
fn outside(rect: &Rect, hole: &Rect) -> [Rect; 4] {
    if hole.is_empty() {
        return [*rect, Rect::default(), Rect::default(), Rect::default()];
    }
    let above = Rect {
        h: hole.y - rect.y,
        ..*rect
    };
    let below_y = hole.y.saturating_add(hole.h);
    let below = Rect {
        y: below_y,
        h: rect.h - above.h - hole.h,
        ..*rect
    };
    let left = Rect {
        y: hole.y,
        h: hole.h,
        w: hole.x - rect.x,
        x: rect.x,
    };
    let right_x = hole.x.saturating_add(hole.w);
    let right = Rect {
        x: right_x,
        y: hole.y,
        w: rect.w - left.w - hole.w,
        h: hole.h,
    };
    [above, below, left, right]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIDE: u16 = 300;

    prop_compose! {
        fn any_rect()(x in 0..SIDE, y in 0..SIDE)(x in Just(x), y in Just(y), w in 0..=SIDE - x, h in 0..=SIDE - y) -> Rect {
            Rect { x, y, w, h }
        }
    }

    fn covers(region: &Region, x: u16, y: u16) -> bool {
        let pixel = Rect { x, y, w: 1, h: 1 };
        region.rects().iter().any(|r| r.contains(&pixel))
    }

    proptest! {
        #[test]
        fn covers_what_was_added(rects in prop::collection::vec(any_rect(), 0..60)) {
            let mut region = Region::default();
            for rect in &rects {
                region.add(*rect);
            }
            prop_assert!(region.rects().len() <= MOST);
            for rect in rects.iter().filter(|r| !r.is_empty()) {
                for (x, y) in [(rect.x, rect.y), (rect.x + rect.w - 1, rect.y + rect.h - 1), (rect.x + rect.w / 2, rect.y + rect.h / 2)] {
                    prop_assert!(covers(&region, x, y));
                }
                prop_assert!(region.bounds().contains(rect));
            }
        }

        #[test]
        fn take_splits_without_loss(rects in prop::collection::vec(any_rect(), 1..8), within in any_rect()) {
            let mut whole = Region::default();
            for rect in &rects {
                whole.add(*rect);
            }
            let mut rest = whole.clone();
            let taken = rest.take(within);
            prop_assert!(taken.rects().iter().all(|r| within.contains(r)));
            for x in (0..SIDE).step_by(7) {
                for y in (0..SIDE).step_by(7) {
                    if covers(&whole, x, y) {
                        prop_assert!(covers(&taken, x, y) || covers(&rest, x, y));
                    }
                }
            }
        }
    }

    #[test]
    fn far_ones_stay_apart_and_near_ones_join() {
        let mut region = Region::of(Rect {
            x: 0,
            y: 0,
            w: 20,
            h: 20,
        });
        region.add(Rect {
            x: 500,
            y: 500,
            w: 20,
            h: 20,
        });
        assert_eq!(region.rects().len(), 2);
        region.add(Rect {
            x: 22,
            y: 0,
            w: 20,
            h: 20,
        });
        assert_eq!(region.rects().len(), 2);
    }

    /// Left and right of a bar at the top, and below it, as the X server reports it.
    #[test]
    fn a_frame_behind_a_bar_is_one() {
        let mut region = Region::default();
        for (x, y, w, h) in [(0, 0, 587, 68), (1333, 0, 587, 68), (0, 68, 1920, 1012)] {
            region.add(Rect { x, y, w, h });
        }
        let screen = Rect {
            x: 0,
            y: 0,
            w: 1920,
            h: 1080,
        };
        assert_eq!(region.rects(), [screen]);
    }
}
