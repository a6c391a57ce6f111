//! Damage as a short list of rectangles.
//!
//! Each rectangle costs a request to the window system and a header on the wire, each needless
//! pixel costs its bytes: rectangles are merged where that wastes few pixels. Merging also avoids
//! tearing: one request reads pixels of one moment, but a program may draw its next frame between
//! two.

use crate::geometry::Rect;

/// Pixels that a merge may waste: about the cost of a request and a header.
const MAX_WASTED_PIXELS: u64 = 2048;
/// A merge may also waste this fraction (1/16) of the merged area, if that is more: damage reported
/// around a small window on top merges into one rectangle.
const WASTE_DIVISOR: u64 = 16;
/// Maximum number of rectangles.
const MAX_RECTS: usize = 24;

/// A set of pixels that covers every added rectangle, and possibly some pixels beside them.
#[derive(Clone, Debug, Default)]
pub struct CoalescedRegion {
    rects: Vec<Rect>,
}

impl CoalescedRegion {
    /// Creates a region of one rectangle.
    #[must_use]
    pub fn from_rect(rect: Rect) -> Self {
        let mut region = Self::default();
        region.add(rect);
        region
    }

    /// Returns whether it contains no pixel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rects.is_empty()
    }

    /// Returns the rectangles. None is empty; they may overlap.
    #[must_use]
    pub fn rects(&self) -> &[Rect] {
        &self.rects
    }

    /// Returns the bounding box.
    #[must_use]
    pub fn bounds(&self) -> Rect {
        self.rects
            .iter()
            .fold(Rect::default(), |all, r| all.union(r))
    }

    /// Adds a rectangle, merged with those close to it.
    pub fn add(&mut self, rect: Rect) {
        if rect.is_empty() || self.rects.iter().any(|r| r.contains(&rect)) {
            return;
        }
        let mut merged = rect;
        while let Some(near) = self.rects.iter().position(|r| is_worth_merging(r, &merged)) {
            merged = merged.union(&self.rects.swap_remove(near));
        }
        self.rects.retain(|r| !merged.contains(r));
        self.rects.push(merged);
        if self.rects.len() > MAX_RECTS {
            self.merge_cheapest_pair();
        }
    }

    /// Removes the part inside `within` and returns it.
    pub fn take_within(&mut self, within: Rect) -> CoalescedRegion {
        let mut taken = CoalescedRegion::default();
        let mut rest = CoalescedRegion::default();
        for rect in self.rects.drain(..) {
            let inside = rect.intersection(&within);
            taken.add(inside);
            for part in subtract(&rect, &inside) {
                rest.add(part);
            }
        }
        *self = rest;
        taken
    }

    /// Merges the two rectangles that waste the fewest pixels together.
    fn merge_cheapest_pair(&mut self) {
        let mut best = (u64::MAX, 0, 1);
        for (i, a) in self.rects.iter().enumerate() {
            for (j, b) in self.rects.iter().enumerate().skip(i + 1) {
                best = best.min((merge_waste(a, b), i, j));
            }
        }
        let (_, i, j) = best;
        let merged = self.rects.swap_remove(j).union(&self.rects.swap_remove(i));
        self.rects.retain(|r| !merged.contains(r));
        self.rects.push(merged);
    }
}

/// Returns whether merging wastes few enough pixels.
fn is_worth_merging(a: &Rect, b: &Rect) -> bool {
    merge_waste(a, b) <= MAX_WASTED_PIXELS.max(a.union(b).area() / WASTE_DIVISOR)
}

/// Returns the number of pixels that the bounding box covers and neither rectangle does.
fn merge_waste(a: &Rect, b: &Rect) -> u64 {
    let covered = a.area() + b.area() - a.intersection(b).area();
    a.union(b).area().saturating_sub(covered)
}

/// Returns `rect` without `hole`, which lies inside: the parts above, below, left and right of it.
fn subtract(rect: &Rect, hole: &Rect) -> [Rect; 4] {
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

    const SIZE: u16 = 300;

    prop_compose! {
        fn any_rect()(x in 0..SIZE, y in 0..SIZE)(x in Just(x), y in Just(y), w in 0..=SIZE - x, h in 0..=SIZE - y) -> Rect {
            Rect { x, y, w, h }
        }
    }

    fn covers(region: &CoalescedRegion, x: u16, y: u16) -> bool {
        let pixel = Rect { x, y, w: 1, h: 1 };
        region.rects().iter().any(|r| r.contains(&pixel))
    }

    proptest! {
        #[test]
        fn covers_what_was_added(rects in prop::collection::vec(any_rect(), 0..60)) {
            let mut region = CoalescedRegion::default();
            for rect in &rects {
                region.add(*rect);
            }
            prop_assert!(region.rects().len() <= MAX_RECTS);
            for rect in rects.iter().filter(|r| !r.is_empty()) {
                for (x, y) in [(rect.x, rect.y), (rect.x + rect.w - 1, rect.y + rect.h - 1), (rect.x + rect.w / 2, rect.y + rect.h / 2)] {
                    prop_assert!(covers(&region, x, y));
                }
                prop_assert!(region.bounds().contains(rect));
            }
        }

        #[test]
        fn take_splits_without_loss(rects in prop::collection::vec(any_rect(), 1..8), within in any_rect()) {
            let mut whole = CoalescedRegion::default();
            for rect in &rects {
                whole.add(*rect);
            }
            let mut rest = whole.clone();
            let taken = rest.take_within(within);
            prop_assert!(taken.rects().iter().all(|r| within.contains(r)));
            for x in (0..SIZE).step_by(7) {
                for y in (0..SIZE).step_by(7) {
                    if covers(&whole, x, y) {
                        prop_assert!(covers(&taken, x, y) || covers(&rest, x, y));
                    }
                }
            }
        }
    }

    #[test]
    fn far_ones_stay_apart_and_near_ones_join() {
        let mut region = CoalescedRegion::from_rect(Rect {
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

    /// Damage left and right of a bar at the top, and below it, as the X server reports it.
    #[test]
    fn a_frame_behind_a_bar_is_one() {
        let mut region = CoalescedRegion::default();
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
