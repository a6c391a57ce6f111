//! Encoders: messages of either side, appended to a `Vec<u8>`.

pub mod client;
pub mod server;

use crate::{ClipboardMessage, Rect, ScreenLayout};

/// Flags of a Fence message.
pub mod fence_flags {
    /// Everything before the fence is done before the response.
    pub const BLOCK_BEFORE: u32 = 1;
    /// Nothing after the fence is begun before the response.
    pub const BLOCK_AFTER: u32 = 2;
    /// The message after the fence takes effect exactly at the response.
    pub const SYNC_NEXT: u32 = 4;
    /// Set in a request, clear in a response.
    pub const REQUEST: u32 = 1 << 31;
    /// Flags that a response may repeat: those above without [`REQUEST`].
    pub const SUPPORTED: u32 = BLOCK_BEFORE | BLOCK_AFTER | SYNC_NEXT;
}

fn put_rect(out: &mut Vec<u8>, rect: Rect) {
    for number in [rect.x, rect.y, rect.w, rect.h] {
        out.extend(number.to_be_bytes());
    }
}

fn put_screens(out: &mut Vec<u8>, screens: &[ScreenLayout]) {
    for screen in screens {
        out.extend(screen.id.to_be_bytes());
        put_rect(out, screen.rect);
        out.extend(screen.flags.to_be_bytes());
    }
}

fn cut_text(out: &mut Vec<u8>, message_type: u8, text: &[u8]) {
    let text = &text[..text.len().min(i32::MAX as usize)];
    out.extend([message_type, 0, 0, 0]);
    out.extend((text.len() as u32).to_be_bytes());
    out.extend_from_slice(text);
}

/// Appends a ClientCutText or ServerCutText of a negative length.
fn extended_clipboard(out: &mut Vec<u8>, message_type: u8, message: &ClipboardMessage) {
    let content = message.content();
    out.extend([message_type, 0, 0, 0]);
    out.extend((content.len() as u32).wrapping_neg().to_be_bytes());
    out.extend(content);
}

fn fence(out: &mut Vec<u8>, flags: u32, payload: &[u8]) {
    let payload = &payload[..payload.len().min(64)];
    out.extend([248, 0, 0, 0]);
    out.extend(flags.to_be_bytes());
    out.push(payload.len() as u8);
    out.extend_from_slice(payload);
}
