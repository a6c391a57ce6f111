//! Keycodes and buttons that we hold down, and must release in the end.

/// The peer's name of a key. The peer releases the key under the name that it pressed it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyName {
    Keysym(u32),
    Scancode(u32),
}

/// Keys and buttons that are down; the latest key is last.
#[derive(Debug, Default)]
pub(super) struct PressedKeycodes {
    keys: Vec<(KeyName, u8)>,
    buttons: u16,
}

impl PressedKeycodes {
    /// Returns the keycode that is held under this name.
    pub(super) fn keycode_of(&self, name: KeyName) -> Option<u8> {
        self.keys
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, keycode)| *keycode)
    }

    /// Returns whether this keycode is held, under whatever name.
    pub(super) fn contains(&self, keycode: u8) -> bool {
        self.keys.iter().any(|(_, k)| *k == keycode)
    }

    /// Returns the held keycodes, each once.
    pub(super) fn keycodes(&self) -> Vec<u8> {
        let mut keycodes: Vec<u8> = self.keys.iter().map(|(_, keycode)| *keycode).collect();
        keycodes.sort_unstable();
        keycodes.dedup();
        keycodes
    }

    /// Records a press. A keycode that was down already gets the new name.
    pub(super) fn press(&mut self, name: KeyName, keycode: u8) {
        self.keys.retain(|(_, k)| *k != keycode);
        self.keys.push((name, keycode));
    }

    /// Records a release.
    pub(super) fn release(&mut self, keycode: u8) {
        self.keys.retain(|(_, k)| *k != keycode);
    }

    /// Returns the buttons that are down, bit 0 for button 1.
    pub(super) fn buttons(&self) -> u16 {
        self.buttons
    }

    /// Sets the buttons (bit 0 is button 1). Returns each button that changed, and whether it is
    /// down.
    pub(super) fn set_buttons(&mut self, buttons: u16) -> impl Iterator<Item = (u8, bool)> + use<> {
        let changed = self.buttons ^ buttons;
        self.buttons = buttons;
        (0..u16::BITS as u8)
            .filter(move |n| changed >> n & 1 == 1)
            .map(move |n| (n + 1, buttons >> n & 1 == 1))
    }

    /// Removes all keys and returns them with the names that they were pressed by, the latest
    /// first.
    pub(super) fn take_keys(&mut self) -> Vec<(KeyName, u8)> {
        self.keys.drain(..).rev().collect()
    }

    /// Removes all keycodes and returns them, the latest first.
    pub(super) fn take_keycodes(&mut self) -> Vec<u8> {
        self.keys
            .drain(..)
            .rev()
            .map(|(_, keycode)| keycode)
            .collect()
    }
}
