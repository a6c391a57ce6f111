//! The keys and buttons that a viewer holds down, so that none stays down at the customer's when the
//! viewer goes.

use etatuki_rfb::ClientMessage;

/// More than a person and a stuck keyboard hold; further ones are sent but not remembered.
const MAX_KEYS: usize = 256;

/// What is held down now.
#[derive(Debug, Default)]
pub(crate) struct PressedInput {
    /// The messages that would release them.
    keys: Vec<ClientMessage>,
    pointer: Option<(u16, u16)>,
}

impl PressedInput {
    /// Takes note of what a message presses or releases.
    pub(crate) fn note(&mut self, message: &ClientMessage) {
        match message {
            ClientMessage::Key { down, .. } | ClientMessage::QemuKey { down, .. } => {
                let release = released(message);
                self.keys.retain(|pressed_input| *pressed_input != release);
                if *down && self.keys.len() < MAX_KEYS {
                    self.keys.push(release);
                }
            }
            ClientMessage::Pointer { buttons, x, y } => {
                self.pointer = (*buttons != 0).then_some((*x, *y));
            }
            _ => {}
        }
    }

    /// Nothing is held any more, without a word to anybody.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The messages that release everything.
    pub(crate) fn release(&mut self) -> Vec<ClientMessage> {
        let pointer = self.pointer.take();
        let mut releases = std::mem::take(&mut self.keys);
        releases.extend(pointer.map(|(x, y)| ClientMessage::Pointer { buttons: 0, x, y }));
        releases
    }
}

fn released(message: &ClientMessage) -> ClientMessage {
    match message {
        ClientMessage::Key { keysym, .. } => ClientMessage::Key {
            down: false,
            keysym: *keysym,
        },
        ClientMessage::QemuKey {
            keysym, keycode, ..
        } => ClientMessage::QemuKey {
            down: false,
            keysym: *keysym,
            keycode: *keycode,
        },
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(down: bool, keysym: u32) -> ClientMessage {
        ClientMessage::Key { down, keysym }
    }

    #[test]
    fn what_is_held_is_released_once() {
        let mut pressed_input = PressedInput::default();
        let qemu = |down| ClientMessage::QemuKey {
            down,
            keysym: 0x61,
            keycode: 30,
        };
        let pointer = |buttons| ClientMessage::Pointer {
            buttons,
            x: 3,
            y: 4,
        };
        for message in [
            key(true, 1),
            key(true, 2),
            key(true, 1),
            key(false, 2),
            qemu(true),
            pointer(5),
        ] {
            pressed_input.note(&message);
        }
        assert_eq!(
            pressed_input.release(),
            [key(false, 1), qemu(false), pointer(0)]
        );
        assert_eq!(pressed_input.release(), []);
    }

    #[test]
    fn a_released_button_is_not_held() {
        let mut pressed_input = PressedInput::default();
        pressed_input.note(&ClientMessage::Pointer {
            buttons: 1,
            x: 0,
            y: 0,
        });
        pressed_input.note(&ClientMessage::Pointer {
            buttons: 0,
            x: 9,
            y: 9,
        });
        assert_eq!(pressed_input.release(), []);
    }
}
