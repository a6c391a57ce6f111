//! The pointer's position, whoever moves it.
//!
//! XInput 2 raw motion reports that it moves, over whatever window and whoever has grabbed it; the
//! position itself is queried on demand.

use x11rb::protocol::xinput::{ConnectionExt as _, EventMask, XIEventMask};
use x11rb::protocol::xproto::{ConnectionExt as _, Window};

use super::connection::Connection;
use crate::error::ScreenError;

/// All master devices: those that move a pointer ("The X Input Extension 2", XISelectEvents).
const ALL_MASTERS: u16 = 1;

/// Whether the pointer has moved since its position was queried.
#[derive(Debug, Default)]
pub(super) struct PointerTracker {
    moved: bool,
}

impl PointerTracker {
    /// Subscribes to raw motion. Without XInput 2.1 the pointer never counts as moved, so its
    /// position is never reported: it would soon be wrong.
    pub(super) fn subscribe(connection: &Connection, root: Window) -> Result<Self, ScreenError> {
        if !connection.has_extension("XInputExtension")? {
            return Ok(Self::default());
        }
        let server = &connection.server;
        let version = server.xinput_xi_query_version(2, 1)?.reply()?;
        let supported = (version.major_version, version.minor_version) >= (2, 1);
        if supported {
            let raw_motion = EventMask {
                deviceid: ALL_MASTERS,
                mask: vec![XIEventMask::RAW_MOTION],
            };
            server.xinput_xi_select_events(root, &[raw_motion])?;
        }
        Ok(Self { moved: supported })
    }

    pub(super) fn mark_moved(&mut self) {
        self.moved = true;
    }

    pub(super) fn has_moved(&self) -> bool {
        self.moved
    }

    /// Queries the position; `None` on another screen.
    pub(super) fn query(
        &mut self,
        connection: &Connection,
        root: Window,
    ) -> Result<Option<(u16, u16)>, ScreenError> {
        self.moved = false;
        let reply = connection.server.query_pointer(root)?.reply()?;
        let position = (reply.root_x.max(0) as u16, reply.root_y.max(0) as u16);
        Ok(reply.same_screen.then_some(position))
    }
}
