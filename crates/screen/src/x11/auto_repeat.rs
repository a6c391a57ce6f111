//! Auto-repeat of faked keys, turned off.
//!
//! The peer's keyboard repeats already, and a key held while the link stalls would be typed a
//! hundred times. The server has a separate keyboard for XTEST; only that one is changed.

use x11rb::errors::ReplyError;
use x11rb::protocol::xkb::{
    AXOption, BoolCtrl, ConnectionExt as _, Control, ID, LedClass, VMod, XIFeature,
};
use x11rb::protocol::xproto::ModMask;

use super::connection::XConnection;
use crate::error::ScreenError;

/// Device ids to search. They begin at 2; the XTEST keyboard comes before any that is plugged in.
const DEVICE_IDS: std::ops::Range<u16> = 2..32;
/// The end of the XTEST keyboard's name, after the name of the keyboard that it feeds.
const XTEST_KEYBOARD_SUFFIX: &[u8] = b"XTEST keyboard";

/// The keyboards whose auto-repeat is turned off, to be restored.
#[derive(Debug, Default)]
pub(super) struct AutoRepeat {
    disabled_devices: Vec<u16>,
}

impl AutoRepeat {
    /// Turns auto-repeat off. Does nothing where there is no XTEST keyboard, or nothing repeats.
    ///
    /// The core keyboard takes over the settings of the device that was used last, ours or the
    /// customer's: the customer's own keys go on repeating, and the core keyboard is restored too.
    pub(super) fn disable(server: &XConnection) -> Result<Self, ScreenError> {
        let Some(xtest_keyboard) = find_xtest_keyboard(server)? else {
            return Ok(Self::default());
        };
        let core_keyboard = server.xkb_get_controls(ID::USE_CORE_KBD.into())?.reply()?;
        if u32::from(core_keyboard.enabled_controls) & u32::from(BoolCtrl::REPEAT_KEYS) == 0 {
            return Ok(Self::default());
        }
        set_repeat(server, xtest_keyboard, false)?;
        Ok(Self {
            disabled_devices: vec![xtest_keyboard, core_keyboard.device_id.into()],
        })
    }

    /// Turns auto-repeat on again.
    pub(super) fn restore(&mut self, server: &XConnection) -> Result<(), ScreenError> {
        self.disabled_devices
            .drain(..)
            .try_for_each(|device| set_repeat(server, device, true))
    }
}

/// Returns the device id of the keyboard for faked keys.
fn find_xtest_keyboard(server: &XConnection) -> Result<Option<u16>, ScreenError> {
    let (no_feature, leds) = (XIFeature::from(0u16), LedClass::DFLT_XI_CLASS);
    let mut cookies = Vec::new();
    for device in DEVICE_IDS {
        let led = ID::DFLT_XI_ID;
        cookies.push((
            device,
            server.xkb_get_device_info(device, no_feature, false, 0, 0, leds, led)?,
        ));
    }
    let mut found = None;
    for (device, cookie) in cookies {
        match cookie.reply() {
            Ok(info) if info.has_own_state && info.name.ends_with(XTEST_KEYBOARD_SUFFIX) => {
                found = found.or(Some(device));
            }
            // No such device.
            Ok(_) | Err(ReplyError::X11Error(_)) => {}
            Err(ReplyError::ConnectionError(error)) => return Err(error.into()),
        }
    }
    Ok(found)
}

fn set_repeat(server: &XConnection, device: u16, on: bool) -> Result<(), ScreenError> {
    let (mods, vmods) = (ModMask::from(0u16), VMod::from(0u16));
    let (options, controls) = (AXOption::from(0u16), BoolCtrl::from(0u32));
    let wanted = if on { BoolCtrl::REPEAT_KEYS } else { controls };
    // The masks leave everything unchanged except RepeatKeys.
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
