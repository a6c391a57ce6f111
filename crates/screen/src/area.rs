//! Exact sets of pixels: what of a window can be seen, where nothing may be too much.
//!
//! [`Region`](crate::Region) joins rectangles to save requests and may cover more than was added; here
//! not a pixel is added or lost. Coordinates are signed, for windows reach beyond the screen.

use crate::geometry::Rect;

/// A rectangle, its right and bottom edges exclusive. Empty when they are not beyond the left and top ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) left: i32,
    pub(crate) top: i32,
    pub(crate) right: i32,
    pub(crate) bottom: i32,
}

impl Part {
    pub(crate) fn new(x: i32, y: i32, w: i32, h: i32) -> Self {
        let (right, bottom) = (x.saturating_add(w), y.saturating_add(h));
        Self {
            left: x,
            top: y,
            right,
            bottom,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.right <= self.left || self.bottom <= self.top
    }

    pub(crate) fn shifted(&self, dx: i32, dy: i32) -> Self {
        Self {
            left: self.left.saturating_add(dx),
            top: self.top.saturating_add(dy),
            right: self.right.saturating_add(dx),
            bottom: self.bottom.saturating_add(dy),
        }
    }

    pub(crate) fn cut(&self, other: &Self) -> Self {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    /// As a rectangle of the screen: what lies at negative coordinates is cut off.
    pub(crate) fn on_screen(&self) -> Rect {
        let edge = |v: i32| v.clamp(0, u16::MAX.into()) as u16;
        let (x, y) = (edge(self.left), edge(self.top));
        Rect {
            x,
            y,
            w: edge(self.right).saturating_sub(x),
            h: edge(self.bottom).saturating_sub(y),
        }
    }

    /// What is left of it without `hole`: above, below, left and right of it.
    fn without(&self, hole: &Self) -> [Self; 4] {
        let hole = self.cut(hole);
        if hole.is_empty() {
            return [*self, Self::default(), Self::default(), Self::default()];
        }
        let above = Self {
            bottom: hole.top,
            ..*self
        };
        let below = Self {
            top: hole.bottom,
            ..*self
        };
        let left = Self {
            right: hole.left,
            ..hole.tall(self)
        };
        let right = Self {
            left: hole.right,
            ..hole.tall(self)
        };
        [above, below, left, right]
    }

    /// As wide as `around`, as high as this.
    fn tall(&self, around: &Self) -> Self {
        Self {
            left: around.left,
            right: around.right,
            ..*self
        }
    }
}

impl From<Rect> for Part {
    fn from(rect: Rect) -> Self {
        Self::new(rect.x.into(), rect.y.into(), rect.w.into(), rect.h.into())
    }
}

/// A set of pixels: parts none of which is empty, and no two of which overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Area(Vec<Part>);

impl Area {
    pub(crate) fn of(part: Part) -> Self {
        let mut area = Self::default();
        area.add(part);
        area
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has(&self, x: i32, y: i32) -> bool {
        let inside = |p: &Part| p.left <= x && x < p.right && p.top <= y && y < p.bottom;
        self.0.iter().any(inside)
    }

    pub(crate) fn add(&mut self, part: Part) {
        let mut new = Self(vec![part]);
        new.0.retain(|p| !p.is_empty());
        self.0.iter().for_each(|known| new.take(known));
        self.0.append(&mut new.0);
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        other.0.iter().for_each(|part| self.add(*part));
    }

    /// Takes a part away.
    pub(crate) fn take(&mut self, part: &Part) {
        if self.0.iter().all(|p| p.cut(part).is_empty()) {
            return;
        }
        let rest = self.0.iter().flat_map(|p| p.without(part));
        self.0 = rest.filter(|p| !p.is_empty()).collect();
    }

    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        other.0.iter().for_each(|part| rest.take(part));
        rest
    }

    pub(crate) fn cut(&self, part: &Part) -> Self {
        let inside = self.0.iter().map(|p| p.cut(part));
        Self(inside.filter(|p| !p.is_empty()).collect())
    }

    pub(crate) fn common(&self, other: &Self) -> Self {
        let inside = other.0.iter().flat_map(|part| self.cut(part).0);
        Self(inside.collect())
    }

    pub(crate) fn shifted(&self, dx: i32, dy: i32) -> Self {
        Self(self.0.iter().map(|p| p.shifted(dx, dy)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIDE: i32 = 24;

    prop_compose! {
        fn any_part()(x in -4..SIDE, y in -4..SIDE, w in 0..SIDE, h in 0..SIDE) -> Part {
            Part::new(x, y, w, h)
        }
    }

    fn pixels(has: impl Fn(i32, i32) -> bool) -> Vec<bool> {
        let rows = -5..2 * SIDE;
        rows.flat_map(|y| (-5..2 * SIDE).map(move |x| (x, y)))
            .map(|(x, y)| has(x, y))
            .collect()
    }

    fn area(parts: &[Part]) -> Area {
        let mut area = Area::default();
        parts.iter().for_each(|part| area.add(*part));
        area
    }

    fn any_has(parts: &[Part], x: i32, y: i32) -> bool {
        parts.iter().any(|p| Area(vec![*p]).has(x, y))
    }

    proptest! {
        #[test]
        fn not_a_pixel_is_added_or_lost(a in prop::collection::vec(any_part(), 0..6), b in prop::collection::vec(any_part(), 0..6), (dx, dy) in (-3..3, -3..3)) {
            let (one, two) = (area(&a), area(&b));
            let (in_a, in_b) = (|x, y| any_has(&a, x, y), |x, y| any_has(&b, x, y));
            prop_assert_eq!(pixels(|x, y| one.has(x, y)), pixels(in_a));
            let without = one.without(&two);
            prop_assert_eq!(pixels(|x, y| without.has(x, y)), pixels(|x, y| in_a(x, y) && !in_b(x, y)));
            let common = one.common(&two);
            prop_assert_eq!(pixels(|x, y| common.has(x, y)), pixels(|x, y| in_a(x, y) && in_b(x, y)));
            let shifted = one.shifted(dx, dy);
            prop_assert_eq!(pixels(|x, y| shifted.has(x, y)), pixels(|x, y| in_a(x - dx, y - dy)));
            let mut both = one.clone();
            both.add_all(&two);
            prop_assert_eq!(pixels(|x, y| both.has(x, y)), pixels(|x, y| in_a(x, y) || in_b(x, y)));
            for set in [&one, &without, &common, &both] {
                for (n, part) in set.parts().iter().enumerate() {
                    prop_assert!(!part.is_empty());
                    prop_assert!(set.parts()[n + 1..].iter().all(|other| part.cut(other).is_empty()));
                }
            }
        }
    }

    #[test]
    fn the_screen_begins_at_zero() {
        let rect = Part::new(-5, 3, 8, 4).on_screen();
        assert_eq!((rect.x, rect.y, rect.w, rect.h), (0, 3, 3, 4));
        assert!(Part::new(-9, 0, 5, 5).on_screen().is_empty());
    }
}
