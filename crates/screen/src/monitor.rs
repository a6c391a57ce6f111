//! The monitors that show the screen.

use crate::geometry::{Rect, Size};

/// Maximum number of monitors; further ones are left out. Nobody has so many, or could choose among
/// them.
const MAX_MONITORS: usize = 16;

/// One monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Identifier, stable while the window system runs; 0 where it knows no monitors.
    pub id: u32,
    /// The part of the screen that it shows; never empty.
    pub rect: Rect,
}

impl Monitor {
    /// Creates the monitor that stands for an unknown layout: it shows the whole screen.
    pub(crate) fn covering(size: Size) -> Self {
        Self {
            id: 0,
            rect: size.rect(),
        }
    }
}

/// Returns the monitors that show a part of the screen of their own: clipped to the screen, mirrors
/// once (a projector that repeats the laptop), at most [`MAX_MONITORS`]. With none left, one that
/// shows the whole screen.
pub(crate) fn normalize(reported: impl IntoIterator<Item = Monitor>, size: Size) -> Vec<Monitor> {
    let mut monitors: Vec<Monitor> = Vec::new();
    for Monitor { id, rect } in reported {
        let rect = rect.intersection(&size.rect());
        let is_new = monitors
            .iter()
            .all(|kept| kept.id != id && kept.rect != rect);
        if !rect.is_empty() && is_new && monitors.len() < MAX_MONITORS {
            monitors.push(Monitor { id, rect });
        }
    }
    if monitors.is_empty() {
        monitors.push(Monitor::covering(size));
    }
    monitors
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
        fn check(reported: &[Monitor], expected: &[Monitor]) {
            assert_eq!(normalize(reported.iter().copied(), SIZE), expected);
        }
        let (left, right) = (monitor(7, 0, 100), monitor(9, 100, 100));
        check(&[left, right], &[left, right]);
        check(&[left, monitor(9, 100, 5000)], &[left, right]);
        check(&[left, monitor(9, 0, 100)], &[left]); // mirrored
        check(&[left, monitor(9, 300, 100), monitor(8, 0, 0)], &[left]);
        check(&[], &[Monitor::covering(SIZE)]);
        let many: Vec<_> = (0..40).map(|n| monitor(n, n as u16, 1)).collect();
        check(&many, &many[..MAX_MONITORS]);
    }
}
