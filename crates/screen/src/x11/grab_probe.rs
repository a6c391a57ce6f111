//! Questions about other clients' grabs, which have no request of their own: a grab is tried that
//! can't succeed, or that is given up at once. The server must be grabbed meanwhile.

use x11rb::protocol::xinput::{self, ConnectionExt as _, GrabMode22, GrabOwner, GrabType};
use x11rb::protocol::xproto::{
    ButtonIndex, ConnectionExt as _, CreateWindowAux, EventMask, GrabMode, GrabStatus, ModMask,
    Window, WindowClass,
};
use x11rb::{COPY_FROM_PARENT, CURRENT_TIME, NONE};

use super::connection::{Connection, XConnection};
use super::keymap::Modifiers;
use crate::error::ScreenError;

/// XIAllDevices: conflicts with grabs of whichever device.
const XI_ALL_DEVICES: u16 = 0;
/// First version of XInput that has passive grabs of its own.
const XI2_VERSION: (u16, u16) = (2, 0);

/// The probe for grabs.
#[derive(Debug)]
pub(super) struct GrabProbe {
    /// A window that is never mapped.
    window: Window,
    has_xi2: bool,
}

/// A key or a button, as passive grabs name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    Key(u8),
    Button(u8),
}

/// The devices that other clients have actively grabbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ActiveGrabs {
    pub(super) keyboard: bool,
    pub(super) pointer: bool,
}

impl GrabProbe {
    pub(super) fn new(connection: &Connection) -> Result<Self, ScreenError> {
        let server = &connection.server;
        let has_xi2 = connection.has_extension(xinput::X11_EXTENSION_NAME)? && {
            let version = server.xinput_xi_query_version(2, 2)?.reply();
            version.is_ok_and(|v| (v.major_version, v.minor_version) >= XI2_VERSION)
        };
        let window = x11rb::connection::Connection::generate_id(server)?;
        let (class, visual) = (WindowClass::INPUT_ONLY, COPY_FROM_PARENT);
        let (root, aux) = (connection.screen().root, CreateWindowAux::new());
        server.create_window(0, window, root, 0, 0, 1, 1, 0, class, visual, &aux)?;
        Ok(Self { window, has_xi2 })
    }

    /// Asks which devices are grabbed. A grab on an unmapped window never succeeds, and disturbs
    /// nobody: the answer is AlreadyGrabbed or GrabNotViewable.
    pub(super) fn query_active(&self, server: &XConnection) -> Result<ActiveGrabs, ScreenError> {
        let (now, window, mode) = (CURRENT_TIME, self.window, GrabMode::ASYNC);
        let keyboard = server.grab_keyboard(false, window, now, mode, mode)?;
        let events = EventMask::NO_EVENT;
        let pointer = server.grab_pointer(false, window, events, mode, mode, NONE, NONE, now)?;
        let is_free = |status: GrabStatus| status == GrabStatus::NOT_VIEWABLE;
        Ok(ActiveGrabs {
            keyboard: !is_free(keyboard.reply()?.status),
            pointer: !is_free(pointer.reply()?.status),
        })
    }

    /// Returns those of `windows` on which another client has a passive grab of exactly this key or
    /// button with these modifiers, by the core protocol or by XInput 2.
    pub(super) fn find_passive(
        &self,
        server: &XConnection,
        windows: &[Window],
        trigger: Trigger,
        modifiers: Modifiers,
    ) -> Result<Vec<Window>, ScreenError> {
        let mut probes = Vec::with_capacity(windows.len());
        for window in windows {
            let core = grab_core(server, *window, trigger, modifiers)?;
            let xi2 = match self.has_xi2 {
                true => Some(grab_xi2(server, *window, trigger, modifiers)?),
                false => None,
            };
            probes.push((*window, core, xi2));
        }
        let mut grabbed = Vec::new();
        for (window, core, xi2) in probes {
            let xi2_is_free = xi2.map(|cookie| cookie.reply());
            // XIPassiveGrabDevice lists the modifiers for which it failed.
            let xi2_is_free = xi2_is_free.is_none_or(|r| r.is_ok_and(|r| r.modifiers.is_empty()));
            let core_is_free = core.check().is_ok();
            if !core_is_free || !xi2_is_free {
                grabbed.push(window);
            }
        }
        Ok(grabbed)
    }
}

/// Grabs by the core protocol, and gives the grab up.
fn grab_core(
    server: &XConnection,
    window: Window,
    trigger: Trigger,
    modifiers: Modifiers,
) -> Result<x11rb::cookie::VoidCookie<'_, XConnection>, ScreenError> {
    let (mode, modifiers) = (GrabMode::ASYNC, ModMask::from(u16::from(modifiers)));
    Ok(match trigger {
        Trigger::Key(key) => {
            let grab = server.grab_key(false, window, modifiers, key, mode, mode)?;
            server.ungrab_key(key, window, modifiers)?;
            grab
        }
        Trigger::Button(button) => {
            let (events, button) = (EventMask::NO_EVENT, ButtonIndex::from(button));
            let grab = server.grab_button(
                false, window, events, mode, mode, NONE, NONE, button, modifiers,
            )?;
            server.ungrab_button(button, window, modifiers)?;
            grab
        }
    })
}

/// Grabs by XInput 2 on every device, and gives the grab up.
fn grab_xi2(
    server: &XConnection,
    window: Window,
    trigger: Trigger,
    modifiers: Modifiers,
) -> Result<x11rb::cookie::Cookie<'_, XConnection, xinput::XIPassiveGrabDeviceReply>, ScreenError> {
    let (grab_type, detail) = match trigger {
        Trigger::Key(key) => (GrabType::KEYCODE, u32::from(key)),
        Trigger::Button(button) => (GrabType::BUTTON, u32::from(button)),
    };
    let modifiers = [u32::from(modifiers)];
    let (now, owner) = (CURRENT_TIME, GrabOwner::NO_OWNER);
    let (mode, paired) = (GrabMode22::ASYNC, GrabMode::ASYNC);
    let grab = server.xinput_xi_passive_grab_device(
        now,
        window,
        NONE,
        detail,
        XI_ALL_DEVICES,
        grab_type,
        mode,
        paired,
        owner,
        &[0],
        &modifiers,
    )?;
    let devices = XI_ALL_DEVICES;
    server.xinput_xi_passive_ungrab_device(window, detail, devices, grab_type, &modifiers)?;
    Ok(grab)
}
