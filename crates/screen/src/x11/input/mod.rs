//! Keyboard and pointer input, through XTEST.

mod app_input;
mod delivery;
mod desktop_keys;
mod keypad;
mod keys;
mod pending_input;

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xkb::{ConnectionExt as _, EventType, ID, MapPart, SelectEventsAux};
use x11rb::protocol::xproto::{
    BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ChangeWindowAttributesAux, ConnectionExt as _,
    EventMask, KEY_RELEASE_EVENT, MOTION_NOTIFY_EVENT, Mapping,
};
use x11rb::protocol::xtest::ConnectionExt as _;

use super::borrowed_keycodes::{BorrowedKeycodes, MIN_LENDING_TIME};
use super::button_map::ButtonMap;
use super::connection::Connection;
use super::faked_keyboard::FakedKeyboard;
use super::input_lease::{self, InputLease, LeaseContents};
use super::keymap::Keymap;
use super::pressed_keycodes::PressedKeycodes;
use crate::cancel::CancelToken;
use crate::error::ScreenError;
use crate::geometry::Size;
use crate::shared_app::SharedApp;
use app_input::AppInput;
use pending_input::{InputEvent, PendingInput};

/// Buttons 1 to 9: left, middle, right, the wheel's four directions, back, forward.
const BUTTON_MASK: u16 = 0x1ff;

/// Keyboard and pointer of an X display.
///
/// An input remembers every key and button that it has pressed. [`release_all`](Input::release_all)
/// and dropping it release that. Keycodes borrowed for keysyms that the layout lacks are returned
/// some seconds after it was dropped, when busy programs have read them too. Input is sent only by
/// [`flush`](Input::flush), and by [`pump`](Input::pump) what had to wait for a free keycode.
#[derive(Debug)]
pub struct Input {
    connection: Connection,
    display: Option<String>,
    root: u32,
    size: Size,
    /// `None` until it is needed, and again when the layout has changed.
    keymap: Option<Keymap>,
    pressed: PressedKeycodes,
    borrowed: BorrowedKeycodes,
    pending: PendingInput,
    /// The keysym of a dead key of the peer's, which came without one and waits for its letter.
    dead_key: Option<u32>,
    button_map: ButtonMap,
    faked_keyboard: FakedKeyboard,
    lease: InputLease,
    /// The only program that input may reach; `None` for no restriction.
    app: Option<AppInput>,
}

impl Input {
    /// Connects to `display` (`$DISPLAY` when `None`). With an `app`, input reaches its windows
    /// alone: the pointer neither moves nor presses outside of them, and keys are pressed only while
    /// one of them has the focus. Both are checked for each event while the server is grabbed.
    /// Releases are always sent.
    ///
    /// # Errors
    /// [`ScreenError::NoDisplay`], [`ScreenError::Unsupported`] without XTEST or XKB, or the error
    /// that ended the wait.
    pub fn open(
        display: Option<&str>,
        app: Option<&SharedApp>,
        cancel: &CancelToken,
    ) -> Result<Self, ScreenError> {
        let connection = Connection::open(display, cancel)?;
        connection.require_extensions(&["XTEST", "XKEYBOARD"])?;
        subscribe(&connection)?;
        let app = match app {
            Some(app) => Some(AppInput::new(&connection, app)?),
            None => None,
        };
        let faked_keyboard = FakedKeyboard::prepare(&connection)?;
        let button_map = ButtonMap::read(&connection)?;
        let (lease, adopted) = InputLease::acquire(&connection, connection.screen().root)?;
        let screen = connection.screen();
        let (root, size) = (
            screen.root,
            Size {
                width: screen.width_in_pixels,
                height: screen.height_in_pixels,
            },
        );
        let mut input = Self {
            connection,
            display: display.map(str::to_owned),
            root,
            size,
            keymap: None,
            pressed: PressedKeycodes::default(),
            borrowed: BorrowedKeycodes::adopt(adopted),
            pending: PendingInput::default(),
            dead_key: None,
            button_map,
            faked_keyboard,
            lease,
            app,
        };
        input.record_lease()?;
        input.pump()?;
        input.connection.server.flush()?;
        Ok(input)
    }

    /// Processes the events that have arrived, layout and size changes, and input whose wait is over.
    /// With app sharing, new windows are read. Never waits for another program.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone, [`ScreenError::Cancelled`] when stopped.
    pub fn pump(&mut self) -> Result<(), ScreenError> {
        self.process_events()?;
        if self.app.as_ref().is_some_and(AppInput::has_unread) {
            // Early, so that a menu's grab is seen on the menu's own window.
            self.with_app_guard(|_| Ok(()))?;
        }
        if self.pending.is_due() {
            self.perform_pending()?;
            self.flush()?;
        }
        self.suspend_keys_elsewhere()
    }

