//! Sizes and rectangles, in pixels of the screen.

/// Width and height of the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Pixels from left to right.
    pub width: u16,
    /// Pixels from top to bottom.
    pub height: u16,
}

impl Size {
    /// Returns the rectangle of the whole screen.
    #[must_use]
    pub fn rect(self) -> Rect {
        Rect {
            x: 0,
            y: 0,
            w: self.width,
            h: self.height,
        }
    }
}

/// A rectangle of the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rect {
    /// Left edge.
    pub x: u16,
    /// Top edge.
    pub y: u16,
    /// Width.
    pub w: u16,
    /// Height.
    pub h: u16,
}

impl Rect {
    /// Builds a rectangle from its edges, right and bottom exclusive. Crossed edges give an empty
    /// one.
    fn from_edges(left: u32, top: u32, right: u32, bottom: u32) -> Self {
        let clamp = |v: u32| u16::try_from(v).unwrap_or(u16::MAX);
        Self {
            x: clamp(left),
            y: clamp(top),
            w: clamp(right.saturating_sub(left)),
            h: clamp(bottom.saturating_sub(top)),
        }
    }

    /// Returns left, top, right and bottom; the last two exclusive.
    fn edges(&self) -> (u32, u32, u32, u32) {
        let (x, y) = (u32::from(self.x), u32::from(self.y));
        (x, y, x + u32::from(self.w), y + u32::from(self.h))
    }

    /// Returns whether it contains no pixel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.w == 0 || self.h == 0
    }

    /// Returns the number of pixels.
    #[must_use]
    pub fn area(&self) -> u64 {
        u64::from(self.w) * u64::from(self.h)
    }

    /// Returns whether every pixel of `other` lies inside.
    #[must_use]
    pub fn contains(&self, other: &Rect) -> bool {
        let (l, t, r, b) = self.edges();
        let (ol, ot, or, ob) = other.edges();
        other.is_empty() || (l <= ol && t <= ot && or <= r && ob <= b)
    }

    /// Returns the shared part, empty when there is none.
    #[must_use]
    pub fn intersection(&self, other: &Rect) -> Rect {
        let (l, t, r, b) = self.edges();
        let (ol, ot, or, ob) = other.edges();
        let shared = Self::from_edges(l.max(ol), t.max(ot), r.min(or), b.min(ob));
        if shared.is_empty() {
            Rect::default()
        } else {
            shared
        }
    }

    /// Returns the bounding box of both. An empty rectangle doesn't count.
    #[must_use]
    pub fn union(&self, other: &Rect) -> Rect {
        if self.is_empty() {
            return *other;
        }
        if other.is_empty() {
            return *self;
        }
        let (l, t, r, b) = self.edges();
        let (ol, ot, or, ob) = other.edges();
        Self::from_edges(l.min(ol), t.min(ot), r.max(or), b.max(ob))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rect(x: u16, y: u16, w: u16, h: u16) -> Rect {
        Rect { x, y, w, h }
    }

    #[test]
    fn intersection_is_what_both_share() {
        #[track_caller]
        fn check(a: Rect, b: Rect, expected: Rect) {
            assert_eq!(a.intersection(&b), expected);
            assert_eq!(b.intersection(&a), expected);
        }
        check(rect(0, 0, 10, 10), rect(5, 5, 10, 10), rect(5, 5, 5, 5));
        check(rect(0, 0, 10, 10), rect(10, 0, 5, 5), Rect::default());
        check(rect(0, 0, 10, 10), rect(0, 0, 0, 5), Rect::default());
        check(
            rect(65000, 0, u16::MAX, 9),
            rect(65001, 3, u16::MAX, 9),
            rect(65001, 3, u16::MAX - 1, 6),
        );
    }

    #[test]
    fn union_ignores_empty_ones() {
        assert_eq!(rect(1, 2, 3, 4).union(&rect(9, 9, 0, 3)), rect(1, 2, 3, 4));
        assert_eq!(rect(1, 2, 3, 4).union(&rect(9, 0, 1, 1)), rect(1, 0, 9, 6));
    }

    #[test]
    fn an_empty_one_lies_inside_any() {
        assert!(rect(1, 1, 1, 1).contains(&rect(50, 50, 0, 3)));
        assert!(!rect(1, 1, 1, 1).contains(&rect(1, 1, 2, 1)));
    }
}
