//! The X server's keyboard for faked keys, kept free of the customer's settings for slow hands.
//!
//! The server has a separate keyboard for XTEST beside those that are plugged in. Programs see the
//! core keyboard, which takes over the settings of the keyboard that was used last. So settings of
//! the XTEST keyboard count for the peer's keys, and the customer's own for the customer's.
//!
//! - Auto-repeat is off: the peer's keyboard repeats already, and a key held while the link stalls
//!   would be typed a hundred times.
//! - Slow keys would swallow a peer's short press, sticky keys keep a modifier of the peer's, mouse
//!   keys take its keypad; Shift five times in a row, or a shortcut, would switch them on or off.
//!
//! The core keyboard takes the settings over only when another keyboard is used than before
//! (`UpdateFromMaster` in the X server's getevents.c). Where the XTEST keyboard was the last one,
//! and when its settings are restored, the release of a key that isn't down is faked on a keyboard
//! of the customer's: it does nothing else.
//!
//! Qt 5 forgets the locked modifiers whenever another keyboard is used than before (XkbNewKeyboardNotify),
//! and knows them again after any change of the keyboard's state. So each change of keyboards is
//! followed by such a change, which locks and unlocks a modifier that no key has. It comes before the
//! peer's key, but only after the customer's, whose first key is lost on Qt.

use x11rb::connection::Connection as _;
use x11rb::errors::ReplyError;
use x11rb::protocol::xinput::{
    ConnectionExt as _, DEVICE_KEY_RELEASE_EVENT, Device, DeviceChangedEvent, DeviceClassData,
    DeviceType, EventMask, XIDeviceInfo, XIEventMask,
};
use x11rb::protocol::xkb::{
    AXOption, BoolCtrl, ConnectionExt as _, Control, ControlsNotifyEvent, EventType, Group, ID,
    MapPart, SelectEventsAux, VMod,
};
use x11rb::protocol::xproto::{ConnectionExt as _, KEY_RELEASE_EVENT, ModMask};
use x11rb::protocol::xtest::ConnectionExt as _;

use super::connection::{Connection, XConnection};
use crate::error::ScreenError;

/// The end of the XTEST keyboard's name, after the name of the keyboard that it feeds.
const XTEST_KEYBOARD_SUFFIX: &[u8] = b"XTEST keyboard";

/// A modifier that no key of the common layouts has.
const SPARE_MODIFIER: ModMask = ModMask::M3;

/// The keyboard for faked keys, and the settings that were turned off on it.
#[derive(Debug, Default)]
pub(super) struct FakedKeyboard {
    found: Option<Keyboards>,
    /// Boolean controls that were on and are off now.
    disabled: u32,
    /// The keyboard that was used last.
    last_used: u16,
}

/// The devices of the first core keyboard.
#[derive(Clone, Copy, Debug)]
struct Keyboards {
    /// The core keyboard's device id.
    core: u16,
    /// The XTEST keyboard's device id.
    xtest: u16,
    /// The keyboard of the customer's that was used last, or any of theirs.
    customers: Option<u16>,
    /// The code of XInput's DeviceKeyRelease event.
    release_event: u8,
}

impl FakedKeyboard {
    /// Turns the settings off. Does nothing without XInput 2 or an XTEST keyboard.
    pub(super) fn prepare(connection: &Connection) -> Result<Self, ScreenError> {
        let server = &connection.server;
        let Some((keyboards, last_used)) = find_keyboards(connection)? else {
            return Ok(Self::default());
        };
        let enabled = read_controls(server, keyboards.xtest)?;
        let mut keyboard = Self {
            found: Some(keyboards),
            disabled: 0,
            last_used,
        };
        keyboard.disable(server, enabled)?;
        select_controls_notify(server, keyboards.xtest)?;
        select_device_changed(connection, keyboards.core)?;
        if last_used == keyboards.xtest {
            keyboards.use_customers(connection)?;
        }
        Ok(keyboard)
    }

    /// Notes which keyboard is used now. After a change to the customer's, tells programs what is
    /// locked.
    pub(super) fn on_device_changed(
        &mut self,
        connection: &Connection,
        event: &DeviceChangedEvent,
    ) -> Result<(), ScreenError> {
        let is_core = |found: &Keyboards| event.deviceid == found.core;
        let Some(found) = self.found.filter(is_core) else {
            return Ok(());
        };
        let is_new = std::mem::replace(&mut self.last_used, event.sourceid) != event.sourceid;
        if is_new && event.sourceid != found.xtest {
            tell_locked_modifiers(&connection.server)?;
            connection.server.flush()?;
        }
        Ok(())
    }

