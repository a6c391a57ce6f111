//! What a server sends after the handshake. An update is [`update_start`], then exactly as many
//! rectangles as it said.

use crate::{CursorImage, Layout, Rect, ServerInit};

/// ServerInit, as at the end of a handshake.
pub fn server_init(out: &mut Vec<u8>, init: &ServerInit) {
    todo!("{} {init:?}", out.len())
}

/// Begins an update of this many rectangles; `None`: [`last_rect`] will end it.
pub fn update_start(out: &mut Vec<u8>, rectangles: Option<u16>) {
    todo!("{} {rectangles:?}", out.len())
}

/// Head of a Raw rectangle; `rect.area()` pixels must follow.
pub fn raw_head(out: &mut Vec<u8>, rect: Rect) {
    todo!("{} {rect:?}", out.len())
}

/// A Raw rectangle cut out of a picture with `stride` bytes a row and 4 bytes a pixel.
/// The rectangle must lie inside the picture.
pub fn raw_from(out: &mut Vec<u8>, rect: Rect, picture: &[u8], stride: usize) {
    todo!("{} {rect:?} {} {stride}", out.len(), picture.len())
}

/// A rectangle that the client has already.
pub fn copy_rect(out: &mut Vec<u8>, rect: Rect, from: (u16, u16)) {
    todo!("{} {rect:?} {from:?}", out.len())
}

/// The pointer's shape.
pub fn cursor(out: &mut Vec<u8>, cursor: &CursorImage) {
    todo!("{} {cursor:?}", out.len())
}

/// Another size.
pub fn desktop_size(out: &mut Vec<u8>, width: u16, height: u16) {
    todo!("{} {width} {height}", out.len())
}

/// Size and layout; `reason` and `status` as in [`Rectangle::ExtendedDesktopSize`](crate::Rectangle::ExtendedDesktopSize).
pub fn extended_desktop_size(
    out: &mut Vec<u8>,
    reason: u16,
    status: u16,
    size: (u16, u16),
    screens: &[Layout],
) {
    todo!("{} {reason} {status} {size:?} {screens:?}", out.len())
}

/// The empty rectangle that says: this extension (QEMU keys, extended mouse buttons) is understood.
pub fn supports(out: &mut Vec<u8>, encoding: i32) {
    todo!("{} {encoding}", out.len())
}

/// Ends an update of unknown length.
pub fn last_rect(out: &mut Vec<u8>) {
    todo!("{}", out.len())
}

/// The server's clipboard, Latin-1.
pub fn cut_text(out: &mut Vec<u8>, text: &[u8]) {
    todo!("{} {}", out.len(), text.len())
}

/// A beep.
pub fn bell(out: &mut Vec<u8>) {
    todo!("{}", out.len())
}

/// A fence, or the answer to one.
pub fn fence(out: &mut Vec<u8>, flags: u32, payload: &[u8]) {
    todo!("{} {flags} {payload:?}", out.len())
}

/// Continuous updates are understood (the first time), or have ended.
pub fn end_of_continuous_updates(out: &mut Vec<u8>) {
    todo!("{}", out.len())
}
