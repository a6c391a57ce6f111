//! The place of the bar: whole on one monitor, whoever drags it and whatever monitor goes.

use std::cell::RefCell;
use std::rc::Rc;

use etatuki_screen::{CancelToken, MonitorQuery, ScreenError};
use fltk::app;
use fltk::prelude::*;
use fltk::window::DoubleWindow;

use super::hands::Hands;
use super::theme::Rect;

/// Holds the bar's window in its place. Clones share the place.
#[derive(Clone)]
pub(crate) struct BarPlace(Rc<RefCell<State>>);

struct State {
    hands: Hands,
    monitors: Option<MonitorQuery>,
    size: (i32, i32),
    /// Where it was dragged to; the middle of the upper edge until then.
    dragged: Option<(i32, i32)>,
}

impl BarPlace {
    /// Returns a place in the middle of the upper edge. `hands` says who may drag the bar away.
    pub(crate) fn new(hands: Hands) -> Self {
        let monitors = query().inspect_err(|error| tracing::warn!("no monitors: {error}"));
        Self(Rc::new(RefCell::new(State {
            hands,
            monitors: monitors.ok(),
            size: (0, 0),
            dragged: None,
        })))
    }

    /// Gives the window another size, in its place.
    pub(crate) fn resize(&self, window: &mut DoubleWindow, width: i32, height: i32) {
        self.0.borrow_mut().size = (width, height);
        self.hold(window);
    }

    /// Puts the window back if anything has moved it, changed its size or taken its monitor away.
    pub(crate) fn hold(&self, window: &mut DoubleWindow) {
        let Rect { x, y, w, h } = self.0.borrow_mut().place(window);
        if (window.x(), window.y(), window.w(), window.h()) != (x, y, w, h) {
            window.resize(x, y, w, h);
        }
    }

    /// Lets the bar go back to the middle of the upper edge.
    pub(crate) fn forget_drag(&self) {
        self.0.borrow_mut().dragged = None;
    }

    /// Returns whether the customer has dragged it away.
    pub(crate) fn is_dragged(&self) -> bool {
        self.0.borrow().dragged.is_some()
    }

    /// Returns whether whoever presses the button now may drag the bar.
    pub(crate) fn may_drag(&self) -> bool {
        self.0.borrow().hands.may_drag()
    }

    /// Moves the window, as far as all of it stays on a monitor.
    pub(crate) fn drag(&self, window: &mut DoubleWindow, x: i32, y: i32) {
        self.0.borrow_mut().dragged = Some((x, y));
        self.hold(window);
        // From here the next drag goes on, and not from outside of the monitor.
        self.0.borrow_mut().dragged = Some((window.x(), window.y()));
    }
}

impl State {
    fn place(&mut self, window: &DoubleWindow) -> Rect {
        let monitors = self.monitors();
        let (w, h) = self.size;
        let at = |(x, y)| Rect { x, y, w, h };
        match self.dragged {
            Some(dragged) => at(keep_on_monitor(at(dragged), &monitors)),
            None => at(middle_of_edge(at((window.x(), window.y())), &monitors)),
        }
    }

    /// Returns the monitors in the toolkit's units: the toolkit itself knows those of its start.
    fn monitors(&mut self) -> Vec<Rect> {
        let current = self.monitors.as_mut().map(MonitorQuery::current);
        let Some(Ok(monitors)) = current else {
            return (0..app::screen_count()).map(toolkits_screen).collect();
        };
        let scale = app::screen_scale(0).max(0.1);
        let first = |pixel: u16| (f32::from(pixel) / scale).ceil() as i32;
        let last = |start: u16, length: u16| {
            ((f32::from(start) + f32::from(length)) / scale).floor() as i32
        };
        let in_units = |monitor: &etatuki_screen::Monitor| {
            let rect = monitor.rect;
            let (x, y) = (first(rect.x), first(rect.y));
            let (w, h) = (last(rect.x, rect.w) - x, last(rect.y, rect.h) - y);
            Rect { x, y, w, h }
        };
        monitors.iter().map(in_units).collect()
    }
}

