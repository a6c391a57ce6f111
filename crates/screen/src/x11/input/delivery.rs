//! App sharing: whether a press would be delivered to the shared program.
//!
//! The focus alone doesn't say who gets a key (X11 protocol, GrabKey, GrabKeyboard, KeyPress). In
//! the server's order: an action of the server itself; the client that has grabbed the keyboard;
//! whoever has grabbed this key on a window from the root down; and then the window with the focus.
//! The pointer's buttons go the same way. Everything here is called with the server grabbed, so the
//! answers hold until the press is made.

use x11rb::NONE;
use x11rb::protocol::xkb::{BoolCtrl, ConnectionExt as _, GetControlsReply, GetStateReply};
use x11rb::protocol::xproto::{ConnectionExt as _, ModMask, QueryPointerReply, Window};

use super::Input;
use super::desktop_keys::{is_control_alt_keysym, is_desktop_keysym};
use crate::error::ScreenError;
use crate::x11::grab_probe::Trigger;
use crate::x11::key_actions::{KeyActions, ServerEffect};
use crate::x11::keymap::{KeyStroke, KeyboardState, Modifiers};

/// XkbUseCoreKbd: the device id of the keyboard that programs see.
const XKB_USE_CORE_KBD: u16 = 0x100;
/// The focus value PointerRoot: the window under the pointer has the focus.
const FOCUS_POINTER_ROOT: u32 = 1;

const SHIFT: Modifiers = 1;
const CONTROL: Modifiers = 4;
const MOD1: Modifiers = 8;

/// The program's share of the keyboard, as the server's state is now.
#[derive(Clone, Debug)]
pub(super) struct KeyDelivery {
    receiver: KeyReceiver,
    group: u8,
    mods: Modifiers,
    /// Modifiers as passive grabs see them.
    grab_mods: Modifiers,
    /// Whether keys of the keypad move and click the pointer.
    has_mouse_keys: bool,
}

/// The receiver of a key that is pressed now.
#[derive(Clone, Debug, PartialEq, Eq)]
enum KeyReceiver {
    /// Another program, or nobody.
    Other,
    /// The program: it has grabbed the keyboard.
    AppGrab,
    /// The program: it has the focus. The windows from the root down, whose passive grabs come
    /// first.
    AppFocus(Vec<Window>),
}

impl Input {
    /// Returns whether the program may get a key with this keysym (0 when unknown) now. Always true
    /// without app sharing. [`reaches_app`](Self::reaches_app) has to be asked as well.
    pub(super) fn may_press_key(&mut self, keysym: u32) -> Result<bool, ScreenError> {
        if self.app.is_none() {
            return Ok(true);
        }
        if is_desktop_keysym(keysym) {
            return Ok(false);
        }
        let mut delivery = self.query_key_delivery()?;
        let may_press = delivery.reaches_app();
        if may_press && self.resume_modifiers()? {
            delivery = self.query_key_delivery()?;
        }
        if let Some(app) = &mut self.app {
            app.key_delivery = Some(delivery);
        }
        Ok(may_press)
    }

    /// Returns whether every press of a stroke is delivered to the program: the modifiers `added`
    /// for it, its key, and those `removed` for it, which are pressed again afterwards. Always true
    /// without app sharing.
    pub(super) fn reaches_app(
        &mut self,
        stroke: KeyStroke,
        added: &[u8],
        removed: &[u8],
    ) -> Result<bool, ScreenError> {
        if self.app.is_none() {
            return Ok(true);
        }
        let known = self.app.as_mut().and_then(|app| app.key_delivery.take());
        let mut now = match known {
            Some(delivery) => delivery,
            None => self.query_key_delivery()?,
        };
        let modifiers_of = |input: &mut Self, keycode: u8| -> Result<Modifiers, ScreenError> {
            Ok(input.keymap()?.modifiers_of(keycode))
        };
        for keycode in removed {
            now.release(modifiers_of(self, *keycode)?);
        }
        for keycode in added {
            if !self.is_delivered_to_app(*keycode, &now)? {
                return Ok(false);
            }
            now.press(modifiers_of(self, *keycode)?);
        }
        if !self.is_delivered_to_app(stroke.keycode, &now)? {
            return Ok(false);
        }
        for keycode in added {
            now.release(modifiers_of(self, *keycode)?);
        }
        for keycode in removed {
            if !self.is_delivered_to_app(*keycode, &now)? {
                return Ok(false);
            }
            now.press(modifiers_of(self, *keycode)?);
        }
        Ok(true)
    }

