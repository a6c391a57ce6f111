//! Physical keys: from RFB's scancodes to Linux key codes.
//!
//! The QEMU extended key event carries the PC's 'set 1' scancode in one byte; those with the prefix
//! E0 have the highest bit set (rfbproto, section 'QEMU Extended Key Event Message'). The numbers
//! on the right are Linux's `KEY_*` (include/uapi/linux/input-event-codes.h).

/// Returns Linux's key code; `None` for a scancode that no PC keyboard sends.
#[must_use]
pub(crate) fn to_evdev(scancode: u32) -> Option<u8> {
    match scancode {
        // Linux numbers its keys by the plain scancodes of the original PC keyboard.
        0x01..=0x53 | 0x56..=0x58 => Some(scancode as u8),
        0x54 => Some(99), // SysRq (Alt+PrtSc)
        0x80.. => E0_PREFIXED
            .iter()
            .find(|(code, _)| *code == scancode)
            .map(|(_, key)| *key),
        _ => UNPREFIXED
            .iter()
            .find(|(code, _)| *code == scancode)
            .map(|(_, key)| *key),
    }
}

/// Scancodes without prefix above the original ones: Japanese and Brazilian keys, F13 to F24,
/// keypad extras.
const UNPREFIXED: &[(u32, u8)] = &[
    (0x59, 117), // KP =
    (0x5d, 183), // F13
    (0x5e, 184), // F14
    (0x5f, 185), // F15
    (0x70, 93),  // Katakana/Hiragana
    (0x73, 89),  // Ro
    (0x77, 91),  // Hiragana
    (0x78, 90),  // Katakana
    (0x79, 92),  // Henkan
    (0x7b, 94),  // Muhenkan
    (0x7d, 124), // Yen
    (0x7e, 121), // KP comma
];

/// Scancodes with the prefix E0.
const E0_PREFIXED: &[(u32, u8)] = &[
    (0x90, 165), // previous track
    (0x99, 163), // next track
    (0x9c, 96),  // KP Enter
    (0x9d, 97),  // right Ctrl
    (0xa0, 113), // mute
    (0xa1, 140), // calculator
    (0xa2, 164), // play, pause
    (0xa4, 166), // stop
    (0xae, 114), // volume down
    (0xb0, 115), // volume up
    (0xb2, 172), // home page
    (0xb5, 98),  // KP /
    (0xb7, 99),  // PrtSc
    (0xb8, 100), // right Alt (AltGr)
    (0xc6, 119), // Pause (with Ctrl: Break)
    (0xc7, 102), // Home
    (0xc8, 103), // up
    (0xc9, 104), // Page Up
    (0xcb, 105), // left
    (0xcd, 106), // right
    (0xcf, 107), // End
    (0xd0, 108), // down
    (0xd1, 109), // Page Down
    (0xd2, 110), // Insert
    (0xd3, 111), // Delete
    (0xdb, 125), // left Super
    (0xdc, 126), // right Super
    (0xdd, 127), // Menu
    (0xde, 116), // power
    (0xdf, 142), // sleep
    (0xe3, 143), // wake
    (0xe5, 217), // search
    (0xe6, 156), // bookmarks
    (0xe7, 173), // reload
    (0xe8, 128), // browser's stop
    (0xe9, 159), // forward
    (0xea, 158), // back
    (0xeb, 157), // computer
    (0xec, 155), // mail
    (0xed, 226), // media
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys() {
        #[track_caller]
        fn check(scancode: u32, expected: Option<u8>) {
            assert_eq!(to_evdev(scancode), expected, "{scancode:#x}");
        }
        check(0x1e, Some(30)); // A
        check(0x56, Some(86)); // the key next to the left Shift
        check(0x58, Some(88)); // F12
        check(0xb8, Some(100)); // AltGr
        check(0xd3, Some(111)); // Delete
        check(0, None);
        check(0x55, None);
        check(0xff, None);
        check(0x1_0000, None);
    }
}
