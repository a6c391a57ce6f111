//! The numeric keypad, which means something else with and without Num Lock.
//!
//! The peer's Num Lock and the customer's may differ. A Shift that turns one meaning into the other
//! would select text in many programs. So the key is pressed alone, or another one that does the
//! same. The decimal key is the customer's own, whatever separator the peer's has: many programs
//! turn that very key into the separator of the customer's language.

use crate::keysym;
use crate::x11::keymap::{KeyStroke, KeyboardState, Keymap};

const XK_KP_SEPARATOR: u32 = 0xffac;
const XK_KP_DECIMAL: u32 = 0xffae;
const XK_KP_DELETE: u32 = 0xff9f;
/// `KP_0` to `KP_9`.
const DIGITS: std::ops::RangeInclusive<u32> = 0xffb0..=0xffb9;
/// Linux's key code of the decimal key (`KEY_KPDOT`), as an X keycode.
const DECIMAL_KEYCODE: u8 = 83 + 8;

/// The keypad's keysyms without Num Lock, each with its counterpart among the other keys.
const NAVIGATION: [(u32, u32); 11] = [
    (0xff95, 0xff50),       // Home
    (0xff96, 0xff51),       // Left
    (0xff97, 0xff52),       // Up
    (0xff98, 0xff53),       // Right
    (0xff99, 0xff54),       // Down
    (0xff9a, 0xff55),       // Page Up
    (0xff9b, 0xff56),       // Page Down
    (0xff9c, 0xff57),       // End
    (0xff9d, 0xff58),       // Begin
    (0xff9e, 0xff63),       // Insert
    (XK_KP_DELETE, 0xffff), // Delete
];

/// Counterpart of a keypad keysym on the customer's keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeypadKey {
    /// A key of theirs, pressed as it is.
    Stroke(KeyStroke),
    /// Another keysym that does the same.
    Keysym(u32),
}

/// Returns the key for a keypad keysym; `None` for any other keysym.
pub(super) fn find(map: &Keymap, keysym: u32, state: KeyboardState) -> Option<KeypadKey> {
    if matches!(keysym, XK_KP_DECIMAL | XK_KP_SEPARATOR) {
        return Some(find_decimal(map, keysym, state));
    }
    let counterpart = if DIGITS.contains(&keysym) {
        u32::from(b'0') + keysym - DIGITS.start()
    } else {
        NAVIGATION.iter().find(|(keypad, _)| *keypad == keysym)?.1
    };
    let plain = map.find_plain(keysym, state);
    Some(plain.map_or(KeypadKey::Keysym(counterpart), KeypadKey::Stroke))
}

/// Returns the customer's decimal key. With Num Lock off it deletes: then its separator alone is
/// typed.
fn find_decimal(map: &Keymap, keysym: u32, state: KeyboardState) -> KeypadKey {
    let is_decimal_key = |keycode: &u8| {
        let mut levels = map.levels(*keycode, state.group);
        levels.any(|s| s == XK_KP_DELETE)
    };
    let by_place = Some(DECIMAL_KEYCODE).filter(is_decimal_key);
    let keycode = by_place.or_else(|| map.key_with_base_keysym(XK_KP_DELETE, state.group));
    let Some(keycode) = keycode else {
        return KeypadKey::Keysym(keysym);
    };
    if map.keysym(keycode, state) != Some(XK_KP_DELETE) {
        return KeypadKey::Stroke(KeyStroke::plain(keycode));
    }
    let mut levels = map.levels(keycode, state.group);
    let separator = levels.find(|s| !matches!(*s, 0 | XK_KP_DELETE));
    KeypadKey::Keysym(separator.unwrap_or(keysym))
}

/// Returns the keysym of a press on the physical key `keycode`: the decimal key is one key, whatever
/// separator it types at the peer.
pub(super) fn normalise(keycode: u8, keysym: u32) -> u32 {
    let is_separator = matches!(keysym, XK_KP_SEPARATOR) || keysym::to_char(keysym).is_some();
    match keycode == DECIMAL_KEYCODE && is_separator {
        true => XK_KP_DECIMAL,
        false => keysym,
    }
}

/// Returns whether a keysym may be typed by a key that gives it without a change of modifiers only.
pub(super) fn is_plain_only(keysym: u32) -> bool {
    matches!(keysym, XK_KP_DECIMAL | XK_KP_SEPARATOR)
}
