//! Capture of the screen: damage as the server reports it (DAMAGE, XFIXES, ConfigureNotify), and
//! pixels.

mod app_capture;

use std::os::fd::{AsFd, BorrowedFd};

use x11rb::NONE;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::damage::{ConnectionExt as _, ReportLevel};
use x11rb::protocol::xfixes::{ConnectionExt as _, CursorNotifyMask};
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, EventMask, Rectangle,
};
use x11rb::wrapper::ConnectionExt as _;

use super::connection::Connection;
use super::frame::Frame;
use super::grabber::Grabber;
use super::monitors::Monitors;
use super::pointer_tracker::PointerTracker;
use crate::cancel::CancelToken;
use crate::coalesced_region::CoalescedRegion;
use crate::cursor_image::CursorImage;
use crate::error::ScreenError;
use crate::geometry::{Rect, Size};
use crate::monitor::Monitor;
use crate::shared_app::SharedApp;
use app_capture::AppCapture;

/// Grabs in a row that may fail because the screen has shrunk. A screen that is resized all the
/// time is no reason to give up at once.
const MAX_SIZE_MISSES: u8 = 20;
/// The bit in the level of DamageNotify that says that more of one drawing operation follows
/// (DAMAGE protocol, DamageNotify).
const MORE_FOLLOWS: u8 = 0x80;

/// The screen of an X display, read as it changes.
///
/// Wait until [`as_fd`](AsFd::as_fd) is readable, then [`pump`](Capture::pump). Read
/// [`damage`](Capture::damage), and [`grab`](Capture::grab) when there is somebody to show it to.
#[derive(Debug)]
pub struct Capture {
    connection: Connection,
    root: u32,
    grabber: Grabber,
    /// The root window's damage object.
    root_damage: u32,
    size: Size,
    monitors: Monitors,
    pointer: PointerTracker,
    damage: CoalescedRegion,
    /// Whether the server has yet to send the rest of one drawing operation's damage.
    more_damage_follows: bool,
    resized: bool,
    has_new_cursor: bool,
    /// Grabs in a row that found the screen smaller than known.
    size_misses: u8,
    /// The only program that is shown; `None` for the whole screen.
    app: Option<AppCapture>,
}

impl Capture {
    /// Starts to watch `display` (`$DISPLAY` when `None`). The whole screen counts as changed at
    /// first. With an `app`, only the visible part of its windows is shown; everything else is grey,
    /// and so is a part that becomes visible, until the program has drawn it. `docs/screen.md` says
    /// which windows are the program's.
    ///
    /// # Errors
    /// [`ScreenError::NoDisplay`], [`ScreenError::Unsupported`] (extensions or pixels), or the
    /// error that ended the wait.
    pub fn open(
        display: Option<&str>,
        app: Option<&SharedApp>,
        cancel: &CancelToken,
    ) -> Result<Self, ScreenError> {
        let connection = Connection::open(display, cancel)?;
        connection.require_extensions(&["XFIXES", "DAMAGE"])?;
        let grabber = Grabber::new(&connection)?;
        let root = connection.screen().root;
        let root_damage = subscribe(&connection, root)?;
        if app.is_none() {
            // Each event carries the new damage, so that no round trip is needed to learn it.
            let level = ReportLevel::DELTA_RECTANGLES;
            connection.server.damage_create(root_damage, root, level)?;
        }
        let pointer = PointerTracker::subscribe(&connection, root)?;
        // The monitors' edges say nothing about a program.
        let monitors = match app {
            None => Monitors::subscribe(&connection, root)?,
            Some(_) => Monitors::single(),
        };
        let app = match app {
            None => None,
            Some(app) => {
                let visuals = grabber.readable_visuals(&connection);
                Some(AppCapture::new(&connection, app, visuals)?)
            }
        };
        let mut capture = Self {
            connection,
            root,
            grabber,
            root_damage,
            size: Size::default(),
            monitors,
            pointer,
            damage: CoalescedRegion::default(),
            more_damage_follows: false,
            resized: false,
            has_new_cursor: true,
            size_misses: 0,
            app,
        };
        capture.query_size()?;
        capture.resized = false;
        capture.sync_window_tree()?;
        Ok(capture)
    }

    /// Returns the screen's size.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// Returns the monitors, at least one. With app sharing, or a server that doesn't know them
    /// (RandR below 1.5), one monitor covers the whole screen.
    #[must_use]
    pub fn monitors(&self) -> &[Monitor] {
        self.monitors.list()
    }

    /// Returns whether the size has changed since the last call.
    pub fn take_resized(&mut self) -> bool {
        std::mem::take(&mut self.resized)
    }

    /// Returns the region that has changed and was not grabbed yet.
    #[must_use]
    pub fn damage(&self) -> &CoalescedRegion {
        &self.damage
    }

    /// Adds `rect` to the damage.
    pub fn mark_damaged(&mut self, rect: Rect) {
        self.damage.add(rect.intersection(&self.size.rect()));
    }

    /// Returns whether pixels come through shared memory: a display on another machine has none for
    /// us.
    #[must_use]
    pub fn uses_shared_memory(&self) -> bool {
        self.grabber.uses_shared_memory()
    }

