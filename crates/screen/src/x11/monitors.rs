//! The monitors of RandR 1.5: real ones, and those that the desktop defines (one panel that counts
//! as two, two that count as one).

use x11rb::connection::Connection as _;
use x11rb::protocol::randr::{ConnectionExt as _, MonitorInfo, NotifyMask};
use x11rb::protocol::xproto::{ConnectionExt as _, Window};

use super::connection::Connection;
use crate::cancel::CancelToken;
use crate::error::ScreenError;
use crate::geometry::{Rect, Size};
use crate::monitor::{Monitor, normalize};

/// The list of monitors, refreshed when the server reports a change.
#[derive(Debug, Default)]
pub(super) struct Monitors {
    /// Whether the server has RandR 1.5.
    supported: bool,
    list: Vec<Monitor>,
    /// Whether they may have changed since the last query.
    stale: bool,
}

impl Monitors {
    /// Subscribes to changes. A server older than RandR 1.5 isn't queried: it has one monitor.
    pub(super) fn subscribe(connection: &Connection, root: Window) -> Result<Self, ScreenError> {
        let mut supported = connection.has_extension("RANDR")?;
        if supported {
            let server = &connection.server;
            let version = server.randr_query_version(1, 5)?.reply()?;
            supported = (version.major_version, version.minor_version) >= (1, 5);
            let changes =
                NotifyMask::SCREEN_CHANGE | NotifyMask::CRTC_CHANGE | NotifyMask::OUTPUT_CHANGE;
            server.randr_select_input(root, changes)?;
        }
        Ok(Self {
            supported,
            list: Vec::new(),
            stale: true,
        })
    }

    /// Creates a list of one monitor that always covers the whole screen.
    pub(super) fn single() -> Self {
        Self {
            stale: true,
            ..Self::default()
        }
    }

    pub(super) fn list(&self) -> &[Monitor] {
        &self.list
    }

    pub(super) fn mark_stale(&mut self) {
        self.stale = true;
    }

    /// Queries the server if the list is stale. Returns whether it did: more events may have
    /// arrived then.
    pub(super) fn refresh(
        &mut self,
        connection: &Connection,
        root: Window,
        size: Size,
    ) -> Result<bool, ScreenError> {
        if !std::mem::take(&mut self.stale) {
            return Ok(false);
        }
        let reported = if self.supported {
            let cookie = connection.server.randr_get_monitors(root, true)?;
            cookie.reply()?.monitors
        } else {
            Vec::new()
        };
        self.list = normalize(reported.iter().map(from_info), size);
        Ok(self.supported)
    }
}

/// Asks a display for its monitors, whenever they may have changed.
#[derive(Debug)]
pub struct MonitorQuery {
    connection: Connection,
    monitors: Monitors,
}

impl MonitorQuery {
    /// Connects to `display`, or to `$DISPLAY`.
    ///
    /// # Errors
    /// No display answers.
    pub fn open(display: Option<&str>, cancel: &CancelToken) -> Result<Self, ScreenError> {
        let connection = Connection::open(display, cancel)?;
        let monitors = Monitors::subscribe(&connection, connection.screen().root)?;
        Ok(Self {
            connection,
            monitors,
        })
    }

    /// Returns the monitors as they are now; at least one.
    ///
    /// # Errors
    /// The display is gone.
    pub fn current(&mut self) -> Result<&[Monitor], ScreenError> {
        let server = &self.connection.server;
        // The query gives the news that these events announce.
        while server.poll_for_event()?.is_some() {}
        let root = self.connection.screen().root;
        let screen = server.get_geometry(root)?.reply()?;
        let size = Size {
            width: screen.width,
            height: screen.height,
        };
        self.monitors.mark_stale();
        self.monitors.refresh(&self.connection, root, size)?;
        Ok(self.monitors.list())
    }
}

/// Converts RandR's monitor. Its name is an atom, which stays the same until the server ends.
fn from_info(info: &MonitorInfo) -> Monitor {
    let edge = |start: i16, len: u16| {
        let end = i32::from(start) + i32::from(len);
        let start = i32::from(start).max(0);
        (start as u16, (end - start).clamp(0, u16::MAX.into()) as u16)
    };
    let ((x, w), (y, h)) = (edge(info.x, info.width), edge(info.y, info.height));
    Monitor {
        id: info.name,
        rect: Rect { x, y, w, h },
    }
}
