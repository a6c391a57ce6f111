//! The map from a pointer's physical buttons to those that programs receive.
//!
//! A left-handed customer has turned the first and the third around. Faked buttons go through the
//! map of the XTEST pointer, and then through that of the core pointer. So the physical button is
//! pressed that gives the wanted one in the end.

use x11rb::errors::ReplyError;
use x11rb::protocol::xinput::{ConnectionExt as _, Device, DeviceType};
use x11rb::protocol::xproto::ConnectionExt as _;

use super::connection::Connection;
use crate::error::ScreenError;

/// The end of the XTEST pointer's name, after the name of the pointer that it feeds.
const XTEST_POINTER_SUFFIX: &[u8] = b"XTEST pointer";
/// Number of buttons that are ever pressed.
const BUTTON_COUNT: usize = 9;

/// The XTEST pointer's map, and the buttons that are held.
#[derive(Debug, Default)]
pub(super) struct ButtonMap {
    xtest_pointer: Option<u8>,
    /// The button that programs receive, for each physical one from 1 on; 0 for none.
    received: Vec<u8>,
    /// The physical button that each held one was pressed by; 0 for none.
    held: [u8; BUTTON_COUNT],
}

impl ButtonMap {
    /// Reads the map. Without XInput 2 the core pointer's counts alone.
    pub(super) fn read(connection: &Connection) -> Result<Self, ScreenError> {
        let mut map = Self {
            xtest_pointer: find_xtest_pointer(connection)?,
            ..Self::default()
        };
        map.update(connection)?;
        Ok(map)
    }

    /// Reads the map again.
    pub(super) fn update(&mut self, connection: &Connection) -> Result<(), ScreenError> {
        let server = &connection.server;
        let core = server.get_pointer_mapping()?.reply()?.map;
        let xtest = match self.xtest_pointer {
            Some(pointer) => {
                server
                    .xinput_get_device_button_mapping(pointer)?
                    .reply()?
                    .map
            }
            None => (1..=core.len() as u8).collect(),
        };
        let core_button =
            |mapped: &u8| mapped.checked_sub(1).and_then(|n| core.get(usize::from(n)));
        let received = xtest.iter().map(|mapped| core_button(mapped).copied());
        self.received = received.map(Option::unwrap_or_default).collect();
        Ok(())
    }

    /// Returns the physical button for a press or release of `button`. `None` if the map leaves it
    /// out, or if it isn't held.
    pub(super) fn physical(&mut self, button: u8, down: bool) -> Option<u8> {
        let held = self.held.get_mut(usize::from(button.checked_sub(1)?))?;
        if !down {
            return Some(std::mem::take(held)).filter(|physical| *physical != 0);
        }
        let mut buttons = (1..=u8::MAX).zip(&self.received);
        *held = buttons.find(|(_, received)| **received == button)?.0;
        Some(*held)
    }
}

fn find_xtest_pointer(connection: &Connection) -> Result<Option<u8>, ScreenError> {
    if !connection.has_extension("XInputExtension")? {
        return Ok(None);
    }
    let server = &connection.server;
    match server.xinput_xi_query_version(2, 1)?.reply() {
        Ok(version) if version.major_version < 2 => return Ok(None),
        // A second, lower version on one connection is refused; the first one counts.
        Ok(_) | Err(ReplyError::X11Error(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let devices = server.xinput_xi_query_device(Device::ALL)?.reply()?.infos;
    let mut pointers = devices.iter().filter(|device| {
        device.type_ == DeviceType::SLAVE_POINTER && device.name.ends_with(XTEST_POINTER_SUFFIX)
    });
    Ok(pointers
        .next()
        .and_then(|pointer| u8::try_from(pointer.deviceid).ok()))
}
