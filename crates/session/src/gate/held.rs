//! What the agent holds down: so that nothing stays pressed when he may not act any more.

use super::ToolInput;

/// Keys held at once, at most: no keyboard and no hands have more. Presses beyond are dropped.
const MAX_KEYS: usize = 64;

/// Keys in the order in which they were pressed, and the pointer.
#[derive(Debug, Default)]
pub(super) struct Held {
    keys: Vec<HeldKey>,
    buttons: u16,
    at: (u16, u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeldKey {
    Plain { keysym: u32 },
    Qemu { keysym: u32, keycode: u32 },
}

impl Held {
    /// Takes note of what goes to the tool; says whether it may.
    pub(super) fn note(&mut self, input: &ToolInput) -> bool {
        match *input {
            ToolInput::Key { down, keysym } => self.key(down, HeldKey::Plain { keysym }),
            ToolInput::QemuKey {
                down,
                keysym,
                keycode,
            } => self.key(down, HeldKey::Qemu { keysym, keycode }),
            ToolInput::Pointer { buttons, x, y } => {
                self.buttons = buttons;
                self.at = (x, y);
                true
            }
            ToolInput::CutText(_) | ToolInput::DesktopSize { .. } => true,
        }
    }

    /// A release of what isn't held passes: it does no harm, and some viewers release by another
    /// keysym than they pressed.
    fn key(&mut self, down: bool, key: HeldKey) -> bool {
        if !down {
            self.keys.retain(|held| *held != key);
            return true;
        }
        let held = self.keys.contains(&key);
        if !held && self.keys.len() < MAX_KEYS {
            self.keys.push(key);
            return true;
        }
        held
    }

    pub(super) fn release(&mut self) -> Vec<ToolInput> {
        let mut released: Vec<ToolInput> = self.keys.drain(..).rev().map(HeldKey::up).collect();
        if self.buttons != 0 {
            self.buttons = 0;
            released.push(ToolInput::Pointer {
                buttons: 0,
                x: self.at.0,
                y: self.at.1,
            });
        }
        released
    }
}

impl HeldKey {
    fn up(self) -> ToolInput {
        match self {
            HeldKey::Plain { keysym } => ToolInput::Key {
                down: false,
                keysym,
            },
            HeldKey::Qemu { keysym, keycode } => ToolInput::QemuKey {
                down: false,
                keysym,
                keycode,
            },
        }
    }
}
