//! The one way in which this crate signs and carries things.
//!
//! What is signed is always a context of the thing's own, a zero byte, and the bytes: so no signature
//! made for one purpose is good for another. Contexts are fixed ASCII texts; none has a zero byte in it,
//! so none with its zero byte is the beginning of another.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Something signed, as it travels: `PREFIX` base64url(payload) `.` base64url(signature), one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// The very bytes that were signed; never made again from what was read out of them.
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: [u8; 64],
}

impl Envelope {
    pub(crate) fn to_text(&self, prefix: &str) -> String {
        let mut text = String::from(prefix);
        URL_SAFE_NO_PAD.encode_string(&self.payload, &mut text);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(self.signature, &mut text);
        text
    }

    /// `None` for anything else, and for texts longer than `max_text` bytes.
    pub(crate) fn from_text(prefix: &str, text: &str, max_text: usize) -> Option<Self> {
        let text = text.trim();
        if text.len() > max_text {
            return None;
        }
        let (payload, signature) = text.strip_prefix(prefix)?.split_once('.')?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
        Some(Self { payload, signature })
    }
}

/// The bytes to sign for `payload` under `context`.
pub(crate) fn message(context: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(context.len() + 1 + payload.len());
    message.extend_from_slice(context.as_bytes());
    message.push(0);
    message.extend_from_slice(payload);
    message
}

/// The bytes to sign for several `parts` under `context`, each with its length (u32, big endian) before
/// it, so that no two lists of parts give the same bytes.
pub(crate) fn message_of_parts(context: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut message = message(context, &[]);
    for part in parts {
        let length = u32::try_from(part.len()).expect("parts are keys, hashes and short texts");
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(part);
    }
    message
}
