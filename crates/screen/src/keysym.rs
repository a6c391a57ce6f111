//! X keysyms: their classes, and which of them are equivalent.

use xkeysym::Keysym;

/// Keysyms that encode a Unicode character directly.
const UNICODE: std::ops::RangeInclusive<u32> = 0x0100_0000..=0x0110_ffff;
/// Function, keypad and modifier keys: never equivalent to a character, even where they type one.
const FUNCTION: std::ops::RangeInclusive<u32> = 0xfd00..=0xffff;

/// Returns the character that a keysym types, if any.
pub(crate) fn to_char(keysym: u32) -> Option<char> {
    if FUNCTION.contains(&keysym) {
        return None;
    }
    Keysym::new(keysym).key_char()
}

/// Returns whether both are one keysym or type the same character, in whatever encoding
/// (`EuroSign`, `U20AC`).
pub(crate) fn are_equivalent(a: u32, b: u32) -> bool {
    a == b || (to_char(a).is_some() && to_char(a) == to_char(b))
}

/// Returns whether both are one keysym, or type the same letter apart from its case.
pub(crate) fn are_same_letter(a: u32, b: u32) -> bool {
    let lowered = |keysym| to_char(keysym).map(|c| c.to_lowercase().collect::<String>());
    are_equivalent(a, b) || (lowered(a).is_some() && lowered(a) == lowered(b))
}

/// Returns both cases of a letter, the small one first; the keysym twice if it has no other case.
pub(crate) fn cases_of(keysym: u32) -> [u32; 2] {
    let Some(typed) = to_char(keysym) else {
        return [keysym; 2];
    };
    let [lower, upper] = [single(typed.to_lowercase()), single(typed.to_uppercase())];
    match (lower, upper) {
        (Some(lower), _) if lower != typed => [from_char(lower), keysym],
        (_, Some(upper)) if upper != typed => [keysym, from_char(upper)],
        _ => [keysym; 2],
    }
}

/// Returns the keysym of a character: Latin-1 as it is, the rest as Unicode.
fn from_char(c: char) -> u32 {
    match u32::from(c) {
        latin1 @ 0x20..=0xff => latin1,
        other => UNICODE.start() | other,
    }
}

/// Returns the only character of `all`.
fn single(mut all: impl Iterator<Item = char>) -> Option<char> {
    let first = all.next();
    first.filter(|_| all.next().is_none())
}

/// Returns whether the keysym is one of the dead keys, which change the letter after them.
pub(crate) fn is_dead(keysym: u32) -> bool {
    matches!(keysym, 0xfe50..=0xfe93)
}

/// Returns whether the keysym means a key, not a character that a key types. Keypad keysyms don't
/// count: there Num Lock decides.
pub(crate) fn is_function_key(keysym: u32) -> bool {
    FUNCTION.contains(&keysym) && !KEYPAD.contains(&keysym) || VENDOR.contains(&keysym)
}

/// Returns whether the keysym is a modifier key: Shift to Hyper, the locks, the ISO shifts.
pub(crate) fn is_modifier(keysym: u32) -> bool {
    matches!(keysym, 0xffe1..=0xffee | 0xfe01..=0xfe13 | 0xff7e..=0xff7f)
}

/// Returns the modifier on the other side of the keyboard, or the one that most layouts have in its
/// place.
pub(crate) fn counterpart(modifier: u32) -> Option<u32> {
    match modifier {
        0xffea => Some(0xfe03),          // right Alt: AltGr
        0xfe03 | 0xff7e => Some(0xffea), // AltGr, Mode_switch: right Alt
        0xffe7 | 0xffe8 => Some(0xffe9), // Meta: left Alt
        0xffe1 | 0xffe3 | 0xffe9 | 0xffeb | 0xffed => Some(modifier + 1),
        0xffe2 | 0xffe4 | 0xffec | 0xffee => Some(modifier - 1),
        _ => None,
    }
}

/// Returns whether X accepts the number as a keysym; a peer may ask for no other.
pub(crate) fn is_valid(keysym: u32) -> bool {
    (0x20..0x0100_0000).contains(&keysym) || UNICODE.contains(&keysym) || VENDOR.contains(&keysym)
}

/// Keysyms of the keypad's keys.
const KEYPAD: std::ops::RangeInclusive<u32> = 0xff80..=0xffbd;
/// Keysyms of vendors, among them the multimedia keys (`XF86AudioMute` and others).
const VENDOR: std::ops::RangeInclusive<u32> = 0x1000_0000..=0x1fff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_case_of_a_letter() {
        assert_eq!(cases_of(0x61), [0x61, 0x41]); // a
        assert_eq!(cases_of(0x0100_0416), [0x0100_0436, 0x0100_0416]); // Ж
        assert_eq!(cases_of(0xdf), [0xdf, 0xdf]); // ß becomes two letters
        assert_eq!(cases_of(0x0100_2603), [0x0100_2603; 2]); // ☃
        assert!(are_same_letter(0x7a, 0x5a)); // z, Z
        assert!(!are_same_letter(0x7a, 0x79)); // z, y
        assert!(!are_same_letter(0xff96, 0xff97)); // KP_Left, KP_Up
    }

    #[test]
    fn two_spellings_of_one_character() {
        assert!(are_equivalent(0x20ac, 0x0100_20ac)); // €
        assert!(are_equivalent(0xe4, 0x0100_00e4)); // ä
        assert!(!are_equivalent(0xe4, 0xc4)); // ä, Ä
        assert!(!are_equivalent(0xffb1, 0x31)); // KP_1, 1
        assert!(!are_equivalent(0xfe50, 0x60)); // dead grave, grave
    }

    #[test]
    fn what_is_no_keysym_is_refused() {
        for keysym in [0, 0x1f, 0x0111_0000, 0x2000_0000, u32::MAX] {
            assert!(!is_valid(keysym), "{keysym:#x}");
        }
        for keysym in [0x61, 0xff0d, 0xfe03, 0x0100_2603, 0x1008_ff11] {
            assert!(is_valid(keysym), "{keysym:#x}");
        }
    }
}
