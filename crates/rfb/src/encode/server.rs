//! What a server sends after the handshake. An update is [`update_start`], then exactly as many
//! rectangles as it said.

use super::{put_layouts, put_rect};
use crate::{CursorImage, Layout, MAX_JPEG_WIDTH, Rect, ServerInit, encoding};

/// ServerInit, as at the end of a handshake. A name above 4 KiB is cut off.
pub fn server_init(out: &mut Vec<u8>, init: &ServerInit) {
    let name = init.name.as_bytes();
    let name = &name[..name.len().min(4096)];
    out.extend(init.width.to_be_bytes());
    out.extend(init.height.to_be_bytes());
    init.format.write(out);
    out.extend((name.len() as u32).to_be_bytes());
    out.extend_from_slice(name);
}

/// Begins an update of this many rectangles; `None`: [`last_rect`] will end it.
pub fn update_start(out: &mut Vec<u8>, rectangles: Option<u16>) {
    out.extend([0, 0]);
    out.extend(rectangles.unwrap_or(u16::MAX).to_be_bytes());
}

/// Says how many rectangles `update`, whose start was written before they were known, has after all.
///
/// # Panics
/// It doesn't begin with a start.
pub fn update_count(update: &mut [u8], rectangles: u16) {
    update[2..4].copy_from_slice(&rectangles.to_be_bytes());
}

/// Head of a Raw rectangle; `rect.area()` pixels must follow.
pub fn raw_head(out: &mut Vec<u8>, rect: Rect) {
    head(out, rect, encoding::RAW);
}

/// A Raw rectangle cut out of a picture with `stride` bytes a row and 4 bytes a pixel.
///
/// # Panics
/// When the rectangle reaches beyond the picture: the caller clips.
pub fn raw_from(out: &mut Vec<u8>, rect: Rect, picture: &[u8], stride: usize) {
    raw_head(out, rect);
    out.reserve(rect.area() * 4);
    for y in usize::from(rect.y)..rect.bottom() as usize {
        let row = &picture[y * stride..][..stride];
        out.extend_from_slice(&row[usize::from(rect.x) * 4..][..usize::from(rect.w) * 4]);
    }
}

/// A JPEG file for a rectangle of its size, as Tight's JPEG subtype, for a client that announced Tight.
/// False when Tight can't hold it and nothing was written: the rectangle is wider than
/// [`MAX_JPEG_WIDTH`] or empty, or the file empty or above 4 MiB - 1. It must go as Raw then.
#[must_use]
pub fn jpeg(out: &mut Vec<u8>, rect: Rect, data: &[u8]) -> bool {
    let fits = !rect.is_empty() && rect.w <= MAX_JPEG_WIDTH;
    if !fits || data.is_empty() || data.len() >= 1 << 22 {
        return false;
    }
    head(out, rect, encoding::TIGHT);
    out.push(encoding::TIGHT_JPEG);
    compact_length(out, data.len());
    out.extend_from_slice(data);
    true
}

/// A rectangle that the client has already.
pub fn copy_rect(out: &mut Vec<u8>, rect: Rect, from: (u16, u16)) {
    head(out, rect, encoding::COPY_RECT);
    out.extend(from.0.to_be_bytes());
    out.extend(from.1.to_be_bytes());
}

/// The pointer's shape; its pixels and mask must have the lengths that its size says.
pub fn cursor(out: &mut Vec<u8>, cursor: &CursorImage) {
    let (x, y) = cursor.hot;
    let rect = Rect::new(x, y, cursor.width, cursor.height);
    head(out, rect, encoding::CURSOR);
    out.extend_from_slice(&cursor.pixels);
    out.extend_from_slice(&cursor.mask);
}

/// Another size.
pub fn desktop_size(out: &mut Vec<u8>, width: u16, height: u16) {
    head(out, Rect::new(0, 0, width, height), encoding::DESKTOP_SIZE);
}

/// The pointer's place.
pub fn pointer_pos(out: &mut Vec<u8>, (x, y): (u16, u16)) {
    head(out, Rect::new(x, y, 0, 0), encoding::POINTER_POS);
}

/// Size and layout; `reason` and `status` as in [`Rectangle::ExtendedDesktopSize`](crate::Rectangle::ExtendedDesktopSize).
/// More than 255 screens are cut off.
pub fn extended_desktop_size(
    out: &mut Vec<u8>,
    reason: u16,
    status: u16,
    (width, height): (u16, u16),
    screens: &[Layout],
) {
    let screens = &screens[..screens.len().min(255)];
    let rect = Rect::new(reason, status, width, height);
    head(out, rect, encoding::EXTENDED_DESKTOP_SIZE);
    out.extend([screens.len() as u8, 0, 0, 0]);
    put_layouts(out, screens);
}

/// The empty rectangle that says: this extension (QEMU keys, extended mouse buttons, cut text in UTF-8) is understood.
pub fn supports(out: &mut Vec<u8>, encoding: i32) {
    head(out, Rect::default(), encoding);
}

/// Ends an update of unknown length.
pub fn last_rect(out: &mut Vec<u8>) {
    head(out, Rect::default(), encoding::LAST_RECT);
}

/// The server's clipboard, Latin-1 unless UTF-8 was agreed on.
pub fn cut_text(out: &mut Vec<u8>, text: &[u8]) {
    super::cut_text(out, 3, text);
}

/// A beep.
pub fn bell(out: &mut Vec<u8>) {
    out.push(2);
}

/// A fence, or the answer to one. A payload above 64 bytes is cut off.
pub fn fence(out: &mut Vec<u8>, flags: u32, payload: &[u8]) {
    super::fence(out, flags, payload);
}

/// Continuous updates are understood (the first time), or have ended.
pub fn end_of_continuous_updates(out: &mut Vec<u8>) {
    out.push(150);
}

fn head(out: &mut Vec<u8>, rect: Rect, encoding: i32) {
    put_rect(out, rect);
    out.extend(encoding.to_be_bytes());
}

/// Tight's length of at most 22 bits, in as few bytes as hold it.
fn compact_length(out: &mut Vec<u8>, length: usize) {
    let [low, middle, high] = [length & 0x7f, length >> 7 & 0x7f, length >> 14];
    match (middle, high) {
        (0, 0) => out.push(low as u8),
        (_, 0) => out.extend([low as u8 | 0x80, middle as u8]),
        _ => out.extend([low as u8 | 0x80, middle as u8 | 0x80, high as u8]),
    }
}
