//! What may be shown of the program: pixels of its windows that are free, and that are its own.
//!
//! The second half matters. A window whose background is 'none', as most toolkits have it, keeps what lay
//! over it before, until its program draws: a bank's page that was just put away, in the window of a
//! program that is busy. And nothing tells when the program has drawn: DAMAGE reports boxes around what was
//! drawn, and borders of windows that lie elsewhere. So what becomes free is painted grey at once, in the
//! window itself, before anything of it is read; and the program is asked to draw it, by an Expose as
//! the server itself sends it. What is read then is that grey, or the program's.

use x11rb::NONE;
use x11rb::connection::{Connection as _, SequenceNumber};
use x11rb::protocol::damage::{ConnectionExt as _, ReportLevel};
use x11rb::protocol::xproto::{ConnectionExt as _, CreateGCAux, Rectangle, SubwindowMode, Window};

use super::connection::{Connection, Server};
use super::scope::Scope;
use super::tree::{Cover, Place};
use crate::area::{Area, Part};
use crate::error::ScreenError;

/// The program's windows and what of them may be shown.
#[derive(Debug, Default)]
pub(super) struct Shown {
    windows: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    place: Place,
    /// The damage object that reports of it.
    watch: u32,
    /// Something was reported and not yet taken note of.
    reported: bool,
    /// The request by which it was painted grey last.
    cleaned: SequenceNumber,
}

/// A part of the screen that is read from one of the program's windows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) window: Window,
    pub(super) part: Part,
    pub(super) origin: (i32, i32),
}

impl Shown {
    /// The windows may have moved; gives what has to be shown anew: all that differs in any way.
    pub(super) fn update(
        &mut self,
        connection: &Connection,
        scope: &Scope,
    ) -> Result<Area, ScreenError> {
        let mut before = std::mem::take(&mut self.windows);
        let mut differs = Area::default();
        let readable = scope.places(Cover::Pixels).into_iter();
        for place in readable.filter(|place| place.readable) {
            let known = before
                .iter()
                .position(|seen| seen.place.window == place.window);
            let seen = match known.map(|at| before.swap_remove(at)) {
                Some(seen) if seen.place == place => seen,
                Some(seen) => follow(connection, scope, seen, place, &mut differs)?,
                None => appear(connection, scope, place, &mut differs)?,
            };
            self.windows.push(seen);
        }
        for gone in before {
            differs.add_all(&gone.place.visible);
            // It may be gone itself; that is no matter.
            drop(connection.server.damage_destroy(gone.watch)?);
        }
        Ok(differs)
    }

    /// A window inside of `window` has moved, and with it pixels: should some of them not have been the
    /// program's at that time, they lie elsewhere now.
    pub(super) fn moved_within(
        &mut self,
        connection: &Connection,
        scope: &Scope,
        window: Window,
        sequence: SequenceNumber,
    ) -> Result<(), ScreenError> {
        let mut seen = self.windows.iter_mut();
        match seen.find(|seen| seen.place.window == window) {
            Some(seen) if sequence < seen.cleaned => {
                let all = seen.place.visible.clone();
                clean(connection, scope, seen, &all)
            }
            _ => Ok(()),
        }
    }

    /// Takes in that `part` of what `watch` watches was drawn; gives it as it lies on the screen.
    pub(super) fn drawn(&mut self, watch: u32, part: Part) -> Area {
        let Some(seen) = self.windows.iter_mut().find(|seen| seen.watch == watch) else {
            return Area::default();
        };
        seen.reported = true;
        let (x, y) = seen.place.origin;
        seen.place.visible.cut(&part.shifted(x, y))
    }

    /// What is drawn from now on is reported again.
    pub(super) fn listen(&mut self, server: &Server) -> Result<(), ScreenError> {
        for seen in self.windows.iter_mut().filter(|seen| seen.reported) {
            seen.reported = false;
            drop(server.damage_subtract(seen.watch, NONE, NONE)?);
        }
        Ok(())
    }

