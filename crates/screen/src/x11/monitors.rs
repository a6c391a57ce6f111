//! The monitors, as RandR 1.5 tells them: real ones, and those that the customer's desktop makes up (one panel
//! that counts as two, two that count as one).

use x11rb::protocol::randr::{ConnectionExt as _, MonitorInfo, NotifyMask};
use x11rb::protocol::xproto::Window;

use super::connection::Connection;
use crate::error::ScreenError;
use crate::geometry::{Rect, Size};
use crate::monitor::{Monitor, tidied};

/// What is known of the monitors.
#[derive(Debug, Default)]
pub(super) struct Monitors {
    /// Whether the server can be asked.
    known: bool,
    list: Vec<Monitor>,
    /// They may have changed since they were asked for.
    stale: bool,
}

impl Monitors {
    /// Has the server tell of changes. One older than RandR 1.5 is not asked: then there is one monitor.
    pub(super) fn watch(connection: &Connection, root: Window) -> Result<Self, ScreenError> {
        let mut known = connection.has("RANDR")?;
        if known {
            let server = &connection.server;
            let version = server.randr_query_version(1, 5)?.reply()?;
            known = (version.major_version, version.minor_version) >= (1, 5);
            let news =
                NotifyMask::SCREEN_CHANGE | NotifyMask::CRTC_CHANGE | NotifyMask::OUTPUT_CHANGE;
            server.randr_select_input(root, news)?;
        }
        Ok(Self {
            known,
            list: Vec::new(),
            stale: true,
        })
    }

    /// One that is all of the screen, and stays so.
    pub(super) fn one() -> Self {
        Self {
            stale: true,
            ..Self::default()
        }
    }

    pub(super) fn list(&self) -> &[Monitor] {
        &self.list
    }

    pub(super) fn spoil(&mut self) {
        self.stale = true;
    }

    /// Asks the server, if there is a reason to. Says whether it asked, for then more news may have come.
    pub(super) fn refresh(
        &mut self,
        connection: &Connection,
        root: Window,
        size: Size,
    ) -> Result<bool, ScreenError> {
        if !std::mem::take(&mut self.stale) {
            return Ok(false);
        }
        let told = if self.known {
            let asked = connection.server.randr_get_monitors(root, true)?;
            asked.reply()?.monitors
        } else {
            Vec::new()
        };
        self.list = tidied(told.iter().map(monitor), size);
        Ok(self.known)
    }
}

/// A monitor's name is an atom, which stays its own until the server ends.
fn monitor(told: &MonitorInfo) -> Monitor {
    let edge = |at: i16, len: u16| {
        let end = i32::from(at) + i32::from(len);
        let start = i32::from(at).max(0);
        (start as u16, (end - start).clamp(0, u16::MAX.into()) as u16)
    };
    let ((x, w), (y, h)) = (edge(told.x, told.width), edge(told.y, told.height));
    Monitor {
        id: told.name,
        rect: Rect { x, y, w, h },
    }
}
