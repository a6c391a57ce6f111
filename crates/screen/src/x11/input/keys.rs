//! Presses and releases of keys: the stroke that a keysym or scancode needs, with its modifiers.

use x11rb::protocol::xkb::ConnectionExt as _;
use x11rb::protocol::xproto::{KEY_PRESS_EVENT, KEY_RELEASE_EVENT};
use x11rb::protocol::xtest::ConnectionExt as _;

use super::Input;
use super::keypad::{self, KeypadKey};
use crate::error::ScreenError;
use crate::keysym;
use crate::scancode;
use crate::x11::borrowed_keycodes::{Lending, LentLevels};
use crate::x11::keymap::{KeyStroke, KeyboardState, Keymap, Modifiers};
use crate::x11::pressed_keycodes::KeyName;

/// The difference of X keycodes to Linux key codes.
const EVDEV_OFFSET: u8 = 8;
/// XkbUseCoreKbd: the device id of the keyboard that programs see.
const XKB_USE_CORE_KBD: u16 = 0x100;

impl Input {
    /// Presses a physical key. The key itself counts if it types the same here as at the peer, else
    /// the keysym.
    pub(super) fn press_scancode(&mut self, scancode: u32, keysym: u32) -> Result<(), ScreenError> {
        let name = KeyName::Scancode(scancode);
        let place = scancode::to_evdev(scancode).and_then(|key| key.checked_add(EVDEV_OFFSET));
        let state = self.keyboard_state()?;
        let map = self.keymap()?;
        let place = place.filter(|keycode| map.has_keycode(*keycode));
        let Some(keycode) = place else {
            return match keysym::is_valid(keysym) {
                true => self.press_keysym(name, keysym),
                false => Ok(()),
            };
        };
        if !keysym::is_valid(keysym) {
            let typed = map.keysym(keycode, state);
            return match types_text(map, keycode, state) {
                // A dead key at the peer: the letter comes next.
                true => {
                    self.dead_key = typed.filter(|typed| keysym::is_dead(*typed));
                    Ok(())
                }
                false => self.press_stroke(name, KeyStroke::plain(keycode)),
            };
        }
        let keysym = keypad::normalise(keycode, keysym);
        let state = match self.take_dead_key(keysym) {
            Some(dead) => {
                self.press_keysym(KeyName::Keysym(dead), dead)?;
                self.release_key(KeyName::Keysym(dead), dead)?;
                self.keyboard_state()?
            }
            None => state,
        };
        let map = self.keymap()?;
        if map.types_keysym(keycode, keysym, state) || is_foreign_command(map, keysym, state) {
            return self.press_stroke(name, KeyStroke::plain(keycode));
        }
        self.press_keysym(name, keysym)
    }

    /// Returns the dead key that belongs before this keysym. A browser that composes sends the letter
    /// with its accent, and needs none; one that doesn't sends the plain letter.
    fn take_dead_key(&mut self, keysym: u32) -> Option<u32> {
        if keysym::is_modifier(keysym) {
            return None;
        }
        let is_plain = |c: char| c.is_ascii_alphabetic() || c == ' ';
        let dead = self.dead_key.take();
        dead.filter(|_| keysym::to_char(keysym).is_some_and(is_plain))
    }

    pub(super) fn press_keysym(&mut self, name: KeyName, keysym: u32) -> Result<(), ScreenError> {
        let state = self.keyboard_state()?;
        let stroke = self.find_stroke(keysym, state)?;
        let stroke = match self.pressed.keycode_of(name) {
            // A repeat needs the modifiers of the first press.
            Some(held) if stroke.is_some_and(|stroke| stroke.keycode == held) => stroke,
            Some(held) if self.keymap()?.has_keysym(held, keysym) => Some(KeyStroke::plain(held)),
            Some(held) => {
                // The layout has changed while the key was held.
                self.pressed.release(held);
                self.fake_release(held)?;
                stroke
            }
            None => stroke,
        };
        match stroke {
            Some(stroke) => self.press_stroke(name, stroke),
            None => Ok(()),
        }
    }

