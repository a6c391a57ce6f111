//! What changed on the screen, told by the server as it happens (DAMAGE, XFIXES, ConfigureNotify).

use std::os::fd::{AsFd, BorrowedFd};

use x11rb::NONE;
use x11rb::connection::{Connection as _, SequenceNumber};
use x11rb::protocol::Event;
use x11rb::protocol::damage::{ConnectionExt as _, ReportLevel};
use x11rb::protocol::xfixes::{ConnectionExt as _, CursorNotifyMask};
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, EventMask, Rectangle,
};
use x11rb::wrapper::ConnectionExt as _;

use super::connection::Connection;
use super::grab::{Frame, Grabber, Wanted};
use super::monitors::Monitors;
use super::pointer::Pointer;
use super::scope::Scope;
use super::shown::Shown;
use crate::area::{Area, Part};
use crate::cursor::CursorImage;
use crate::error::ScreenError;
use crate::geometry::{Rect, Size};
use crate::monitor::Monitor;
use crate::program::Program;
use crate::region::Region;
use crate::stop::Stop;

/// A screen that is resized all the time is no reason to give up at once.
const MOST_MISSES: u8 = 20;
/// In the level of a DamageNotify: more of what was drawn at once follows (DAMAGE protocol, DamageNotify).
const MORE: u8 = 0x80;

/// The screen of an X display, read as it changes.
///
/// Wait until [`as_fd`](AsFd::as_fd) is readable, then [`pump`](Capture::pump); look at
/// [`damage`](Capture::damage), and [`grab`](Capture::grab) when there is somebody to show it to.
#[derive(Debug)]
pub struct Capture {
    connection: Connection,
    root: u32,
    grabber: Grabber,
    watch: u32,
    size: Size,
    monitors: Monitors,
    pointer: Pointer,
    damage: Region,
    /// The server is in the middle of telling what was drawn at once.
    more: bool,
    resized: bool,
    new_cursor: bool,
    /// How often in a row the screen was said to be smaller than it was thought to be.
    misses: u8,
    /// All is shown when there is none.
    limit: Option<Limit>,
}

/// What there is when only one program is shown.
#[derive(Debug)]
struct Limit {
    scope: Scope,
    shown: Shown,
    /// Windows have moved since this was last set to false.
    moved: bool,
}

impl Capture {
    /// Starts to watch `display` (`$DISPLAY` when `None`). All of the screen counts as changed at first.
    ///
    /// # Errors
    /// [`ScreenError::NoDisplay`], [`ScreenError::Unsupported`] (extensions or pixels), or what ended the wait.
    pub fn open(display: Option<&str>, stop: &Stop) -> Result<Self, ScreenError> {
        Self::open_limited(display, None, stop)
    }