    fn is_delivered_to_app(&mut self, keycode: u8, now: &KeyDelivery) -> Result<bool, ScreenError> {
        if self.means_the_desktop(keycode, now)? || self.acts_in_server(keycode, now)? {
            return Ok(false);
        }
        match &now.receiver {
            KeyReceiver::Other => Ok(false),
            KeyReceiver::AppGrab => Ok(true),
            KeyReceiver::AppFocus(path) => {
                let trigger = Trigger::Key(keycode);
                let grabbed = self.find_passive(path, trigger, now.grab_mods)?;
                let Some(app) = &mut self.app else {
                    return Ok(true);
                };
                let is_foreign = |window: &Window| !app.filter.is_app(*window);
                if grabbed.iter().any(is_foreign) {
                    return Ok(false);
                }
                // On the program's own windows it may be the program's own grab (Motif's menus).
                Ok(grabbed.is_empty() || app.filter.has_passive_grabs(&self.connection.server)?)
            }
        }
    }

    fn means_the_desktop(&mut self, keycode: u8, now: &KeyDelivery) -> Result<bool, ScreenError> {
        let map = self.keymap()?;
        let base = map.keysym(keycode, now.at_modifiers(0)).unwrap_or(0);
        let typed = map.keysym(keycode, now.at_modifiers(now.mods)).unwrap_or(0);
        let is_modifier = map.is_modifier(keycode);
        let with_control_alt = now.mods & (CONTROL | MOD1) == CONTROL | MOD1;
        Ok(is_desktop_keysym(base)
            // Shift and Alt together are called Meta by many layouts.
            || !is_modifier && is_desktop_keysym(typed)
            || with_control_alt && (is_control_alt_keysym(base) || is_control_alt_keysym(typed)))
    }

    /// Returns whether the server would do something by itself.
    fn acts_in_server(&mut self, keycode: u8, now: &KeyDelivery) -> Result<bool, ScreenError> {
        let Some(place) = self.keymap()?.place(keycode, now.at_modifiers(now.mods)) else {
            return Ok(false);
        };
        let server = &self.connection.server;
        let Some(app) = &mut self.app else {
            return Ok(false);
        };
        let actions = match app.key_actions.take() {
            Some(actions) => actions,
            None => KeyActions::read(server)?,
        };
        let effect = app.key_actions.insert(actions).effect(keycode, place);
        Ok(match effect {
            ServerEffect::None => false,
            ServerEffect::Pointer => now.has_mouse_keys,
            ServerEffect::Other => true,
        })
    }

    /// Asks who would get a key now.
    pub(super) fn query_key_delivery(&mut self) -> Result<KeyDelivery, ScreenError> {
        let server = &self.connection.server;
        let state = server.xkb_get_state(XKB_USE_CORE_KBD)?;
        let controls = server.xkb_get_controls(XKB_USE_CORE_KBD)?;
        let focus = server.get_input_focus()?;
        let pointer = server.query_pointer(self.root)?;
        let is_grabbed = match &self.app {
            Some(app) => app.probe.query_active(server)?.keyboard,
            None => false,
        };
        let (state, controls) = (state.reply()?, controls.reply()?);
        let (focus, pointer) = (focus.reply()?.focus, pointer.reply()?);
        Ok(KeyDelivery {
            receiver: self.key_receiver(is_grabbed, focus, &pointer)?,
            group: state.group.into(),
            mods: to_modifiers(state.mods),
            grab_mods: grab_modifiers(&state, &controls),
            has_mouse_keys: controls.enabled_controls.contains(BoolCtrl::MOUSE_KEYS),
        })
    }

    fn key_receiver(
        &mut self,
        is_grabbed: bool,
        focus: Window,
        pointer: &QueryPointerReply,
    ) -> Result<KeyReceiver, ScreenError> {
        let Some(app) = &mut self.app else {
            return Ok(KeyReceiver::Other);
        };
        if is_grabbed {
            let is_ours = app
                .grabs
                .is_keyboard_grabbed_on(|window| app.is_shown(window));
            return Ok(if is_ours {
                KeyReceiver::AppGrab
            } else {
                KeyReceiver::Other
            });
        }
        let under_pointer = match pointer.same_screen {
            true => app
                .filter
                .tree()
                .path_at(pointer.root_x.into(), pointer.root_y.into()),
            false => Vec::new(),
        };
        let path = match focus {
            NONE => None,
            FOCUS_POINTER_ROOT => Some(under_pointer),
            window if app.filter.owns_window(&self.connection.server, window)? => {
                let path = app.filter.tree().path_to(window);
                // Below the window with the focus, the one under the pointer gets the key.
                path.map(|path| match under_pointer.starts_with(&path) {
                    true => under_pointer,
                    false => path,
                })
            }
            _ => None,
        };
        let path = path.filter(|path| path.last().is_some_and(|w| app.filter.is_app(*w)));
        Ok(path.map_or(KeyReceiver::Other, KeyReceiver::AppFocus))
    }