    fn process_events(&mut self) -> Result<(), ScreenError> {
        self.connection.check_cancelled()?;
        while let Some(event) = self.connection.server.poll_for_event()? {
            if let Some(app) = &mut self.app {
                app.apply(&event);
            }
            match event {
                Event::MappingNotify(e) if e.request == Mapping::POINTER => {
                    self.button_map.update(&self.connection)?;
                }
                Event::XkbMapNotify(_)
                | Event::XkbNewKeyboardNotify(_)
                | Event::MappingNotify(_) => self.keymap = None,
                Event::XkbControlsNotify(e) => {
                    self.faked_keyboard
                        .on_controls_notify(&self.connection, &e)?;
                }
                Event::XinputDeviceChanged(e) => {
                    self.faked_keyboard
                        .on_device_changed(&self.connection, &e)?;
                }
                Event::ConfigureNotify(e) if e.window == self.root => {
                    self.size = Size {
                        width: e.width,
                        height: e.height,
                    };
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Presses or releases the key of an X keysym. A press of a key that is down repeats it;
    /// nothing else does, since auto-repeat is off. Numbers that are no keysym are ignored.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn send_keysym(&mut self, keysym: u32, down: bool) -> Result<(), ScreenError> {
        self.submit(InputEvent::Keysym { keysym, down })
    }

    /// Presses or releases a physical key. `scancode` is the PC's (prefix E0 as the highest bit),
    /// `keysym` is what the key typed on the peer's keyboard. Where the same key would type
    /// something else here, the keysym counts. It is 0 when the peer doesn't know: then the key is
    /// pressed unless it types a character, which the peer's program composes and sends later.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn send_scancode(
        &mut self,
        scancode: u32,
        keysym: u32,
        down: bool,
    ) -> Result<(), ScreenError> {
        self.submit(InputEvent::Scancode {
            scancode,
            keysym,
            down,
        })
    }

    /// Moves the pointer to `x`, `y` (clamped to the screen) and sets its buttons to `buttons` (bit
    /// 0 is button 1; those above nine are ignored).
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn send_pointer(&mut self, x: u16, y: u16, buttons: u16) -> Result<(), ScreenError> {
        self.submit(InputEvent::Pointer { x, y, buttons })
    }

    /// Releases every key and button that is held, drops input that has to wait, and waits (briefly)
    /// until the server has done so.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn release_all(&mut self) -> Result<(), ScreenError> {
        self.pending.clear();
        self.dead_key = None;
        let Self {
            connection,
            root,
            pressed,
            button_map,
            ..
        } = self;
        connection.run_cleanup(|server| {
            let released = pressed.set_buttons(0);
            for button in released.filter_map(|(button, _)| button_map.physical(button, false)) {
                server.xtest_fake_input(BUTTON_RELEASE_EVENT, button, 0, *root, 0, 0, 0)?;
            }
            for keycode in pressed.take_keycodes() {
                server.xtest_fake_input(KEY_RELEASE_EVENT, keycode, 0, *root, 0, 0, 0)?;
            }
            Ok(())
        })
    }

    /// Records what is left behind if this process is killed.
    fn record_lease(&self) -> Result<(), ScreenError> {
        let contents = LeaseContents {
            disabled_controls: self.faked_keyboard.disabled(),
            keycodes: self.borrowed.keycodes(),
            lent_until: input_lease::lent_until(),
        };
        let server = &self.connection.server;
        self.lease.record(server, self.root, &contents)
    }

    /// Sends the input given so far.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn flush(&self) -> Result<(), ScreenError> {
        Ok(self.connection.server.flush()?)
    }

    fn fake_motion(&mut self, x: i16, y: i16) -> Result<(), ScreenError> {
        self.connection
            .server
            .xtest_fake_input(MOTION_NOTIFY_EVENT, 0, 0, self.root, x, y, 0)?;
        Ok(())
    }

    fn set_buttons(&mut self, buttons: u16) -> Result<(), ScreenError> {
        for (button, down) in self.pressed.set_buttons(buttons) {
            let Some(button) = self.button_map.physical(button, down) else {
                continue;
            };
            let kind = if down {
                BUTTON_PRESS_EVENT
            } else {
                BUTTON_RELEASE_EVENT
            };
            self.connection
                .server
                .xtest_fake_input(kind, button, 0, self.root, 0, 0, 0)?;
        }
        Ok(())
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // When the server is gone there is nothing left to release.
        let _ = self.release_all();
        let Self {
            connection,
            root,
            borrowed,
            faked_keyboard,
            lease,
            ..
        } = self;
        let keycodes = borrowed.keycodes();
        let is_lent = !keycodes.is_empty();
        let left = connection.run_cleanup(|server| {
            faked_keyboard.restore(connection)?;
            if !is_lent {
                return lease.release(server, *root);
            }
            let contents = LeaseContents {
                disabled_controls: 0,
                keycodes,
                lent_until: input_lease::lent_until(),
            };
            lease.record(server, *root, &contents)?;
            lease.abandon(server)
        });
        if left.is_ok() && is_lent {
            let rounded_up = Duration::from_secs(1);
            input_lease::return_later(self.display.take(), MIN_LENDING_TIME + rounded_up);
        }
    }
}

impl AsFd for Input {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

/// Subscribes to layout and size changes, and exempts this connection from other clients' server
/// grabs.
fn subscribe(connection: &Connection) -> Result<(), ScreenError> {
    let server = &connection.server;
    let xkb = server.xkb_use_extension(1, 0)?;
    let xtest = server.xtest_get_version(2, 2)?;
    if !xkb.reply()?.supported {
        return Err(ScreenError::Unsupported(
            "the X server has no XKEYBOARD 1.0".into(),
        ));
    }
    xtest.reply()?;
    server.xtest_grab_control(true)?;
    let map_changes = EventType::NEW_KEYBOARD_NOTIFY | EventType::MAP_NOTIFY;
    let map_parts =
        MapPart::KEY_TYPES | MapPart::KEY_SYMS | MapPart::MODIFIER_MAP | MapPart::KEY_ACTIONS;
    let no_events = EventType::from(0u8);
    server.xkb_select_events(
        ID::USE_CORE_KBD.into(),
        no_events,
        map_changes,
        map_parts,
        map_parts,
        &SelectEventsAux::new(),
    )?;
    let size_changes = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
    server.change_window_attributes(connection.screen().root, &size_changes)?;
    Ok(())
}