    /// As [`open`](Self::open), but everything except the windows of `program` is grey, as far as they can be
    /// seen on the screen. `docs/screen.md` says which windows those are. What comes to light of them is
    /// grey until the program has drawn it.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn of_program(
        display: Option<&str>,
        program: &Program,
        stop: &Stop,
    ) -> Result<Self, ScreenError> {
        Self::open_limited(display, Some(program), stop)
    }

    fn open_limited(
        display: Option<&str>,
        program: Option<&Program>,
        stop: &Stop,
    ) -> Result<Self, ScreenError> {
        let connection = Connection::open(display, stop)?;
        for needed in ["XFIXES", "DAMAGE"] {
            if !connection.has(needed)? {
                return Err(ScreenError::Unsupported(format!(
                    "the X server has no {needed} extension"
                )));
            }
        }
        let grabber = Grabber::new(&connection)?;
        let root = connection.screen().root;
        let watch = watch(&connection, root, program.is_none())?;
        let pointer = Pointer::watch(&connection, root)?;
        // Where monitors end says nothing about a program.
        let monitors = match program {
            None => Monitors::watch(&connection, root)?,
            Some(_) => Monitors::one(),
        };
        let limit = match program {
            None => None,
            Some(program) => Some(Limit {
                scope: Scope::new(&connection, program, grabber.visuals(&connection))?,
                shown: Shown::default(),
                moved: false,
            }),
        };
        let mut capture = Self {
            connection,
            root,
            grabber,
            watch,
            size: Size::default(),
            monitors,
            pointer,
            damage: Region::default(),
            more: false,
            resized: false,
            new_cursor: true,
            misses: 0,
            limit,
        };
        capture.look_at_size()?;
        capture.resized = false;
        capture.settle()?;
        Ok(capture)
    }

    /// The screen's size now.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// The monitors that the screen is spread over now: at least one; one that is all of it when only one
    /// program is shown, or the server doesn't know (RandR below 1.5).
    #[must_use]
    pub fn monitors(&self) -> &[Monitor] {
        self.monitors.list()
    }

    /// Whether the size has changed since this was asked last.
    pub fn take_resized(&mut self) -> bool {
        std::mem::take(&mut self.resized)
    }

    /// What has changed and was not grabbed yet.
    #[must_use]
    pub fn damage(&self) -> &Region {
        &self.damage
    }

    /// Counts `rect` as changed.
    pub fn spoil(&mut self, rect: Rect) {
        self.damage.add(rect.intersection(&self.size.rect()));
    }

    /// Whether pixels come through shared memory (a display on another machine has none for us).
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.grabber.is_shared()
    }

    /// Takes in what the server has said. Never waits for news but for the rest of what was drawn at once, of which a
    /// part would be a torn picture; asks it for the monitors when those may have changed.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn pump(&mut self) -> Result<(), ScreenError> {
        loop {
            while let Some((event, sequence)) =
                self.connection.server.poll_for_event_with_sequence()?
            {
                self.take_in_limited(&event, sequence)?;
                self.take_in(event);
            }
            if std::mem::take(&mut self.more) {
                // It has said the rest before it answers.
                self.connection.server.sync()?;
                continue;
            }
            let Self {
                connection, root, ..
            } = self;
            if !self.monitors.refresh(connection, *root, self.size)? {
                return Ok(());
            }
        }
    }

    /// The pixels of everything that has changed inside `within`; it no longer counts as changed then.
    /// `None` when nothing has, or when the screen became smaller just now (all of it counts as changed).
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn grab(&mut self, within: Rect) -> Result<Option<Frame<'_>>, ScreenError> {
        if self.limit.is_some() {
            return self.grab_program(within);
        }
        let changed = self.damage.take(within);
        if changed.is_empty() {
            return Ok(None);
        }
        // Before the pixels are read, so that what is drawn in between is reported again.
        self.connection
            .server
            .damage_subtract(self.watch, NONE, NONE)?;
        let rects = changed.rects();
        if !self.grabber.grab(&self.connection, self.size, rects)? {
            self.look_at_size()?;
            self.misses += 1;
            if self.misses > MOST_MISSES {
                return Err(ScreenError::Lost("its pixels can't be read".into()));
            }
            return Ok(None);
        }
        self.misses = 0;
        Ok(Some(self.frame()))
    }

    /// What the last [`grab`](Self::grab) gave, unchanged until the next one; nothing before the first, or after one that
    /// failed.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        self.grabber.frame()
    }

    /// Whether the pointer's shape has changed since it was taken last.
    #[must_use]
    pub fn has_new_cursor(&self) -> bool {
        self.new_cursor
    }

    /// Makes [`take_cursor`](Self::take_cursor) give the shape again.
    pub fn forget_cursor(&mut self) {
        self.new_cursor = true;
    }

    /// The pointer's shape, when it has changed since this was asked last.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn take_cursor(&mut self) -> Result<Option<CursorImage>, ScreenError> {
        if !std::mem::take(&mut self.new_cursor) {
            return Ok(None);
        }
        self.settle()?;
        let image = self.connection.server.xfixes_get_cursor_image()?.reply()?;
        self.settle()?;
        let (x, y) = (image.x.into(), image.y.into());
        let is_foreign = |limit: &Limit| !limit.shown.is_visible(x, y);
        if self.limit.as_ref().is_some_and(is_foreign) {
            // The shape that another program gives it says what that one is doing.
            return Ok(None);
        }
        let (size, hot) = ((image.width, image.height), (image.xhot, image.yhot));
        Ok(Some(CursorImage::from_argb(size, hot, &image.cursor_image)))
    }

    /// Whether the pointer has moved since it was [looked at](Self::look_at_pointer) last.
    #[must_use]
    pub fn has_pointer_moved(&self) -> bool {
        self.pointer.has_moved()
    }

    /// Where the pointer is now, whoever moved it; `None` when it is elsewhere than what is shown.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn look_at_pointer(&mut self) -> Result<Option<(u16, u16)>, ScreenError> {
        self.settle()?;
        let place = self.pointer.look(&self.connection, self.root)?;
        self.settle()?;
        let is_foreign = |limit: &Limit, (x, y): (u16, u16)| {
            let shown = &limit.shown;
            !shown.is_visible(x.into(), y.into())
        };
        let limit = self.limit.as_ref();
        Ok(place.filter(|place| !limit.is_some_and(|limit| is_foreign(limit, *place))))
    }

    /// Reads what must be read of the windows, when only one program is shown.
    fn settle(&mut self) -> Result<(), ScreenError> {
        self.pump()?;
        while self.limit.as_ref().is_some_and(|l| l.scope.is_unread()) {
            self.connection.hold()?;
            self.connection.server.sync()?;
            self.pump()?;
            if let Some(limit) = &mut self.limit {
                limit.scope.read(&self.connection.server)?;
            }
            self.windows_moved()?;
            self.connection.let_go()?;
            self.pump()?;
        }
        Ok(())
    }

    fn take_in_limited(
        &mut self,
        event: &Event,
        sequence: SequenceNumber,
    ) -> Result<(), ScreenError> {
        if let Event::DamageNotify(e) = event {
            self.more = u8::from(e.level) & MORE != 0;
        }
        let Some(limit) = &mut self.limit else {
            return Ok(());
        };
        if let Event::DamageNotify(e) = event {
            let part = Part::new(
                e.area.x.into(),
                e.area.y.into(),
                e.area.width.into(),
                e.area.height.into(),
            );
            let drawn = limit.shown.drawn(e.damage, part);
            self.spoil_area(&drawn);
        } else if limit.scope.apply(event) {
            if let Some(window) = limit.scope.moved_in(event) {
                let Limit { scope, shown, .. } = limit;
                shown.moved_within(&self.connection, scope, window, sequence)?;
            }
            self.windows_moved()?;
        }
        Ok(())
    }

    fn windows_moved(&mut self) -> Result<(), ScreenError> {
        if let Some(limit) = &mut self.limit {
            limit.moved = true;
            let differs = limit.shown.update(&self.connection, &limit.scope)?;
            self.spoil_area(&differs);
        }
        Ok(())
    }

    fn spoil_area(&mut self, area: &Area) {
        for part in area.parts() {
            self.spoil(part.on_screen());
        }
    }

    /// What has changed, of the program's windows. Nothing may have moved between what is known of the
    /// windows and their pixels: it is tried once, and then again with the server held.
    fn grab_program(&mut self, within: Rect) -> Result<Option<Frame<'_>>, ScreenError> {
        self.settle()?;
        if self
            .damage
            .rects()
            .iter()
            .all(|r| r.intersection(&within).is_empty())
        {
            return Ok(None);
        }
        if !self.try_program(within)? {
            self.connection.hold()?;
            self.connection.server.sync()?;
            self.settle()?;
            let is_read = self.try_program(within)?;
            self.connection.let_go()?;
            if !is_read {
                // A window that can't be read though nothing moves: nothing of it is shown.
                self.grabber.hide(self.damage.take(within).rects());
            }
        }
        Ok(Some(self.frame()))
    }

    /// False when something moved meanwhile; all of it counts as changed still.
    fn try_program(&mut self, within: Rect) -> Result<bool, ScreenError> {
        let Some(limit) = &mut self.limit else {
            return Ok(false);
        };
        let changed = self.damage.take(within);
        let mut area = Area::default();
        for rect in changed.rects() {
            area.add((*rect).into());
        }
        let (mut wanted, mut hidden) = (Vec::new(), Vec::new());
        for part in area.parts() {
            let (sources, rest) = limit.shown.sources(*part);
            wanted.extend(sources.into_iter().map(|source| Wanted {
                drawable: source.window,
                x: (source.part.left - source.origin.0) as i16,
                y: (source.part.top - source.origin.1) as i16,
                rect: source.part.on_screen(),
            }));
            hidden.extend(rest.parts().iter().map(Part::on_screen));
        }
        // Before the pixels are read, so that what is drawn in between is reported again.
        limit.shown.listen(&self.connection.server)?;
        limit.moved = false;
        let is_read = self
            .grabber
            .grab_windows(&self.connection, self.size, &wanted, &hidden)?;
        // All that happened before the pixels were read has been told before they came.
        self.pump()?;
        let moved = self
            .limit
            .as_ref()
            .is_none_or(|l| l.moved || l.scope.is_unread());
        if moved || !is_read {
            // What was read may be another program's by now.
            self.grabber.hide(&[]);
            self.spoil_area(&area);
            return Ok(false);
        }
        Ok(true)
    }

    fn take_in(&mut self, event: Event) {
        match event {
            Event::DamageNotify(_) if self.limit.is_some() => {}
            Event::DamageNotify(e) => self.spoil(on_screen(&e.area)),
            Event::XfixesCursorNotify(_) => self.new_cursor = true,
            Event::ConfigureNotify(e) if e.window == self.root => {
                // Also told when a monitor is made up or done away with.
                self.monitors.spoil();
                self.set_size(Size {
                    width: e.width,
                    height: e.height,
                });
            }
            Event::XinputRawMotion(_) => self.pointer.move_on(),
            Event::RandrNotify(_) | Event::RandrScreenChangeNotify(_) => self.monitors.spoil(),
            _ => {}
        }
    }

    fn look_at_size(&mut self) -> Result<(), ScreenError> {
        let now = self.connection.server.get_geometry(self.root)?.reply()?;
        self.set_size(Size {
            width: now.width,
            height: now.height,
        });
        self.damage = Region::of(self.size.rect());
        Ok(())
    }

    fn set_size(&mut self, size: Size) {
        if self.size == size {
            return;
        }
        self.size = size;
        self.monitors.spoil();
        self.resized = true;
        self.damage = Region::of(size.rect());
    }
}

