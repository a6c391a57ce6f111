//! Rectangles with signed coordinates: windows reach beyond the screen.

use crate::geometry::Rect;

/// A rectangle, right and bottom edges exclusive. Empty unless they lie beyond the left and top
/// edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SignedRect {
    pub(crate) left: i32,
    pub(crate) top: i32,
    pub(crate) right: i32,
    pub(crate) bottom: i32,
}

impl SignedRect {
    /// Creates a rectangle of size `w`×`h`; edges saturate.
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

    pub(crate) fn contains(&self, x: i32, y: i32) -> bool {
        self.left <= x && x < self.right && self.top <= y && y < self.bottom
    }

    /// Returns the rectangle moved by `dx`, `dy`; edges saturate.
    pub(crate) fn translated(&self, dx: i32, dy: i32) -> Self {
        Self {
            left: self.left.saturating_add(dx),
            top: self.top.saturating_add(dy),
            right: self.right.saturating_add(dx),
            bottom: self.bottom.saturating_add(dy),
        }
    }

    /// Returns the shared part, empty when there is none.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    /// Converts to a rectangle of the screen; the part at negative coordinates is cut off.
    pub(crate) fn to_screen_rect(self) -> Rect {
        let edge = |v: i32| v.clamp(0, u16::MAX.into()) as u16;
        let (x, y) = (edge(self.left), edge(self.top));
        Rect {
            x,
            y,
            w: edge(self.right).saturating_sub(x),
            h: edge(self.bottom).saturating_sub(y),
        }
    }

    /// Returns the rectangle without `hole`: the parts above, below, left and right of it.
    pub(crate) fn subtract(&self, hole: &Self) -> [Self; 4] {
        let hole = self.intersection(hole);
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
            ..hole.with_columns_of(self)
        };
        let right = Self {
            left: hole.right,
            ..hole.with_columns_of(self)
        };
        [above, below, left, right]
    }

    /// Returns the rectangle with its own rows and the columns of `other`.
    fn with_columns_of(&self, other: &Self) -> Self {
        Self {
            left: other.left,
            right: other.right,
            ..*self
        }
    }
}

impl From<Rect> for SignedRect {
    fn from(rect: Rect) -> Self {
        Self::new(rect.x.into(), rect.y.into(), rect.w.into(), rect.h.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_begins_at_zero() {
        let rect = SignedRect::new(-5, 3, 8, 4).to_screen_rect();
        assert_eq!((rect.x, rect.y, rect.w, rect.h), (0, 3, 3, 4));
        assert!(SignedRect::new(-9, 0, 5, 5).to_screen_rect().is_empty());
    }
}
