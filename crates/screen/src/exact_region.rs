//! Exact regions: the visible part of a window, where one pixel too many would leak another
//! program's.

use crate::signed_rect::SignedRect;

/// An exact set of pixels, as rectangles that don't overlap and are never empty.
///
/// [`CoalescedRegion`](crate::CoalescedRegion) may cover more than was added; this adds and loses
/// no pixel. Coordinates are signed: windows reach beyond the screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExactRegion(Vec<SignedRect>);

impl ExactRegion {
    pub(crate) fn from_rect(rect: SignedRect) -> Self {
        let mut region = Self::default();
        region.add(rect);
        region
    }

    pub(crate) fn rects(&self) -> &[SignedRect] {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, x: i32, y: i32) -> bool {
        self.0.iter().any(|rect| rect.contains(x, y))
    }

    pub(crate) fn add(&mut self, rect: SignedRect) {
        let mut new = Self(vec![rect]);
        new.0.retain(|rect| !rect.is_empty());
        self.0.iter().for_each(|known| new.subtract(known));
        self.0.append(&mut new.0);
    }

    pub(crate) fn add_region(&mut self, other: &Self) {
        other.0.iter().for_each(|rect| self.add(*rect));
    }

    /// Removes a rectangle.
    pub(crate) fn subtract(&mut self, rect: &SignedRect) {
        if self
            .0
            .iter()
            .all(|known| known.intersection(rect).is_empty())
        {
            return;
        }
        let rest = self.0.iter().flat_map(|known| known.subtract(rect));
        self.0 = rest.filter(|rect| !rect.is_empty()).collect();
    }

    /// Returns the region without `other`.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        other.0.iter().for_each(|rect| rest.subtract(rect));
        rest
    }

    pub(crate) fn clipped_to(&self, rect: &SignedRect) -> Self {
        let inside = self.0.iter().map(|known| known.intersection(rect));
        Self(inside.filter(|rect| !rect.is_empty()).collect())
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let inside = other.0.iter().flat_map(|rect| self.clipped_to(rect).0);
        Self(inside.collect())
    }

    pub(crate) fn translated(&self, dx: i32, dy: i32) -> Self {
        Self(self.0.iter().map(|rect| rect.translated(dx, dy)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: i32 = 24;

    prop_compose! {
        fn any_rect()(x in -4..SIZE, y in -4..SIZE, w in 0..SIZE, h in 0..SIZE) -> SignedRect {
            SignedRect::new(x, y, w, h)
        }
    }

    fn pixels(contains: impl Fn(i32, i32) -> bool) -> Vec<bool> {
        let rows = -5..2 * SIZE;
        rows.flat_map(|y| (-5..2 * SIZE).map(move |x| (x, y)))
            .map(|(x, y)| contains(x, y))
            .collect()
    }

    fn region(rects: &[SignedRect]) -> ExactRegion {
        let mut region = ExactRegion::default();
        rects.iter().for_each(|rect| region.add(*rect));
        region
    }

    fn any_contains(rects: &[SignedRect], x: i32, y: i32) -> bool {
        rects.iter().any(|p| ExactRegion(vec![*p]).contains(x, y))
    }

    proptest! {
        #[test]
        fn not_a_pixel_is_added_or_lost(a in prop::collection::vec(any_rect(), 0..6), b in prop::collection::vec(any_rect(), 0..6), (dx, dy) in (-3..3, -3..3)) {
            let (one, two) = (region(&a), region(&b));
            let (in_a, in_b) = (|x, y| any_contains(&a, x, y), |x, y| any_contains(&b, x, y));
            prop_assert_eq!(pixels(|x, y| one.contains(x, y)), pixels(in_a));
            let without = one.difference(&two);
            prop_assert_eq!(pixels(|x, y| without.contains(x, y)), pixels(|x, y| in_a(x, y) && !in_b(x, y)));
            let shared = one.intersection(&two);
            prop_assert_eq!(pixels(|x, y| shared.contains(x, y)), pixels(|x, y| in_a(x, y) && in_b(x, y)));
            let moved = one.translated(dx, dy);
            prop_assert_eq!(pixels(|x, y| moved.contains(x, y)), pixels(|x, y| in_a(x - dx, y - dy)));
            let mut both = one.clone();
            both.add_region(&two);
            prop_assert_eq!(pixels(|x, y| both.contains(x, y)), pixels(|x, y| in_a(x, y) || in_b(x, y)));
            for set in [&one, &without, &shared, &both] {
                for (n, rect) in set.rects().iter().enumerate() {
                    prop_assert!(!rect.is_empty());
                    prop_assert!(set.rects()[n + 1..].iter().all(|other| rect.intersection(other).is_empty()));
                }
            }
        }
    }
}