impl AsFd for Capture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

/// Asks the server to tell of changes; gives the damage object's name.
fn watch(connection: &Connection, root: u32, everything: bool) -> Result<u32, ScreenError> {
    let server = &connection.server;
    // Both versions must have been agreed on before anything else is asked of these extensions.
    let fixes = server.xfixes_query_version(5, 0)?;
    let damage = server.damage_query_version(1, 1)?;
    fixes.reply()?;
    damage.reply()?;
    let watch = server.generate_id()?;
    // Each event carries what is newly damaged, so that no round trip is needed to learn it.
    if everything {
        server.damage_create(watch, root, ReportLevel::DELTA_RECTANGLES)?;
    }
    server.xfixes_select_cursor_input(root, CursorNotifyMask::DISPLAY_CURSOR)?;
    let size_changes = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
    server.change_window_attributes(root, &size_changes)?;
    Ok(watch)
}

/// The part of an X rectangle that may lie on the screen.
fn on_screen(area: &Rectangle) -> Rect {
    let edge = |start: i16, len: u16| {
        let end = i32::from(start) + i32::from(len);
        let start = start.max(0);
        (
            start.unsigned_abs(),
            end.saturating_sub(start.into()).clamp(0, u16::MAX.into()) as u16,
        )
    };
    let ((x, w), (y, h)) = (edge(area.x, area.width), edge(area.y, area.height));
    Rect { x, y, w, h }
}