    /// Makes the XTEST keyboard the one that is used, before a press on it, and tells programs what
    /// is locked. `unpressed` is a keycode that isn't down on it.
    pub(super) fn use_for_press(
        &mut self,
        connection: &Connection,
        unpressed: u8,
    ) -> Result<(), ScreenError> {
        let Some(found) = self.found.filter(|found| found.xtest != self.last_used) else {
            return Ok(());
        };
        let (server, root) = (&connection.server, connection.screen().root);
        server.xtest_fake_input(KEY_RELEASE_EVENT, unpressed, 0, root, 0, 0, 0)?;
        tell_locked_modifiers(server)?;
        self.last_used = found.xtest;
        Ok(())
    }

    /// Turns off what somebody has turned on meanwhile, for all keyboards at once.
    pub(super) fn on_controls_notify(
        &mut self,
        connection: &Connection,
        event: &ControlsNotifyEvent,
    ) -> Result<(), ScreenError> {
        let enabled = u32::from(event.enabled_controls);
        let is_xtest = |found: &Keyboards| u16::from(event.device_id) == found.xtest;
        let Some(found) = self.found.filter(is_xtest) else {
            return Ok(());
        };
        if enabled & unwanted_controls() != 0 {
            self.disable(&connection.server, enabled)?;
            found.use_customers(connection)?;
        }
        Ok(())
    }

    /// Gives the XTEST keyboard the settings that the customer's own has.
    pub(super) fn restore(&mut self, connection: &Connection) -> Result<(), ScreenError> {
        let server = &connection.server;
        let disabled = std::mem::take(&mut self.disabled);
        let Some(found) = self.found.filter(|_| disabled != 0) else {
            return Ok(());
        };
        let wanted = match found.customers {
            Some(customers) => read_controls(server, customers)? & disabled,
            None => disabled,
        };
        set_controls(server, found.xtest, wanted, wanted)?;
        let last_used = find_keyboards(connection)?.map(|(_, last_used)| last_used);
        if last_used == Some(found.xtest) {
            found.use_customers(connection)?;
        }
        Ok(())
    }

    /// Returns the controls that are turned off, for [`restore_stale`].
    pub(super) fn disabled(&self) -> u32 {
        self.disabled
    }

    /// Turns off those of the `enabled` controls that may not count for faked keys.
    fn disable(&mut self, server: &XConnection, enabled: u32) -> Result<(), ScreenError> {
        let unwanted = enabled & unwanted_controls();
        if let Some(found) = self.found.filter(|_| unwanted != 0) {
            set_controls(server, found.xtest, unwanted, 0)?;
            self.disabled |= unwanted;
        }
        Ok(())
    }
}

impl Keyboards {
    /// Makes the core keyboard take over the settings of a keyboard of the customer's.
    fn use_customers(self, connection: &Connection) -> Result<(), ScreenError> {
        let Some(customers) = self.customers.and_then(|id| u8::try_from(id).ok()) else {
            return Ok(());
        };
        let keycode = connection.setup().max_keycode;
        let root = connection.screen().root;
        let kind = self.release_event;
        let server = &connection.server;
        server.xtest_fake_input(kind, keycode, 0, root, 0, 0, customers)?;
        tell_locked_modifiers(server)
    }
}

/// Makes the server report the keyboard's state, by a change that means nothing.
fn tell_locked_modifiers(server: &XConnection) -> Result<(), ScreenError> {
    let keyboard = ID::USE_CORE_KBD.into();
    let (spare, none) = (SPARE_MODIFIER, ModMask::from(0u16));
    for locked in [spare, none] {
        let group = Group::from(0u8);
        server.xkb_latch_lock_state(keyboard, spare, locked, false, group, none, false, 0)?;
    }
    Ok(())
}

/// Gives the XTEST keyboard back what a killed [`FakedKeyboard`] had turned off.
pub(super) fn restore_stale(connection: &Connection, disabled: u32) -> Result<(), ScreenError> {
    connection.server.xkb_use_extension(1, 0)?.reply()?;
    let mut stale = FakedKeyboard {
        found: find_keyboards(connection)?.map(|(keyboards, _)| keyboards),
        disabled: disabled & unwanted_controls(),
        last_used: 0,
    };
    stale.restore(connection)
}

