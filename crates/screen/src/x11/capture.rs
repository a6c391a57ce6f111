//! What changed on the screen, told by the server as it happens (DAMAGE, XFIXES, ConfigureNotify).

use std::os::fd::{AsFd, BorrowedFd};

use x11rb::NONE;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::damage::{ConnectionExt as _, ReportLevel};
use x11rb::protocol::xfixes::{ConnectionExt as _, CursorNotifyMask};
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, EventMask, Rectangle,
};

use super::connection::Connection;
use super::grab::{Frame, Grabber};
use crate::cursor::CursorImage;
use crate::error::ScreenError;
use crate::geometry::{Rect, Size};
use crate::region::Region;
use crate::stop::Stop;

/// A screen that is resized all the time is no reason to give up at once.
const MOST_MISSES: u8 = 20;

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
    damage: Region,
    resized: bool,
    new_cursor: bool,
    /// How often in a row the screen was said to be smaller than it was thought to be.
    misses: u8,
}

impl Capture {
    /// Starts to watch `display` (`$DISPLAY` when `None`). All of the screen counts as changed at first.
    ///
    /// # Errors
    /// [`ScreenError::NoDisplay`], [`ScreenError::Unsupported`] (extensions or pixels), or what ended the wait.
    pub fn open(display: Option<&str>, stop: &Stop) -> Result<Self, ScreenError> {
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
        let watch = watch(&connection, root)?;
        let mut capture = Self {
            connection,
            root,
            grabber,
            watch,
            size: Size::default(),
            damage: Region::default(),
            resized: false,
            new_cursor: true,
            misses: 0,
        };
        capture.look_at_size()?;
        capture.resized = false;
        Ok(capture)
    }

    /// The screen's size now.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
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

    /// Takes in what the server has said. Never waits for news.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn pump(&mut self) -> Result<(), ScreenError> {
        while let Some(event) = self.connection.server.poll_for_event()? {
            self.take_in(event);
        }
        Ok(())
    }

    /// The pixels of everything that has changed inside `within`; it no longer counts as changed then.
    /// `None` when nothing has, or when the screen became smaller just now (all of it counts as changed).
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn grab(&mut self, within: Rect) -> Result<Option<Frame<'_>>, ScreenError> {
        let changed = self.damage.take(within);
        if changed.is_empty() {
            return Ok(None);
        }
        // Before the pixels are read, so that what is drawn in between is reported again.
        self.connection
            .server
            .damage_subtract(self.watch, NONE, NONE)?;
        let Some(pieces) = self.grabber.grab(&self.connection, changed.rects())? else {
            self.look_at_size()?;
            self.misses += 1;
            if self.misses > MOST_MISSES {
                return Err(ScreenError::Lost("its pixels can't be read".into()));
            }
            return Ok(None);
        };
        self.misses = 0;
        Ok(Some(self.grabber.frame(pieces)))
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
        let image = self.connection.server.xfixes_get_cursor_image()?.reply()?;
        let (size, hot) = ((image.width, image.height), (image.xhot, image.yhot));
        Ok(Some(CursorImage::from_argb(size, hot, &image.cursor_image)))
    }

    fn take_in(&mut self, event: Event) {
        match event {
            Event::DamageNotify(e) => self.spoil(on_screen(&e.area)),
            Event::XfixesCursorNotify(_) => self.new_cursor = true,
            Event::ConfigureNotify(e) if e.window == self.root => {
                self.set_size(Size {
                    width: e.width,
                    height: e.height,
                });
            }
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
        self.resized = true;
        self.damage = Region::of(size.rect());
        self.grabber.resize(&self.connection, size);
    }
}

impl AsFd for Capture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

/// Asks the server to tell of changes; gives the damage object's name.
fn watch(connection: &Connection, root: u32) -> Result<u32, ScreenError> {
    let server = &connection.server;
    // Both versions must have been agreed on before anything else is asked of these extensions.
    let fixes = server.xfixes_query_version(5, 0)?;
    let damage = server.damage_query_version(1, 1)?;
    fixes.reply()?;
    damage.reply()?;
    let watch = server.generate_id()?;
    // Each event carries what is newly damaged, so that no round trip is needed to learn it.
    server.damage_create(watch, root, ReportLevel::DELTA_RECTANGLES)?;
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
