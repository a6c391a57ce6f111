//! Where the pointer is, whoever moves it. The server tells that it moves (XInput 2, raw motion: whatever window it is
//! over, and whoever has grabbed it); where it has come to is asked when somebody wants to know.

use x11rb::protocol::xinput::{ConnectionExt as _, EventMask, XIEventMask};
use x11rb::protocol::xproto::{ConnectionExt as _, Window};

use super::connection::Connection;
use crate::error::ScreenError;

/// All devices that move a pointer ("The X Input Extension 2", XISelectEvents).
const ALL_MASTERS: u16 = 1;

/// The pointer's place.
#[derive(Debug, Default)]
pub(super) struct Pointer {
    moved: bool,
}

impl Pointer {
    /// Has the server tell of moves. Without XInput 2 the pointer's place is never told: it would soon be wrong.
    pub(super) fn watch(connection: &Connection, root: Window) -> Result<Self, ScreenError> {
        if !connection.has("XInputExtension")? {
            return Ok(Self::default());
        }
        let server = &connection.server;
        let version = server.xinput_xi_query_version(2, 1)?.reply()?;
        let known = (version.major_version, version.minor_version) >= (2, 1);
        if known {
            let moves = EventMask {
                deviceid: ALL_MASTERS,
                mask: vec![XIEventMask::RAW_MOTION],
            };
            server.xinput_xi_select_events(root, &[moves])?;
        }
        Ok(Self { moved: known })
    }

    pub(super) fn move_on(&mut self) {
        self.moved = true;
    }

    pub(super) fn has_moved(&self) -> bool {
        self.moved
    }

    /// Where it is now; `None` when it is on another screen.
    pub(super) fn look(
        &mut self,
        connection: &Connection,
        root: Window,
    ) -> Result<Option<(u16, u16)>, ScreenError> {
        self.moved = false;
        let at = connection.server.query_pointer(root)?.reply()?;
        let place = (at.root_x.max(0) as u16, at.root_y.max(0) as u16);
        Ok(at.same_screen.then_some(place))
    }
}
