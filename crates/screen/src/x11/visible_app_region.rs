//! The part of the program's windows that may be shown: pixels that nothing covers, and that the
//! program itself has drawn.
//!
//! The second condition matters. A window without a background, which most toolkits create, keeps
//! the pixels of the window that covered it until its program draws: a bank's page that was just
//! put away, in the window of a program that is busy. And nothing reports when the program has
//! drawn: DAMAGE reports bounding boxes, and borders of windows that lie elsewhere. So a part that
//! becomes visible is painted grey at once, in the window itself, before anything of it is read. An
//! Expose, as the server itself sends it, asks the program to draw. The pixels read then are that
//! grey or the program's.

use x11rb::NONE;
use x11rb::connection::{Connection as _, SequenceNumber};
use x11rb::protocol::damage::{ConnectionExt as _, ReportLevel};
use x11rb::protocol::xproto::{ConnectionExt as _, CreateGCAux, Rectangle, SubwindowMode, Window};

use super::app_filter::AppFilter;
use super::connection::{Connection, XConnection};
use super::window_tree::{AppWindow, Layer};
use crate::error::ScreenError;
use crate::exact_region::ExactRegion;
use crate::signed_rect::SignedRect;

/// The program's windows, each with its visible region and a damage object.
#[derive(Debug, Default)]
pub(super) struct VisibleAppRegion {
    windows: Vec<TrackedWindow>,
}

#[derive(Debug)]
struct TrackedWindow {
    window: AppWindow,
    /// The window's damage object.
    damage: u32,
    /// Whether damage was reported and not acknowledged: the server reports no more of it until
    /// then.
    has_unacked_damage: bool,
    /// The request that painted it grey last.
    painted_at: SequenceNumber,
}

/// A rectangle of the screen that is read from one of the program's windows.
#[derive(Clone, Copy, Debug)]
pub(super) struct PixelSource {
    pub(super) window: Window,
    pub(super) rect: SignedRect,
    /// The corner of the window's inside, on the screen.
    pub(super) origin: (i32, i32),
}

impl VisibleAppRegion {
    /// Follows the windows after they may have moved. Returns the region whose contents changed in
    /// any way.
    pub(super) fn update(
        &mut self,
        connection: &Connection,
        filter: &AppFilter,
    ) -> Result<ExactRegion, ScreenError> {
        let mut before = std::mem::take(&mut self.windows);
        let mut changed = ExactRegion::default();
        let windows = filter.app_windows(Layer::Pixels).into_iter();
        for window in windows.filter(|window| window.readable) {
            let known = before
                .iter()
                .position(|tracked| tracked.window.id == window.id);
            let tracked = match known.map(|index| before.swap_remove(index)) {
                Some(tracked) if tracked.window == window => tracked,
                Some(tracked) => track_changed(connection, filter, tracked, window, &mut changed)?,
                None => track_new(connection, filter, window, &mut changed)?,
            };
            self.windows.push(tracked);
        }
        for gone in before {
            changed.add_region(&gone.window.visible);
            // The window may be destroyed itself: the error doesn't matter.
            drop(connection.server.damage_destroy(gone.damage)?);
        }
        Ok(changed)
    }

    /// Repaints `window` after a window inside of it has moved, if that was before it was painted
    /// grey: the move took pixels along that may not have been the program's then.
    pub(super) fn repaint_after_inner_move(
        &mut self,
        connection: &Connection,
        filter: &AppFilter,
        window: Window,
        moved_at: SequenceNumber,
    ) -> Result<(), ScreenError> {
        let mut windows = self.windows.iter_mut();
        match windows.find(|tracked| tracked.window.id == window) {
            Some(tracked) if moved_at < tracked.painted_at => {
                let all = tracked.window.visible.clone();
                paint_grey_and_expose(connection, filter, tracked, &all)
            }
            _ => Ok(()),
        }
    }

    /// Records that `rect` of the window with this damage object was drawn. Returns its visible
    /// part, on the screen.
    pub(super) fn visible_damage(&mut self, damage: u32, rect: SignedRect) -> ExactRegion {
        let mut windows = self.windows.iter_mut();
        let Some(tracked) = windows.find(|tracked| tracked.damage == damage) else {
            return ExactRegion::default();
        };
        tracked.has_unacked_damage = true;
        let (x, y) = tracked.window.origin;
        tracked.window.visible.clipped_to(&rect.translated(x, y))
    }

    /// Acknowledges the reported damage, so that later drawing is reported again.
    pub(super) fn acknowledge_damage(&mut self, server: &XConnection) -> Result<(), ScreenError> {
        let windows = self.windows.iter_mut();
        for tracked in windows.filter(|tracked| tracked.has_unacked_damage) {
            tracked.has_unacked_damage = false;
            drop(server.damage_subtract(tracked.damage, NONE, NONE)?);
        }
        Ok(())
    }

