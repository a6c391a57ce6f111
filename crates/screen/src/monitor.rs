//! The monitors that the screen is spread over.

use crate::geometry::{Rect, Size};

/// More than these are left out; nobody has so many, and a choice among more is none.
const MOST: usize = 16;

/// One monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// The same for the same monitor as long as the window system lives; 0 where it knows of none.
    pub id: u32,
    /// Which part of the screen it shows; never empty.
    pub rect: Rect,
}

impl Monitor {
    /// What there is when nothing is known of monitors: one that shows all of the screen.
    pub(crate) fn all_of(size: Size) -> Self {
        Self {
            id: 0,
            rect: size.rect(),
        }
    }
}

/// What of `told` shows a part of the screen of its own: cut to the screen, each part once (a projector that
/// mirrors the laptop is no second one), sixteen at most. One that shows all of it when none is left.
pub(crate) fn tidied(told: impl IntoIterator<Item = Monitor>, size: Size) -> Vec<Monitor> {
    let mut kept: Vec<Monitor> = Vec::new();
    for Monitor { id, rect } in told {
        let rect = rect.intersection(&size.rect());
        let is_new = kept
            .iter()
            .all(|known| known.id != id && known.rect != rect);
        if !rect.is_empty() && is_new && kept.len() < MOST {
            kept.push(Monitor { id, rect });
        }
    }
    if kept.is_empty() {
        kept.push(Monitor::all_of(size));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size {
        width: 200,
        height: 100,
    };

    fn monitor(id: u32, x: u16, w: u16) -> Monitor {
        let rect = Rect { x, y: 0, w, h: 100 };
        Monitor { id, rect }
    }

    #[test]
    fn only_parts_of_the_screen_count_and_each_once() {
        #[track_caller]
        fn check(told: &[Monitor], expected: &[Monitor]) {
            assert_eq!(tidied(told.iter().copied(), SIZE), expected);
        }
        let (left, right) = (monitor(7, 0, 100), monitor(9, 100, 100));
        check(&[left, right], &[left, right]);
        check(&[left, monitor(9, 100, 5000)], &[left, right]);
        check(&[left, monitor(9, 0, 100)], &[left]); // mirrored
        check(&[left, monitor(9, 300, 100), monitor(8, 0, 0)], &[left]);
        check(&[], &[Monitor::all_of(SIZE)]);
        let many: Vec<_> = (0..40).map(|n| monitor(n, n as u16, 1)).collect();
        check(&many, &many[..MOST]);
    }
}