    /// What of `part` may be shown, and where it is read; and the rest of it.
    pub(super) fn sources(&self, part: Part) -> (Vec<Source>, Area) {
        let mut hidden = Area::of(part);
        let mut sources = Vec::new();
        for seen in &self.windows {
            for part in seen.place.visible.cut(&part).parts() {
                hidden.take(part);
                sources.push(Source {
                    window: seen.place.window,
                    part: *part,
                    origin: seen.place.origin,
                });
            }
        }
        (sources, hidden)
    }

    /// Whether the program itself is to be seen there.
    pub(super) fn is_visible(&self, x: i32, y: i32) -> bool {
        self.windows.iter().any(|seen| seen.place.visible.has(x, y))
    }
}

/// A window that wasn't visible before: nothing in it is known to be its own.
fn appear(
    connection: &Connection,
    scope: &Scope,
    place: Place,
    differs: &mut Area,
) -> Result<Seen, ScreenError> {
    let server = &connection.server;
    let watch = server.generate_id()?;
    drop(server.damage_create(watch, place.window, ReportLevel::DELTA_RECTANGLES)?);
    let mut seen = Seen {
        place,
        watch,
        reported: false,
        cleaned: 0,
    };
    let all = seen.place.visible.clone();
    differs.add_all(&all);
    clean(connection, scope, &mut seen, &all)?;
    Ok(seen)
}

/// A window that has moved, or over which something has: the server keeps what stays visible, when the
/// size stays too.
fn follow(
    connection: &Connection,
    scope: &Scope,
    before: Seen,
    place: Place,
    differs: &mut Area,
) -> Result<Seen, ScreenError> {
    let (dx, dy) = (
        place.origin.0 - before.place.origin.0,
        place.origin.1 - before.place.origin.1,
    );
    let kept = if place.size == before.place.size {
        before.place.visible.shifted(dx, dy).common(&place.visible)
    } else {
        Area::default()
    };
    let new = place.visible.without(&kept);
    if (dx, dy) == (0, 0) {
        differs.add_all(&before.place.visible.without(&kept));
        differs.add_all(&new);
    } else {
        differs.add_all(&before.place.visible);
        differs.add_all(&place.visible);
    }
    let mut seen = Seen { place, ..before };
    clean(connection, scope, &mut seen, &new)?;
    Ok(seen)
}

/// Paints what may be another's grey, and has the program draw it.
fn clean(
    connection: &Connection,
    scope: &Scope,
    seen: &mut Seen,
    new: &Area,
) -> Result<(), ScreenError> {
    if new.is_empty() {
        return Ok(());
    }
    let server = &connection.server;
    let (window, (x, y)) = (seen.place.window, seen.place.origin);
    let local = |part: &Part| rectangle(&part.shifted(-x, -y));
    let grey = CreateGCAux::new()
        .foreground(seen.place.grey)
        .subwindow_mode(SubwindowMode::INCLUDE_INFERIORS)
        .graphics_exposures(0);
    let rectangles: Vec<_> = new.parts().iter().map(local).collect();
    let gc = server.generate_id()?;
    drop(server.create_gc(gc, window, &grey)?);
    let painted = server.poly_fill_rectangle(window, gc, &rectangles)?;
    seen.cleaned = painted.sequence_number();
    drop(painted);
    drop(server.free_gc(gc)?);
    for (window, part) in scope.drawn_in(&seen.place, new.parts()) {
        let Rectangle {
            x,
            y,
            width,
            height,
        } = rectangle(&part);
        drop(server.clear_area(true, window, x, y, width, height)?);
    }
    server.flush()?;
    Ok(())
}

/// The same in X's words; it lies on the screen, so it fits.
fn rectangle(part: &Part) -> Rectangle {
    Rectangle {
        x: part.left as i16,
        y: part.top as i16,
        width: (part.right - part.left) as u16,
        height: (part.bottom - part.top) as u16,
    }
}
