//! Keys and buttons of all devices, in whichever window, and whether a device or a program made
//! them.
//!
//! XInput 2 reports them as raw events, which name their source. The X server marks the devices of
//! its XTEST extension, through which programs inject input, with a property that no client can
//! change (XI 2 protocol; `xserver-properties.h`).

use std::collections::{BTreeMap, BTreeSet};

use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xinput::{
    ConnectionExt as _, DeviceType, EventMask, InputStateData, XIEventMask, XIGetPropertyItems,
};
use x11rb::protocol::xproto::{Atom, ConnectionExt as _};

use super::connection::Connection;
use crate::error::ScreenError;

/// All master devices: each slave's raw events come once, with the slave as their source.
const ALL_MASTERS: u16 = 1;
/// All devices, for the news that one came or went.
const ALL_DEVICES: u16 = 0;
/// The property of the devices of XTEST.
const XTEST_PROPERTY: &[u8] = b"XTEST Device";

/// The source of an input event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InputSource {
    /// A device: a keyboard, a mouse, or a remote screen that brings devices of its own.
    Hand,
    /// A program, through the XTEST extension.
    Injected,
}

/// A raw event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawInput {
    pub(super) kind: RawKind,
    pub(super) source: InputSource,
    /// The server's time, in milliseconds; wraps around.
    pub(super) time: u32,
}

/// The kind of a raw event, with its keycode. A finger on a touch screen presses a button too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RawKind {
    KeyPress(u8),
    KeyRelease(u8),
    ButtonPress,
    ButtonRelease,
    Motion,
}

/// Raw events of a connection.
#[derive(Debug)]
pub(super) struct RawInputEvents {
    xtest_property: Atom,
    /// The sources that were looked up.
    sources: BTreeMap<u16, InputSource>,
}

impl RawInputEvents {
    /// Subscribes to raw keys and buttons, and to what `also` has.
    ///
    /// # Errors
    /// [`ScreenError::Unsupported`] without XInput 2.1, whose raw events come whoever has grabbed a
    /// device.
    pub(super) fn subscribe(
        connection: &Connection,
        also: XIEventMask,
    ) -> Result<Self, ScreenError> {
        connection.require_extensions(&["XInputExtension"])?;
        let server = &connection.server;
        let version = server.xinput_xi_query_version(2, 2)?.reply()?;
        let version = (version.major_version, version.minor_version);
        if version < (2, 1) {
            let detail = "the X server has no XInput 2.1";
            return Err(ScreenError::Unsupported(detail.into()));
        }
        let mut raw = XIEventMask::RAW_KEY_PRESS
            | XIEventMask::RAW_KEY_RELEASE
            | XIEventMask::RAW_BUTTON_PRESS
            | XIEventMask::RAW_BUTTON_RELEASE
            | also;
        if version >= (2, 2) {
            // A finger's press is no raw button, though programs are told of a button.
            raw |= XIEventMask::RAW_TOUCH_BEGIN | XIEventMask::RAW_TOUCH_END;
        }
        let select = |deviceid, mask| EventMask {
            deviceid,
            mask: vec![mask],
        };
        let events = [
            select(ALL_MASTERS, raw),
            select(ALL_DEVICES, XIEventMask::HIERARCHY),
        ];
        let root = connection.screen().root;
        server.xinput_xi_select_events(root, &events)?.check()?;
        let property = server.intern_atom(false, XTEST_PROPERTY)?;
        Ok(Self {
            xtest_property: property.reply()?.atom,
            sources: BTreeMap::new(),
        })
    }

    /// Returns the next event that has arrived, if any. Doesn't wait.
    pub(super) fn next(
        &mut self,
        connection: &Connection,
    ) -> Result<Option<RawInput>, ScreenError> {
        while let Some(event) = connection.server.poll_for_event()? {
            let (kind, source, time) = match event {
                Event::XinputRawKeyPress(event) => {
                    let kind = RawKind::KeyPress(event.detail as u8);
                    (kind, event.sourceid, event.time)
                }
                Event::XinputRawKeyRelease(event) => {
                    let kind = RawKind::KeyRelease(event.detail as u8);
                    (kind, event.sourceid, event.time)
                }
                Event::XinputRawButtonPress(event) => {
                    let kind = RawKind::ButtonPress;
                    (kind, event.sourceid, event.time)
                }
                Event::XinputRawButtonRelease(event) => {
                    let kind = RawKind::ButtonRelease;
                    (kind, event.sourceid, event.time)
                }
                Event::XinputRawTouchBegin(event) => {
                    let kind = RawKind::ButtonPress;
                    (kind, event.sourceid, event.time)
                }
                Event::XinputRawTouchEnd(event) => {
                    let kind = RawKind::ButtonRelease;
                    (kind, event.sourceid, event.time)
                }
                Event::XinputRawMotion(event) => (RawKind::Motion, event.sourceid, event.time),
                Event::XinputHierarchy(_) => {
                    self.sources.clear();
                    continue;
                }
                _ => continue,
            };
            let source = self.source(connection, source)?;
            return Ok(Some(RawInput { kind, source, time }));
        }
        Ok(None)
    }

    /// Returns the keys that are down now, with the kind of device that holds each.
    pub(super) fn held_keys(
        &mut self,
        connection: &Connection,
    ) -> Result<BTreeSet<(InputSource, u8)>, ScreenError> {
        let server = &connection.server;
        let devices = server.xinput_xi_query_device(ALL_DEVICES)?.reply()?.infos;
        let masters = [DeviceType::MASTER_KEYBOARD, DeviceType::MASTER_POINTER];
        let mut held = BTreeSet::new();
        for device in devices.iter().filter(|it| !masters.contains(&it.type_)) {
            let Ok(id) = u8::try_from(device.deviceid) else {
                continue;
            };
            let classes = match server.xinput_query_device_state(id)?.reply() {
                Ok(state) => state.classes,
                // It is gone meanwhile.
                Err(x11rb::errors::ReplyError::X11Error(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let source = self.source(connection, device.deviceid)?;
            for class in classes {
                if let InputStateData::Key(state) = class.data {
                    let is_down = |key: &u8| state.keys[usize::from(key / 8)] >> (key % 8) & 1 == 1;
                    held.extend((0..=u8::MAX).filter(is_down).map(|key| (source, key)));
                }
            }
        }
        Ok(held)
    }

    /// Returns what a device stands for. One that is gone already counts as injecting.
    fn source(&mut self, connection: &Connection, device: u16) -> Result<InputSource, ScreenError> {
        if let Some(known) = self.sources.get(&device) {
            return Ok(*known);
        }
        let server = &connection.server;
        let property =
            server.xinput_xi_get_property(device, false, self.xtest_property, 0, 0, 1)?;
        let source = match property.reply() {
            Ok(reply) => match reply.items {
                XIGetPropertyItems::Data8(data) if data.first().is_some_and(|mark| *mark != 0) => {
                    InputSource::Injected
                }
                _ => InputSource::Hand,
            },
            Err(x11rb::errors::ReplyError::X11Error(_)) => InputSource::Injected,
            Err(error) => return Err(error.into()),
        };
        self.sources.insert(device, source);
        Ok(source)
    }
}
