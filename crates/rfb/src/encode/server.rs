//! Encoder of the messages that a server sends after the handshake. An update is [`update_start`],
//! then exactly as many rectangles as its header says.

use super::{put_rect, put_screens};
use crate::{
    ClipboardMessage, CursorImage, MAX_JPEG_WIDTH, Rect, ScreenLayout, ServerInit, encoding,
};

/// Appends ServerInit (RFC 6143 section 7.3.2), a handshake's last message. A name above 4 KiB is
/// cut off.
pub fn server_init(out: &mut Vec<u8>, init: &ServerInit) {
    let name = init.name.as_bytes();
    let name = &name[..name.len().min(4096)];
    out.extend(init.width.to_be_bytes());
    out.extend(init.height.to_be_bytes());
    init.format.write(out);
    out.extend((name.len() as u32).to_be_bytes());
    out.extend_from_slice(name);
}

/// Appends the header of a FramebufferUpdate (section 7.6.1) with this many rectangles; with
/// `None`, [`last_rect`] must end it.
pub fn update_start(out: &mut Vec<u8>, rectangles: Option<u16>) {
    out.extend([0, 0]);
    out.extend(rectangles.unwrap_or(u16::MAX).to_be_bytes());
}

/// Sets the number of rectangles of `update`, which begins with an [`update_start`].
///
/// # Panics
/// When `update` is shorter than that header.
pub fn set_rectangle_count(update: &mut [u8], rectangles: u16) {
    update[2..4].copy_from_slice(&rectangles.to_be_bytes());
}

/// Appends the header of a Raw rectangle (section 7.7.1); `rect.area()` pixels must follow.
pub fn raw_header(out: &mut Vec<u8>, rect: Rect) {
    header(out, rect, encoding::RAW);
}

/// Appends a Raw rectangle cut out of a picture with `stride` bytes a row and 4 bytes a pixel.
///
/// # Panics
/// When the rectangle reaches beyond the picture: the caller clips.
pub fn raw_from(out: &mut Vec<u8>, rect: Rect, picture: &[u8], stride: usize) {
    raw_header(out, rect);
    out.reserve(rect.area() * 4);
    for y in usize::from(rect.y)..rect.bottom() as usize {
        let row = &picture[y * stride..][..stride];
        out.extend_from_slice(&row[usize::from(rect.x) * 4..][..usize::from(rect.w) * 4]);
    }
}

/// Appends a JPEG file of the rectangle's size, as Tight's JPEG subtype, for a client that
/// announced Tight. Returns false, and appends nothing, when Tight can't hold it: the rectangle is
/// wider than [`MAX_JPEG_WIDTH`] or empty, or the file is empty or above 4 MiB - 1. It must go as
/// Raw then.
#[must_use]
pub fn jpeg(out: &mut Vec<u8>, rect: Rect, data: &[u8]) -> bool {
    let fits = !rect.is_empty() && rect.w <= MAX_JPEG_WIDTH;
    if !fits || data.is_empty() || data.len() >= 1 << 22 {
        return false;
    }
    header(out, rect, encoding::TIGHT);
    out.push(encoding::TIGHT_JPEG_CONTROL);
    compact_length(out, data.len());
    out.extend_from_slice(data);
    true
}

/// Appends a CopyRect rectangle (section 7.7.2): `rect` from the pixels at `from`.
pub fn copy_rect(out: &mut Vec<u8>, rect: Rect, from: (u16, u16)) {
    header(out, rect, encoding::COPY_RECT);
    out.extend(from.0.to_be_bytes());
    out.extend(from.1.to_be_bytes());
}

/// Appends a Cursor pseudo-rectangle (section 7.8.1). The image's pixels and mask must have the
/// lengths that its size implies.
pub fn cursor(out: &mut Vec<u8>, cursor: &CursorImage) {
    let (x, y) = cursor.hotspot;
    let rect = Rect::new(x, y, cursor.width, cursor.height);
    header(out, rect, encoding::CURSOR);
    out.extend_from_slice(&cursor.pixels);
    out.extend_from_slice(&cursor.mask);
}

/// Appends a DesktopSize pseudo-rectangle (section 7.8.2).
pub fn desktop_size(out: &mut Vec<u8>, width: u16, height: u16) {
    header(out, Rect::new(0, 0, width, height), encoding::DESKTOP_SIZE);
}

/// Appends a PointerPos pseudo-rectangle: the pointer's position.
pub fn pointer_pos(out: &mut Vec<u8>, (x, y): (u16, u16)) {
    header(out, Rect::new(x, y, 0, 0), encoding::POINTER_POS);
}

/// Appends an ExtendedDesktopSize pseudo-rectangle; `reason` and `status` as in
/// [`Rectangle::ExtendedDesktopSize`](crate::Rectangle::ExtendedDesktopSize). Screens above the
/// 255th are cut off.
pub fn extended_desktop_size(
    out: &mut Vec<u8>,
    reason: u16,
    status: u16,
    (width, height): (u16, u16),
    screens: &[ScreenLayout],
) {
    let screens = &screens[..screens.len().min(255)];
    let rect = Rect::new(reason, status, width, height);
    header(out, rect, encoding::EXTENDED_DESKTOP_SIZE);
    out.extend([screens.len() as u8, 0, 0, 0]);
    put_screens(out, screens);
}

/// Appends the empty pseudo-rectangle by which a server confirms an extension: QEMU Extended Key
/// Event, Extended Mouse Buttons, or cut text in UTF-8.
pub fn supports(out: &mut Vec<u8>, encoding: i32) {
    header(out, Rect::default(), encoding);
}

/// Appends LastRect, which ends an update whose header gives no number of rectangles.
pub fn last_rect(out: &mut Vec<u8>) {
    header(out, Rect::default(), encoding::LAST_RECT);
}

/// Appends ServerCutText (section 7.6.4): the server's clipboard, Latin-1 unless UTF-8 was agreed
/// on.
pub fn cut_text(out: &mut Vec<u8>, text: &[u8]) {
    super::cut_text(out, 3, text);
}

/// Appends ServerCutText of a negative length, for a client that has announced Extended Clipboard.
pub fn extended_clipboard(out: &mut Vec<u8>, message: &ClipboardMessage) {
    super::extended_clipboard(out, 3, message);
}

/// Appends Bell (section 7.6.3).
pub fn bell(out: &mut Vec<u8>) {
    out.push(2);
}

/// Appends Fence, a request or a response. A payload above 64 bytes is cut off.
pub fn fence(out: &mut Vec<u8>, flags: u32, payload: &[u8]) {
    super::fence(out, flags, payload);
}

/// Appends EndOfContinuousUpdates: the first one confirms the extension, later ones say that the
/// updates have ended.
pub fn end_of_continuous_updates(out: &mut Vec<u8>) {
    out.push(150);
}

/// Appends the header of a rectangle.
fn header(out: &mut Vec<u8>, rect: Rect, encoding: i32) {
    put_rect(out, rect);
    out.extend(encoding.to_be_bytes());
}

/// Appends Tight's compact length: at most 22 bits, in the fewest bytes that hold it.
fn compact_length(out: &mut Vec<u8>, length: usize) {
    let [low, middle, high] = [length & 0x7f, length >> 7 & 0x7f, length >> 14];
    match (middle, high) {
        (0, 0) => out.push(low as u8),
        (_, 0) => out.extend([low as u8 | 0x80, middle as u8]),
        _ => out.extend([low as u8 | 0x80, middle as u8 | 0x80, high as u8]),
    }
}
