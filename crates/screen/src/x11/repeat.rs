//! Keys that are held by us don't repeat by themselves.
//!
//! The peer's keyboard repeats already, and a key that it holds while the link stalls would otherwise be
//! typed a hundred times. The server has a keyboard of its own for faked keys; only that one is told.

use x11rb::errors::ReplyError;
use x11rb::protocol::xkb::{
    AXOption, BoolCtrl, ConnectionExt as _, Control, ID, LedClass, VMod, XIFeature,
};
use x11rb::protocol::xproto::ModMask;

use super::connection::Server;
use crate::error::ScreenError;

/// Devices are numbered from 2; faked keys' keyboard comes before any that is plugged in.
const DEVICES: std::ops::Range<u16> = 2..32;
/// What the server calls it (after the name of the keyboard that it feeds).
const NAME: &[u8] = b"XTEST keyboard";

/// The keyboards whose repeat is to be turned on again.
#[derive(Debug, Default)]
pub(super) struct Repeat {
    off: Vec<u16>,
}

impl Repeat {
    /// Turns it off. Where there is no such keyboard, or it doesn't repeat anyway, nothing is done.
    ///
    /// The keyboard that programs see takes over the settings of whichever was used last, ours or the
    /// customer's; so the customer's own keys go on repeating, and what programs see is put right at the end.
    pub(super) fn turn_off(server: &Server) -> Result<Self, ScreenError> {
        let Some(ours) = find(server)? else {
            return Ok(Self::default());
        };
        let seen = server.xkb_get_controls(ID::USE_CORE_KBD.into())?.reply()?;
        if u32::from(seen.enabled_controls) & u32::from(BoolCtrl::REPEAT_KEYS) == 0 {
            return Ok(Self::default());
        }
        set(server, ours, false)?;
        Ok(Self {
            off: vec![ours, seen.device_id.into()],
        })
    }

    /// Turns it on again.
    pub(super) fn give_back(&mut self, server: &Server) -> Result<(), ScreenError> {
        self.off
            .drain(..)
            .try_for_each(|device| set(server, device, true))
    }
}

fn find(server: &Server) -> Result<Option<u16>, ScreenError> {
    let (nothing, leds) = (XIFeature::from(0u16), LedClass::DFLT_XI_CLASS);
    let mut asked = Vec::new();
    for device in DEVICES {
        let led = ID::DFLT_XI_ID;
        asked.push((
            device,
            server.xkb_get_device_info(device, nothing, false, 0, 0, leds, led)?,
        ));
    }
    let mut found = None;
    for (device, cookie) in asked {
        match cookie.reply() {
            Ok(info) if info.has_own_state && info.name.ends_with(NAME) => {
                found = found.or(Some(device));
            }
            // No such device.
            Ok(_) | Err(ReplyError::X11Error(_)) => {}
            Err(ReplyError::ConnectionError(error)) => return Err(error.into()),
        }
    }
    Ok(found)
}

fn set(server: &Server, device: u16, on: bool) -> Result<(), ScreenError> {
    let (mods, vmods) = (ModMask::from(0u16), VMod::from(0u16));
    let (options, controls) = (AXOption::from(0u16), BoolCtrl::from(0u32));
    let wanted = if on { BoolCtrl::REPEAT_KEYS } else { controls };
    // All but the one switch is masked out.
    server.xkb_set_controls(
        device,
        mods,
        mods,
        mods,
        mods,
        vmods,
        vmods,
        vmods,
        vmods,
        0,
        0,
        options,
        BoolCtrl::REPEAT_KEYS,
        wanted,
        Control::from(0u32),
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        controls,
        controls,
        options,
        options,
        &[0; 32],
    )?;
    Ok(())
}
