//! Encoder of the messages that a client sends after the handshake.

use super::{put_rect, put_screens};
use crate::{ClientMessage, PointerFormat, ScreenLayout};

/// Appends one message. In [`PointerFormat::Standard`], buttons above the eighth are left out.
/// Lists and texts above the limit of their length field (65,535 encodings, 2 GiB of text, 64 bytes
/// of payload, 255 screens) are cut off.
pub fn message(out: &mut Vec<u8>, message: &ClientMessage, pointer_format: PointerFormat) {
    match message {
        ClientMessage::SetPixelFormat(format) => {
            out.extend([0; 4]);
            format.write(out);
        }
        ClientMessage::SetEncodings(encodings) => set_encodings(out, encodings),
        ClientMessage::UpdateRequest { incremental, rect } => {
            out.extend([3, u8::from(*incremental)]);
            put_rect(out, *rect);
        }
        ClientMessage::Key { down, keysym } => {
            out.extend([4, u8::from(*down), 0, 0]);
            out.extend(keysym.to_be_bytes());
        }
        ClientMessage::QemuKey {
            down,
            keysym,
            keycode,
        } => {
            out.extend([255, 0, 0, u8::from(*down)]);
            out.extend(keysym.to_be_bytes());
            out.extend(keycode.to_be_bytes());
        }
        ClientMessage::Pointer { buttons, x, y } => {
            pointer(out, *buttons, (*x, *y), pointer_format);
        }
        ClientMessage::CutText(text) => super::cut_text(out, 6, text),
        // What it was is gone.
        ClientMessage::CutTextSkipped { .. } => {}
        ClientMessage::Clipboard(message) => super::extended_clipboard(out, 6, message),
        ClientMessage::Fence { flags, payload } => super::fence(out, *flags, payload),
        ClientMessage::EnableContinuousUpdates { enable, rect } => {
            out.extend([150, u8::from(*enable)]);
            put_rect(out, *rect);
        }
        ClientMessage::SetDesktopSize {
            width,
            height,
            screens,
        } => set_desktop_size(out, (*width, *height), screens),
    }
}

fn set_encodings(out: &mut Vec<u8>, encodings: &[i32]) {
    let count = encodings.len().min(usize::from(u16::MAX));
    out.extend([2, 0]);
    out.extend((count as u16).to_be_bytes());
    for encoding in &encodings[..count] {
        out.extend(encoding.to_be_bytes());
    }
}

/// Appends a pointer event. In the extended format a set bit 7 is the mark, and the buttons from
/// the eighth on have a byte of their own. A server that understands this format may read bit 7 as
/// the mark at any time, so the eighth button must not go in the standard format then.
fn pointer(out: &mut Vec<u8>, buttons: u16, (x, y): (u16, u16), format: PointerFormat) {
    let high = (buttons >> 7) as u8 & 0x03;
    let has_high_byte = format == PointerFormat::Extended && high != 0;
    let low = if has_high_byte {
        buttons as u8 | 0x80
    } else {
        buttons as u8
    };
    out.extend([5, low]);
    out.extend(x.to_be_bytes());
    out.extend(y.to_be_bytes());
    if has_high_byte {
        out.push(high);
    }
}

fn set_desktop_size(out: &mut Vec<u8>, (width, height): (u16, u16), screens: &[ScreenLayout]) {
    let screens = &screens[..screens.len().min(255)];
    out.extend([251, 0]);
    out.extend(width.to_be_bytes());
    out.extend(height.to_be_bytes());
    out.extend([screens.len() as u8, 0]);
    put_screens(out, screens);
}