    /// Returns whether another client has grabbed the pointer. A button that we hold was pressed
    /// into the program, whose grab it is then.
    pub(super) fn is_pointer_taken(&self) -> Result<bool, ScreenError> {
        let Some(app) = &self.app else {
            return Ok(false);
        };
        if self.pressed.buttons() != 0 {
            return Ok(false);
        }
        let is_grabbed = app.probe.query_active(&self.connection.server)?.pointer;
        Ok(is_grabbed
            && !app
                .grabs
                .is_pointer_grabbed_on(|window| app.is_shown(window)))
    }

    /// Returns whether a press of one of `buttons` (bit 0 is button 1) at a point of the screen
    /// would go to a shortcut of the desktop's. A window manager also grabs plain clicks on the
    /// windows that it manages, to give them the focus, and passes them on.
    pub(super) fn is_click_taken(
        &self,
        (x, y): (i16, i16),
        buttons: u16,
    ) -> Result<bool, ScreenError> {
        let Some(app) = &self.app else {
            return Ok(false);
        };
        if app
            .grabs
            .is_pointer_grabbed_on(|window| app.is_shown(window))
        {
            return Ok(false);
        }
        let path = app.filter.tree().path_at(x.into(), y.into());
        let state = self.connection.server.xkb_get_state(XKB_USE_CORE_KBD)?;
        let controls = self.connection.server.xkb_get_controls(XKB_USE_CORE_KBD)?;
        let state = state.reply()?;
        let grab_mods = grab_modifiers(&state, &controls.reply()?);
        let held = grab_mods & !to_modifiers(state.locked_mods);
        for button in (1..=9).filter(|button| buttons >> (button - 1) & 1 == 1) {
            let trigger = Trigger::Button(button);
            let grabbed = self.find_passive(&path, trigger, grab_mods)?;
            if grabbed.is_empty() {
                continue;
            }
            // A grab of whatever modifiers is for the focus as well.
            let is_for_focus = held & !(SHIFT | CONTROL) == 0
                && (held == 0 || self.find_passive(&grabbed, trigger, Modifiers::MAX)? == grabbed);
            if !is_for_focus || grabbed.contains(&self.root) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn find_passive(
        &self,
        path: &[Window],
        trigger: Trigger,
        modifiers: Modifiers,
    ) -> Result<Vec<Window>, ScreenError> {
        match &self.app {
            Some(app) => {
                let server = &self.connection.server;
                app.probe.find_passive(server, path, trigger, modifiers)
            }
            None => Ok(Vec::new()),
        }
    }
}

impl KeyDelivery {
    /// Returns whether the program gets a key that nobody has grabbed by itself.
    pub(super) fn reaches_app(&self) -> bool {
        self.receiver != KeyReceiver::Other
    }

    fn press(&mut self, modifiers: Modifiers) {
        self.mods |= modifiers;
        self.grab_mods |= modifiers;
    }

    fn release(&mut self, modifiers: Modifiers) {
        self.mods &= !modifiers;
        self.grab_mods &= !modifiers;
    }

    fn at_modifiers(&self, mods: Modifiers) -> KeyboardState {
        KeyboardState {
            group: self.group,
            mods,
            releasable: 0,
        }
    }
}

/// Returns the modifiers that passive grabs are compared with (XKB Protocol Specification, 'Server
/// Internal Modifiers and Ignore Locks Behavior'). The reply's own field is empty on X.Org servers.
fn grab_modifiers(state: &GetStateReply, controls: &GetControlsReply) -> Modifiers {
    let ignored_locks = to_modifiers(controls.ignore_lock_mods_mask);
    let held = to_modifiers(state.base_mods | state.latched_mods);
    let seen = to_modifiers(state.mods) & !to_modifiers(controls.internal_mods_mask);
    seen & !ignored_locks | held & ignored_locks
}

fn to_modifiers(mask: ModMask) -> Modifiers {
    u16::from(mask) as Modifiers
}