    /// Splits `rect` into the parts that may be shown, with the windows to read them from, and the
    /// hidden rest.
    pub(super) fn sources(&self, rect: SignedRect) -> (Vec<PixelSource>, ExactRegion) {
        let mut hidden = ExactRegion::from_rect(rect);
        let mut sources = Vec::new();
        for TrackedWindow { window, .. } in &self.windows {
            for rect in window.visible.clipped_to(&rect).rects() {
                hidden.subtract(rect);
                sources.push(PixelSource {
                    window: window.id,
                    rect: *rect,
                    origin: window.origin,
                });
            }
        }
        (sources, hidden)
    }

    /// Returns whether the program is visible at this position.
    pub(super) fn contains(&self, x: i32, y: i32) -> bool {
        let mut windows = self.windows.iter();
        windows.any(|tracked| tracked.window.visible.contains(x, y))
    }
}

/// Tracks a window that wasn't visible before: none of its pixels is known to be its own.
fn track_new(
    connection: &Connection,
    filter: &AppFilter,
    window: AppWindow,
    changed: &mut ExactRegion,
) -> Result<TrackedWindow, ScreenError> {
    let server = &connection.server;
    let damage = server.generate_id()?;
    drop(server.damage_create(damage, window.id, ReportLevel::DELTA_RECTANGLES)?);
    let mut tracked = TrackedWindow {
        window,
        damage,
        has_unacked_damage: false,
        painted_at: 0,
    };
    let all = tracked.window.visible.clone();
    changed.add_region(&all);
    paint_grey_and_expose(connection, filter, &mut tracked, &all)?;
    Ok(tracked)
}

/// Tracks a window that has moved, or that another window has covered or freed. The server keeps
/// the pixels that stay visible, if the window's size stays too.
fn track_changed(
    connection: &Connection,
    filter: &AppFilter,
    before: TrackedWindow,
    window: AppWindow,
    changed: &mut ExactRegion,
) -> Result<TrackedWindow, ScreenError> {
    let (dx, dy) = (
        window.origin.0 - before.window.origin.0,
        window.origin.1 - before.window.origin.1,
    );
    let visible_before = &before.window.visible;
    let kept = if window.size == before.window.size {
        visible_before
            .translated(dx, dy)
            .intersection(&window.visible)
    } else {
        ExactRegion::default()
    };
    let new = window.visible.difference(&kept);
    if (dx, dy) == (0, 0) {
        changed.add_region(&visible_before.difference(&kept));
        changed.add_region(&new);
    } else {
        changed.add_region(visible_before);
        changed.add_region(&window.visible);
    }
    let mut tracked = TrackedWindow { window, ..before };
    paint_grey_and_expose(connection, filter, &mut tracked, &new)?;
    Ok(tracked)
}

/// Paints a region that may hold another program's pixels grey, and asks the program to draw it.
fn paint_grey_and_expose(
    connection: &Connection,
    filter: &AppFilter,
    tracked: &mut TrackedWindow,
    region: &ExactRegion,
) -> Result<(), ScreenError> {
    if region.is_empty() {
        return Ok(());
    }
    let server = &connection.server;
    let (window, (x, y)) = (tracked.window.id, tracked.window.origin);
    let to_local = |rect: &SignedRect| to_x_rectangle(&rect.translated(-x, -y));
    let grey = CreateGCAux::new()
        .foreground(tracked.window.grey_pixel)
        .subwindow_mode(SubwindowMode::INCLUDE_INFERIORS)
        .graphics_exposures(0);
    let rectangles: Vec<_> = region.rects().iter().map(to_local).collect();
    let gc = server.generate_id()?;
    drop(server.create_gc(gc, window, &grey)?);
    let painted = server.poly_fill_rectangle(window, gc, &rectangles)?;
    tracked.painted_at = painted.sequence_number();
    drop(painted);
    drop(server.free_gc(gc)?);
    for (window, rect) in filter.expose_targets(&tracked.window, region.rects()) {
        let Rectangle {
            x,
            y,
            width,
            height,
        } = to_x_rectangle(&rect);
        drop(server.clear_area(true, window, x, y, width, height)?);
    }
    server.flush()?;
    Ok(())
}

/// Converts to X's rectangle. The rectangle lies on the screen, so it fits.
fn to_x_rectangle(rect: &SignedRect) -> Rectangle {
    Rectangle {
        x: rect.left as i16,
        y: rect.top as i16,
        width: (rect.right - rect.left) as u16,
        height: (rect.bottom - rect.top) as u16,
    }
}