/// Returns the controls that may not count for faked keys.
fn unwanted_controls() -> u32 {
    let all = [
        BoolCtrl::REPEAT_KEYS,
        BoolCtrl::SLOW_KEYS,
        BoolCtrl::BOUNCE_KEYS,
        BoolCtrl::STICKY_KEYS,
        BoolCtrl::MOUSE_KEYS,
        BoolCtrl::ACCESS_X_KEYS,
        BoolCtrl::ACCESS_X_TIMEOUT_MASK,
    ];
    all.into_iter()
        .fold(0, |bits, control| bits | u32::from(control))
}

/// Finds the keyboards, and the id of the one that was used last.
fn find_keyboards(connection: &Connection) -> Result<Option<(Keyboards, u16)>, ScreenError> {
    let server = &connection.server;
    let extension = server.query_extension(b"XInputExtension")?.reply()?;
    if !extension.present {
        return Ok(None);
    }
    match server.xinput_xi_query_version(2, 1)?.reply() {
        Ok(version) if version.major_version < 2 => return Ok(None),
        // A second, lower version on one connection is refused; the first one counts.
        Ok(_) | Err(ReplyError::X11Error(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let devices = server.xinput_xi_query_device(Device::ALL)?.reply()?.infos;
    let core = devices
        .iter()
        .find(|d| d.type_ == DeviceType::MASTER_KEYBOARD);
    let Some(core) = core else { return Ok(None) };
    let is_slave = |d: &&XIDeviceInfo| {
        d.type_ == DeviceType::SLAVE_KEYBOARD && d.attachment == core.deviceid && d.enabled
    };
    let slaves = devices.iter().filter(is_slave);
    let (xtest, own): (Vec<_>, Vec<_>) =
        slaves.partition(|d| d.name.ends_with(XTEST_KEYBOARD_SUFFIX));
    let Some(xtest) = xtest.first() else {
        return Ok(None);
    };
    let last_used = key_source(core).unwrap_or(core.deviceid);
    let by_use = own.iter().find(|d| d.deviceid == last_used);
    let keyboards = Keyboards {
        core: core.deviceid,
        xtest: xtest.deviceid,
        customers: by_use.or(own.first()).map(|d| d.deviceid),
        release_event: extension.first_event + DEVICE_KEY_RELEASE_EVENT,
    };
    Ok(Some((keyboards, last_used)))
}

/// Returns the device from which a core keyboard has its keys.
fn key_source(device: &XIDeviceInfo) -> Option<u16> {
    let is_key = |data: &DeviceClassData| matches!(data, DeviceClassData::Key(_));
    let mut classes = device.classes.iter();
    classes
        .find(|class| is_key(&class.data))
        .map(|class| class.sourceid)
}

fn read_controls(server: &XConnection, device: u16) -> Result<u32, ScreenError> {
    let controls = server.xkb_get_controls(device)?.reply()?;
    Ok(controls.enabled_controls.into())
}

fn select_device_changed(connection: &Connection, core: u16) -> Result<(), ScreenError> {
    let events = EventMask {
        deviceid: core,
        mask: vec![XIEventMask::DEVICE_CHANGED],
    };
    let root = connection.screen().root;
    connection.server.xinput_xi_select_events(root, &[events])?;
    Ok(())
}

fn select_controls_notify(server: &XConnection, device: u16) -> Result<(), ScreenError> {
    let (none, no_parts) = (EventType::from(0u8), MapPart::from(0u8));
    let events = EventType::CONTROLS_NOTIFY;
    server.xkb_select_events(
        device,
        none,
        events,
        no_parts,
        no_parts,
        &SelectEventsAux::new(),
    )?;
    Ok(())
}

/// Sets the boolean controls `affected` of a device to `wanted`, and changes nothing else.
fn set_controls(
    server: &XConnection,
    device: u16,
    affected: u32,
    wanted: u32,
) -> Result<(), ScreenError> {
    let (mods, vmods) = (ModMask::from(0u16), VMod::from(0u16));
    let (options, none) = (AXOption::from(0u16), BoolCtrl::from(0u32));
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
        affected.into(),
        wanted.into(),
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
        none,
        none,
        options,
        options,
        &[0; 32],
    )?;
    Ok(())
}
