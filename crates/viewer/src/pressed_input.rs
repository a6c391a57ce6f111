//! Keys and mouse buttons that a viewer holds down. They are released at the customer's when the
//! viewer detaches.

use etatuki_rfb::ClientMessage;

/// Keys that are remembered; nobody holds more. Further ones are sent but not released.
const MAX_KEYS: usize = 256;

/// The keys and buttons that are down.
#[derive(Debug, Default)]
pub(crate) struct PressedInput {
    /// A release message for each key.
    key_releases: Vec<ClientMessage>,
    /// The pointer's column and row while a button is down.
    pressed_at: Option<(u16, u16)>,
}

impl PressedInput {
    /// Records the presses and releases of a message.
    pub(crate) fn record(&mut self, message: &ClientMessage) {
        match message {
            ClientMessage::Key { down, .. } | ClientMessage::QemuKey { down, .. } => {
                let release = key_release(message);
                self.key_releases.retain(|other| *other != release);
                if *down && self.key_releases.len() < MAX_KEYS {
                    self.key_releases.push(release);
                }
            }
            ClientMessage::Pointer { buttons, x, y } => {
                self.pressed_at = (*buttons != 0).then_some((*x, *y));
            }
            _ => {}
        }
    }

    /// Forgets everything without releasing it.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns the messages that release everything, and forgets it.
    pub(crate) fn take_releases(&mut self) -> Vec<ClientMessage> {
        let pressed_at = self.pressed_at.take();
        let mut releases = std::mem::take(&mut self.key_releases);
        releases.extend(pressed_at.map(|(x, y)| ClientMessage::Pointer { buttons: 0, x, y }));
        releases
    }
}

fn key_release(message: &ClientMessage) -> ClientMessage {
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
        let mut pressed = PressedInput::default();
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
            pressed.record(&message);
        }
        assert_eq!(
            pressed.take_releases(),
            [key(false, 1), qemu(false), pointer(0)]
        );
        assert_eq!(pressed.take_releases(), []);
    }

    #[test]
    fn a_released_button_is_not_held() {
        let mut pressed = PressedInput::default();
        pressed.record(&ClientMessage::Pointer {
            buttons: 1,
            x: 0,
            y: 0,
        });
        pressed.record(&ClientMessage::Pointer {
            buttons: 0,
            x: 9,
            y: 9,
        });
        assert_eq!(pressed.take_releases(), []);
    }
}
