//! What is held down by us: every key and button that must be let go of in the end.

/// How the peer named the key that it pressed; it lets go of it by the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Keysym(u32),
    Scancode(u32),
}

/// Keys and buttons that are down, the latest last.
#[derive(Debug, Default)]
pub(super) struct Held {
    keys: Vec<(Name, u8)>,
    buttons: u16,
}

impl Held {
    /// The keycode that is held under this name.
    pub(super) fn keycode(&self, name: Name) -> Option<u8> {
        self.keys
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, keycode)| *keycode)
    }

    /// Whether this keycode is held, under whatever name.
    pub(super) fn is_down(&self, keycode: u8) -> bool {
        self.keys.iter().any(|(_, k)| *k == keycode)
    }

    /// Keycodes that are held, each once.
    pub(super) fn keycodes(&self) -> Vec<u8> {
        let mut keycodes: Vec<u8> = self.keys.iter().map(|(_, keycode)| *keycode).collect();
        keycodes.sort_unstable();
        keycodes.dedup();
        keycodes
    }

    /// A keycode goes down; the name that it had, if it was down already, is forgotten.
    pub(super) fn press(&mut self, name: Name, keycode: u8) {
        self.keys.retain(|(_, k)| *k != keycode);
        self.keys.push((name, keycode));
    }

    /// A keycode goes up.
    pub(super) fn release(&mut self, keycode: u8) {
        self.keys.retain(|(_, k)| *k != keycode);
    }

    /// The buttons that are down.
    pub(super) fn buttons(&self) -> u16 {
        self.buttons
    }

    /// The buttons are now `buttons` (bit 0 is button 1); gives each one that changed, and whether it is down.
    pub(super) fn set_buttons(&mut self, buttons: u16) -> impl Iterator<Item = (u8, bool)> + use<> {
        let changed = self.buttons ^ buttons;
        self.buttons = buttons;
        (0..u16::BITS as u8)
            .filter(move |n| changed >> n & 1 == 1)
            .map(move |n| (n + 1, buttons >> n & 1 == 1))
    }

    /// Forgets everything and gives it: keycodes, the latest first.
    pub(super) fn take_keys(&mut self) -> Vec<u8> {
        self.keys
            .drain(..)
            .rev()
            .map(|(_, keycode)| keycode)
            .collect()
    }
}