fn query() -> Result<MonitorQuery, ScreenError> {
    MonitorQuery::open(None, &CancelToken::new()?)
}

fn toolkits_screen(number: i32) -> Rect {
    let (x, y, w, h) = app::screen_xywh(number);
    Rect { x, y, w, h }
}

/// Returns where a bar of this size may be, as near to `wanted` as possible: whole on the monitor of
/// which it covers most, or else on the nearest. A bar that is larger than its monitor begins at the
/// monitor's left upper corner.
fn keep_on_monitor(wanted: Rect, monitors: &[Rect]) -> (i32, i32) {
    let Some(monitor) = nearest(wanted, monitors) else {
        return (wanted.x, wanted.y);
    };
    let clamp = |wanted: i32, size: i32, start: i32, length: i32| {
        wanted.clamp(start, (start + length - size).max(start))
    };
    (
        clamp(wanted.x, wanted.w, monitor.x, monitor.w),
        clamp(wanted.y, wanted.h, monitor.y, monitor.h),
    )
}

/// Returns the middle of the upper edge of the monitor that is nearest to `current`.
fn middle_of_edge(current: Rect, monitors: &[Rect]) -> (i32, i32) {
    let Some(monitor) = nearest(current, monitors) else {
        return (current.x, current.y);
    };
    let x = monitor.x + ((monitor.w - current.w) / 2).max(0);
    (x, monitor.y)
}

fn nearest(place: Rect, monitors: &[Rect]) -> Option<Rect> {
    let overlap = |start: i32, length: i32, other: i32, other_length: i32| {
        (start + length).min(other + other_length) - start.max(other)
    };
    let closeness = |monitor: &&Rect| {
        let x = overlap(place.x, place.w, monitor.x, monitor.w);
        let y = overlap(place.y, place.h, monitor.y, monitor.h);
        if x > 0 && y > 0 {
            i64::from(x) * i64::from(y)
        } else {
            // Negative: the gap between the two.
            i64::from(x.min(0)) + i64::from(y.min(0))
        }
    };
    // The first of several that are equally near.
    monitors.iter().rev().max_by_key(closeness).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rect(x: i32, y: i32, w: i32, h: i32) -> Rect {
        Rect { x, y, w, h }
    }

    /// A wide monitor, and a lower one to its right that begins 200 below.
    fn unequal() -> [Rect; 2] {
        [rect(0, 0, 1000, 800), rect(1000, 200, 600, 400)]
    }

    #[test]
    fn the_whole_bar_stays_on_a_monitor() {
        let check = |wanted: (i32, i32), expected: (i32, i32)| {
            let bar = rect(wanted.0, wanted.1, 300, 50);
            assert_eq!(keep_on_monitor(bar, &unequal()), expected, "{wanted:?}");
        };
        check((100, 100), (100, 100));
        check((-50, -50), (0, 0));
        check((999, 799), (700, 750));
        check((800, 300), (700, 300));
        check((950, 300), (1000, 300));
        // Above and below the lower monitor nothing is shown.
        check((1200, 0), (1200, 200));
        check((1599, 799), (1300, 550));
        check((5000, 5000), (1300, 550));
    }

    #[test]
    fn a_monitor_that_goes_takes_no_bar_with_it() {
        let bar = rect(1200, 300, 300, 50);
        assert_eq!(keep_on_monitor(bar, &unequal()[..1]), (700, 300));
        assert_eq!(middle_of_edge(bar, &unequal()[..1]), (350, 0));
        assert_eq!(middle_of_edge(bar, &unequal()), (1150, 200));
    }

    #[test]
    fn a_bar_too_wide_begins_at_the_left() {
        let bar = rect(40, 0, 2000, 50);
        assert_eq!(keep_on_monitor(bar, &unequal()[..1]), (0, 0));
        assert_eq!(middle_of_edge(bar, &unequal()[..1]), (0, 0));
    }
}