    /// Processes the events that have arrived. Waits only for the rest of one drawing operation's
    /// damage (a part of it would be a torn picture), and for the monitors when they may have
    /// changed.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn pump(&mut self) -> Result<(), ScreenError> {
        loop {
            while let Some((event, sequence)) =
                self.connection.server.poll_for_event_with_sequence()?
            {
                if let Event::DamageNotify(e) = &event {
                    self.more_damage_follows = u8::from(e.level) & MORE_FOLLOWS != 0;
                }
                self.on_app_event(&event, sequence)?;
                self.on_event(event);
            }
            if std::mem::take(&mut self.more_damage_follows) {
                // The server sends the rest before it replies.
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

    /// Reads the pixels of the damage inside `within`, which is no longer damaged then. Returns
    /// `None` when there is none, or when the screen has just become smaller (all of it counts as
    /// damaged then).
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn grab(&mut self, within: Rect) -> Result<Option<Frame<'_>>, ScreenError> {
        if self.app.is_some() {
            return self.grab_app(within);
        }
        let changed = self.damage.take_within(within);
        if changed.is_empty() {
            return Ok(None);
        }
        // Before the pixels are read, so that drawing in between is reported again.
        self.connection
            .server
            .damage_subtract(self.root_damage, NONE, NONE)?;
        let rects = changed.rects();
        if !self.grabber.grab(&self.connection, self.size, rects)? {
            self.query_size()?;
            self.size_misses += 1;
            if self.size_misses > MAX_SIZE_MISSES {
                return Err(ScreenError::Lost("its pixels can't be read".into()));
            }
            return Ok(None);
        }
        self.size_misses = 0;
        Ok(Some(self.frame()))
    }

    /// Returns the frame of the last [`grab`](Self::grab), valid until the next one. Empty before
    /// the first and after a failed one.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        self.grabber.frame()
    }

    /// Returns whether the pointer's shape has changed since [`take_cursor`](Self::take_cursor).
    #[must_use]
    pub fn has_new_cursor(&self) -> bool {
        self.has_new_cursor
    }

    /// Makes [`take_cursor`](Self::take_cursor) return the shape again.
    pub fn invalidate_cursor(&mut self) {
        self.has_new_cursor = true;
    }

    /// Returns the pointer's shape, if it has changed since the last call. With app sharing, a
    /// shape that another program has set is never returned.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn take_cursor(&mut self) -> Result<Option<CursorImage>, ScreenError> {
        if !std::mem::take(&mut self.has_new_cursor) {
            return Ok(None);
        }
        self.sync_window_tree()?;
        let image = self.connection.server.xfixes_get_cursor_image()?.reply()?;
        self.sync_window_tree()?;
        if !self.is_shown_at(image.x.into(), image.y.into()) {
            // Another program's pointer shape would say what that program is doing.
            return Ok(None);
        }
        let (size, hotspot) = ((image.width, image.height), (image.xhot, image.yhot));
        let argb = &image.cursor_image;
        Ok(Some(CursorImage::from_argb(size, hotspot, argb)))
    }

    /// Returns whether the pointer has moved since [`query_pointer`](Self::query_pointer).
    #[must_use]
    pub fn has_pointer_moved(&self) -> bool {
        self.pointer.has_moved()
    }

    /// Queries the pointer's position, whoever moved it. `None` on another screen, or over
    /// something that isn't shown.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn query_pointer(&mut self) -> Result<Option<(u16, u16)>, ScreenError> {
        self.sync_window_tree()?;
        let position = self.pointer.query(&self.connection, self.root)?;
        self.sync_window_tree()?;
        Ok(position.filter(|(x, y)| self.is_shown_at((*x).into(), (*y).into())))
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::DamageNotify(_) if self.app.is_some() => {}
            Event::DamageNotify(e) => self.mark_damaged(on_screen(&e.area)),
            Event::XfixesCursorNotify(_) => self.has_new_cursor = true,
            Event::ConfigureNotify(e) if e.window == self.root => {
                // Also sent when the desktop defines or deletes a monitor.
                self.monitors.mark_stale();
                self.set_size(Size {
                    width: e.width,
                    height: e.height,
                });
            }
            Event::XinputRawMotion(_) => self.pointer.mark_moved(),
            Event::RandrNotify(_) | Event::RandrScreenChangeNotify(_) => self.monitors.mark_stale(),
            _ => {}
        }
    }

    fn query_size(&mut self) -> Result<(), ScreenError> {
        let root = self.connection.server.get_geometry(self.root)?.reply()?;
        self.set_size(Size {
            width: root.width,
            height: root.height,
        });
        self.damage = CoalescedRegion::from_rect(self.size.rect());
        Ok(())
    }

    fn set_size(&mut self, size: Size) {
        if self.size == size {
            return;
        }
        self.size = size;
        self.monitors.mark_stale();
        self.resized = true;
        self.damage = CoalescedRegion::from_rect(size.rect());
    }
}

impl AsFd for Capture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

/// Subscribes to changes of the pointer's shape and the screen's size. Returns an id for the root
/// window's damage object.
fn subscribe(connection: &Connection, root: u32) -> Result<u32, ScreenError> {
    let server = &connection.server;
    // Both versions must be negotiated before any other request of these extensions.
    let fixes = server.xfixes_query_version(5, 0)?;
    let damage = server.damage_query_version(1, 1)?;
    fixes.reply()?;
    damage.reply()?;
    let root_damage = server.generate_id()?;
    server.xfixes_select_cursor_input(root, CursorNotifyMask::DISPLAY_CURSOR)?;
    let size_changes = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
    server.change_window_attributes(root, &size_changes)?;
    Ok(root_damage)
}

/// Returns the part of an X rectangle at non-negative coordinates.
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