    pub(super) fn release_key(&mut self, name: KeyName, keysym: u32) -> Result<(), ScreenError> {
        self.forget_suspended(name);
        let keycode = match self.pressed.keycode_of(name) {
            Some(keycode) => Some(keycode),
            // Pressed as 'a' and released as 'A', with Shift pressed in between.
            None if keysym::is_valid(keysym) => self.pressed_keycode_with(keysym)?,
            None => None,
        };
        let Some(keycode) = keycode else {
            return Ok(());
        };
        self.pressed.release(keycode);
        self.fake_release(keycode)
    }

    /// Returns the stroke for a keysym: as the layout has it, else on a borrowed keycode. A
    /// modifier that the layout lacks would do nothing on a borrowed keycode; its counterpart on
    /// the other side may.
    fn find_stroke(
        &mut self,
        keysym: u32,
        state: KeyboardState,
    ) -> Result<Option<KeyStroke>, ScreenError> {
        let map = self.keymap()?;
        let keysym = match keypad::find(map, keysym, state) {
            Some(KeypadKey::Stroke(stroke)) => return Ok(Some(stroke)),
            Some(KeypadKey::Keysym(keysym)) => keysym,
            None => keysym,
        };
        if let Some(stroke) = find_in_layout(map, keysym, state) {
            self.mark_used(stroke.keycode, keysym)?;
            return Ok(Some(stroke));
        }
        if keysym::is_modifier(keysym) {
            let counterpart = keysym::counterpart(keysym);
            return Ok(counterpart.and_then(|other| map.find_stroke(other, state)));
        }
        let levels = match map.has_fixed_level(state) {
            true => LentLevels::Any,
            false => LentLevels::Cases,
        };
        match self.lend_keycode(keysym, levels)? {
            Lending::Lent => {
                self.keymap = None;
                Ok(find_in_layout(self.keymap()?, keysym, state))
            }
            Lending::Later(wait) => {
                self.pending.wait_for(wait);
                Ok(None)
            }
            Lending::Impossible => Ok(None),
        }
    }

    fn lend_keycode(&mut self, keysym: u32, levels: LentLevels) -> Result<Lending, ScreenError> {
        let Self {
            connection,
            keymap,
            pressed,
            borrowed,
            ..
        } = self;
        let Some(map) = keymap else {
            return Ok(Lending::Impossible);
        };
        let is_down = |keycode| pressed.contains(keycode);
        let lending = borrowed.lend(&connection.server, map, keysym, levels, is_down)?;
        if lending == Lending::Lent {
            self.record_lease()?;
        }
        Ok(lending)
    }

    /// Notes that a keysym is typed: on a borrowed keycode it must stay there for a while.
    fn mark_used(&mut self, keycode: u8, keysym: u32) -> Result<(), ScreenError> {
        match self.borrowed.mark_used(keycode, keysym) {
            true => self.record_lease(),
            false => Ok(()),
        }
    }

    /// Presses a key. The modifiers that the stroke needs are changed before and restored right
    /// after.
    fn press_stroke(&mut self, name: KeyName, stroke: KeyStroke) -> Result<(), ScreenError> {
        let keycode = stroke.keycode;
        let (added, removed) = self.modifier_keys_to_change(stroke.add, stroke.remove)?;
        if !self.reaches_app(stroke, &added, &removed)? {
            return Ok(());
        }
        self.use_faked_keyboard()?;
        if self.pressed.contains(keycode) {
            if self.keymap()?.is_modifier(keycode) {
                return Ok(());
            }
            self.fake_release(keycode)?;
        }
        removed.iter().try_for_each(|key| self.fake_release(*key))?;
        added.iter().try_for_each(|key| self.fake_press(*key))?;
        self.fake_press(keycode)?;
        self.pressed.press(name, keycode);
        added.iter().try_for_each(|key| self.fake_release(*key))?;
        removed.iter().try_for_each(|key| self.fake_press(*key))
    }

    fn use_faked_keyboard(&mut self) -> Result<(), ScreenError> {
        let Self {
            connection,
            pressed,
            faked_keyboard,
            ..
        } = self;
        let keycodes = connection.setup().min_keycode..=connection.setup().max_keycode;
        match keycodes.rev().find(|keycode| !pressed.contains(*keycode)) {
            Some(unpressed) => faked_keyboard.use_for_press(connection, unpressed),
            None => Ok(()),
        }
    }

