//! The place of a page's window: whole on the screen, also while a window manager moves it about.
//!
//! The toolkit's own idea of the place isn't used for that. A window manager that deiconifies a
//! window moves its frame in steps, and the toolkit takes one of them for the place; and it asks for
//! a place of the frame while it is told one of the window.

use etatuki_screen::{CancelToken, ScreenError, WindowPlace, window_place};
use fltk::app;
use fltk::prelude::*;
use fltk::window::DoubleWindow;

use super::theme::Rect;

/// Ticks after a change in which the window manager's answer to it is awaited: three seconds.
const SETTLE_TICKS: u32 = 6;

/// The place of a window, in FLTK's units.
#[derive(Default)]
pub(super) struct PagePlace {
    /// Where the window was put, or where the customer has moved it.
    at: (i32, i32),
    /// Left and upper width of the window manager's frame, once known.
    frame: (i32, i32),
    /// The toolkit's idea of the place at the last tick.
    reported: (i32, i32),
    /// The place at the last tick.
    seen: Option<(i32, i32)>,
    settle_ticks_left: u32,
}

impl PagePlace {
    /// Returns where the window is.
    pub(super) fn at(&self) -> (i32, i32) {
        self.at
    }

    /// Puts the window somewhere, with this size.
    pub(super) fn put(&mut self, window: &mut DoubleWindow, to: Rect) {
        self.at = (to.x, to.y);
        window.resize(to.x - self.frame.0, to.y - self.frame.1, to.w, to.h);
        self.settle();
    }

    /// Has the place checked for a while.
    pub(super) fn settle(&mut self) {
        (self.settle_ticks_left, self.seen) = (SETTLE_TICKS, None);
    }

    /// Follows the window manager and the customer. A window that was shown or put somewhere, and
    /// rests, is brought back into the area. Returns whether this is such a window.
    pub(super) fn tick(&mut self, window: &mut DoubleWindow, area: Rect) -> bool {
        let reported = (window.x(), window.y());
        if self.settle_ticks_left == 0 && reported == self.reported {
            return false;
        }
        self.reported = reported;
        let Some((at, frame)) = query(window) else {
            return false;
        };
        let rests = self.seen.replace(at) == Some(at);
        if self.settle_ticks_left > 0 && !rests {
            return false;
        }
        (self.at, self.frame) = (at, frame);
        if self.settle_ticks_left == 0 {
            return false;
        }
        let left = self.settle_ticks_left - 1;
        let place = Rect {
            x: at.0,
            y: at.1,
            w: window.w(),
            h: window.h(),
        };
        let (x, y) = inside(place, area);
        if (x, y) != at {
            self.put(window, Rect { x, y, ..place });
        }
        self.settle_ticks_left = left;
        true
    }
}

/// Returns where a window is whole in an area, as near to its place as possible; one that is larger
/// begins at the area's left upper corner.
pub(super) fn inside(place: Rect, area: Rect) -> (i32, i32) {
    let within = |at: i32, size: i32, from: i32, room: i32| at.min(from + room - size).max(from);
    (
        within(place.x, place.w, area.x, area.w),
        within(place.y, place.h, area.y, area.h),
    )
}

/// Returns where a window is, and the left and upper width of its frame.
fn query(window: &DoubleWindow) -> Option<((i32, i32), (i32, i32))> {
    let id = u32::try_from(window.raw_handle()).ok()?;
    let cancel = CancelToken::new().map_err(ScreenError::from);
    let place = cancel.and_then(|cancel| window_place(None, id, &cancel));
    let place = place.inspect_err(|error| tracing::warn!("no place of a window: {error}"));
    let WindowPlace { x, y, left, top } = place.ok()?;
    let scale = app::screen_scale(window.screen_num()).max(0.1);
    let units = |pixels: i32| (pixels as f32 / scale).round() as i32;
    Some(((units(x), units(y)), (units(left), units(top))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_moved_no_further_than_it_must() {
        let area = Rect {
            x: 0,
            y: 30,
            w: 1000,
            h: 700,
        };
        let check = |(x, y, w, h), expected| {
            assert_eq!(inside(Rect { x, y, w, h }, area), expected);
        };
        check((100, 100, 640, 400), (100, 100));
        check((-80, 4, 640, 400), (0, 30));
        check((600, 500, 640, 400), (360, 330));
        check((600, 500, 1200, 900), (0, 30));
    }
}
