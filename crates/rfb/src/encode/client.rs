//! What a client sends after the handshake.

use crate::ClientMessage;

/// Appends one message. `extended_pointer`: the server has said that it understands pointer events with
/// nine buttons; otherwise the buttons above the eighth are left out. Cut text, encodings and fence
/// payloads must fit their length fields; what is beyond is cut off.
pub fn message(out: &mut Vec<u8>, message: &ClientMessage, extended_pointer: bool) {
    todo!("{} {message:?} {extended_pointer}", out.len())
}