    /// Returns the keys that give the modifiers to add, and the keys held by us that give those to
    /// remove.
    fn modifier_keys_to_change(
        &mut self,
        add: Modifiers,
        remove: Modifiers,
    ) -> Result<(Vec<u8>, Vec<u8>), ScreenError> {
        if add == 0 && remove == 0 {
            return Ok((Vec::new(), Vec::new()));
        }
        let pressed = self.pressed.keycodes();
        let map = self.keymap()?;
        let added = (0..8)
            .map(|bit| add & 1 << bit)
            .filter(|m| *m != 0)
            .filter_map(|m| map.key_for_modifier(m))
            .collect();
        let removed = pressed
            .into_iter()
            .filter(|keycode| map.modifiers_of(*keycode) & remove != 0)
            .collect();
        Ok((added, removed))
    }

    /// Returns a held keycode that gives `keysym` on any level.
    fn pressed_keycode_with(&mut self, keysym: u32) -> Result<Option<u8>, ScreenError> {
        let pressed = self.pressed.keycodes();
        let map = self.keymap()?;
        Ok(pressed
            .into_iter()
            .find(|keycode| map.has_keysym(*keycode, keysym)))
    }

    pub(super) fn fake_press(&self, keycode: u8) -> Result<(), ScreenError> {
        self.fake_key(KEY_PRESS_EVENT, keycode)
    }

    pub(super) fn fake_release(&self, keycode: u8) -> Result<(), ScreenError> {
        self.fake_key(KEY_RELEASE_EVENT, keycode)
    }

    fn fake_key(&self, event: u8, keycode: u8) -> Result<(), ScreenError> {
        self.connection
            .server
            .xtest_fake_input(event, keycode, 0, self.root, 0, 0, 0)?;
        Ok(())
    }

    /// Returns the layout, read again when it has changed.
    pub(super) fn keymap(&mut self) -> Result<&Keymap, ScreenError> {
        if self.keymap.is_none() {
            let map = Keymap::read(&self.connection.server, XKB_USE_CORE_KBD)?;
            self.borrowed.on_new_map(&map);
            self.keymap = Some(map);
        }
        Ok(self.keymap.get_or_insert_default())
    }

    /// Queries the keyboard's state: the customer may hold a key too, or have locked one. Events
    /// that came before the reply are processed, so that the layout is the one that the reply is
    /// about.
    fn keyboard_state(&mut self) -> Result<KeyboardState, ScreenError> {
        let state = self
            .connection
            .server
            .xkb_get_state(XKB_USE_CORE_KBD)?
            .reply()?;
        self.process_events()?;
        let [mods, base, latched, locked] = [
            state.mods,
            state.base_mods,
            state.latched_mods,
            state.locked_mods,
        ]
        .map(|m| u16::from(m) as Modifiers);
        let pressed = self.pressed.keycodes();
        let map = self.keymap()?;
        let our_modifiers = pressed
            .into_iter()
            .fold(0, |all, keycode| all | map.modifiers_of(keycode));
        Ok(KeyboardState {
            group: u8::from(state.group),
            mods,
            releasable: our_modifiers & base & !latched & !locked,
        })
    }
}

/// Returns the stroke for a keysym that the layout has, or that was put there.
fn find_in_layout(map: &Keymap, keysym: u32, state: KeyboardState) -> Option<KeyStroke> {
    match keypad::is_plain_only(keysym) {
        true => map.find_plain(keysym, state),
        false => map.find_stroke(keysym, state),
    }
}

/// Returns whether `keycode` types a character here, or waits for one as a dead key.
fn types_text(map: &Keymap, keycode: u8, state: KeyboardState) -> bool {
    let typed = map.keysym(keycode, state);
    typed.is_some_and(|s| keysym::is_dead(s) || keysym::to_char(s).is_some())
}

/// Returns whether this is a shortcut with a letter of another script, which the layout lacks. As on
/// the peer's own machine, the place of the key counts then.
fn is_foreign_command(map: &Keymap, keysym: u32, state: KeyboardState) -> bool {
    let is_foreign = keysym::to_char(keysym).is_some_and(|c| !c.is_ascii());
    is_foreign && map.is_command(state) && map.find_stroke(keysym, state).is_none()
}
