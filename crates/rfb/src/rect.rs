//! Rectangles and screens, in pixels of the framebuffer.

/// A rectangle, possibly empty. It may reach beyond the screen until it is clipped.
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
    /// Returns the rectangle of this left top corner and size.
    #[must_use]
    pub const fn new(x: u16, y: u16, w: u16, h: u16) -> Self {
        Self { x, y, w, h }
    }

    /// Returns whether the rectangle has no pixel.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.w == 0 || self.h == 0
    }

    /// Returns the first column right of the rectangle.
    #[must_use]
    pub const fn right(&self) -> u32 {
        self.x as u32 + self.w as u32
    }

    /// Returns the first row below the rectangle.
    #[must_use]
    pub const fn bottom(&self) -> u32 {
        self.y as u32 + self.h as u32
    }

    /// Returns the number of pixels.
    #[must_use]
    pub const fn area(&self) -> usize {
        self.w as usize * self.h as usize
    }

    /// Returns whether `other` lies wholly inside; an empty one does when its corner does.
    #[must_use]
    pub const fn contains(&self, other: &Rect) -> bool {
        other.x >= self.x
            && other.y >= self.y
            && other.right() <= self.right()
            && other.bottom() <= self.bottom()
    }

    /// Returns the pixels that both have; `None` when there are none.
    #[must_use]
    pub fn intersection(&self, other: &Rect) -> Option<Rect> {
        let x = self.x.max(other.x);
        let y = self.y.max(other.y);
        let right = self.right().min(other.right());
        let bottom = self.bottom().min(other.bottom());
        if right <= u32::from(x) || bottom <= u32::from(y) {
            return None;
        }
        Some(Rect::new(
            x,
            y,
            (right - u32::from(x)) as u16,
            (bottom - u32::from(y)) as u16,
        ))
    }

    /// Returns the bounding box of both, at most 65,535 columns and rows. An empty rectangle is
    /// ignored.
    #[must_use]
    pub fn union(&self, other: &Rect) -> Rect {
        if self.is_empty() {
            return *other;
        }
        if other.is_empty() {
            return *self;
        }
        let x = self.x.min(other.x);
        let y = self.y.min(other.y);
        let w = self.right().max(other.right()) - u32::from(x);
        let h = self.bottom().max(other.bottom()) - u32::from(y);
        Rect::new(x, y, w.min(65535) as u16, h.min(65535) as u16)
    }
}

/// One screen of a framebuffer, as ExtendedDesktopSize and SetDesktopSize carry it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScreenLayout {
    /// Number that the server gave to the screen.
    pub id: u32,
    /// Position and size in the framebuffer.
    pub rect: Rect,
    /// Flags, passed on untouched; none is defined.
    pub flags: u32,
}
