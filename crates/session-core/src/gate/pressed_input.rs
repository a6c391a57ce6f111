//! The keys and buttons that the agent holds down, so that none stays pressed when control ends.

use super::PluginInput;

/// Keys that can be held at once; no keyboard and no hands hold more. Presses beyond are dropped.
const MAX_PRESSED_KEYS: usize = 64;

/// Keys in the order in which they were pressed, and the pointer.
#[derive(Debug, Default)]
pub(super) struct PressedInput {
    keys: Vec<PressedKey>,
    buttons: u16,
    /// Column and row of the pointer.
    position: (u16, u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PressedKey {
    Plain { keysym: u32 },
    Qemu { keysym: u32, keycode: u32 },
}

impl PressedInput {
    /// Records input for the plugin. Returns whether it may go there.
    pub(super) fn record(&mut self, input: &PluginInput) -> bool {
        match *input {
            PluginInput::Key { down, keysym } => {
                self.record_key(down, PressedKey::Plain { keysym })
            }
            PluginInput::QemuKey {
                down,
                keysym,
                keycode,
            } => self.record_key(down, PressedKey::Qemu { keysym, keycode }),
            PluginInput::Pointer { buttons, x, y } => {
                self.buttons = buttons;
                self.position = (x, y);
                true
            }
            PluginInput::CutText(_) | PluginInput::DesktopSize { .. } => true,
        }
    }

    /// Records a key. A release of a key that isn't held passes: it does no harm, and some viewers
    /// release by another keysym than they pressed.
    fn record_key(&mut self, down: bool, key: PressedKey) -> bool {
        if !down {
            self.keys.retain(|pressed| *pressed != key);
            return true;
        }
        let is_pressed = self.keys.contains(&key);
        if !is_pressed && self.keys.len() < MAX_PRESSED_KEYS {
            self.keys.push(key);
            return true;
        }
        is_pressed
    }

    /// Returns the releases of everything that is held, latest first. Nothing is held afterwards.
    pub(super) fn release(&mut self) -> Vec<PluginInput> {
        let mut releases: Vec<PluginInput> =
            self.keys.drain(..).rev().map(PressedKey::release).collect();
        if self.buttons != 0 {
            self.buttons = 0;
            let (x, y) = self.position;
            releases.push(PluginInput::Pointer { buttons: 0, x, y });
        }
        releases
    }
}

impl PressedKey {
    fn release(self) -> PluginInput {
        match self {
            PressedKey::Plain { keysym } => PluginInput::Key {
                down: false,
                keysym,
            },
            PressedKey::Qemu { keysym, keycode } => PluginInput::QemuKey {
                down: false,
                keysym,
                keycode,
            },
        }
    }
}
