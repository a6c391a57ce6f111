//! Keys that mean the desktop or the machine, whichever program has the focus. With app sharing
//! they are never typed: desktops also watch them in ways that no client can ask about (raw events,
//! RECORD).

/// Keysyms of vendors: power, sleep, volume, consoles (`XF86PowerOff`, `XF86Switch_VT_1`).
const VENDOR: std::ops::RangeInclusive<u32> = 0x1000_0000..=0x1fff_ffff;
/// Switches of AccessX and of the pointer keys.
const ACCESSIBILITY: [std::ops::RangeInclusive<u32>; 2] = [0xfe70..=0xfe7f, 0xfee0..=0xfeff];

const XK_TERMINATE_SERVER: u32 = 0xfed5;
const XK_SYS_REQ: u32 = 0xff15;
const XK_PRINT: u32 = 0xff61;
const XK_BACKSPACE: u32 = 0xff08;
const XK_DELETE: u32 = 0xffff;
const XK_KP_DELETE: u32 = 0xff9f;
/// F1 to F12.
const FUNCTION: std::ops::RangeInclusive<u32> = 0xffbe..=0xffc9;
/// Meta, Super and Hyper, left and right.
const DESKTOP_MODIFIERS: [std::ops::RangeInclusive<u32>; 2] = [0xffe7..=0xffe8, 0xffeb..=0xffee];

/// Returns whether a keysym is never typed into a program that is shared alone.
pub(super) fn is_desktop_keysym(keysym: u32) -> bool {
    let is_in =
        |ranges: &[std::ops::RangeInclusive<u32>]| ranges.iter().any(|r| r.contains(&keysym));
    VENDOR.contains(&keysym)
        || is_in(&ACCESSIBILITY)
        || is_in(&DESKTOP_MODIFIERS)
        || matches!(keysym, XK_TERMINATE_SERVER | XK_SYS_REQ | XK_PRINT)
}

/// Returns whether a keysym together with Control and Alt means the machine.
pub(super) fn is_control_alt_keysym(keysym: u32) -> bool {
    FUNCTION.contains(&keysym) || matches!(keysym, XK_BACKSPACE | XK_DELETE | XK_KP_DELETE)
}
