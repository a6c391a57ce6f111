//! Signing and transport of everything that this crate signs.
//!
//! Signatures are domain separated: the signed bytes are always a context, a zero byte, and the
//! payload, so that no signature made for one purpose is valid for another. Contexts are fixed
//! ASCII texts without zero bytes, so no context with its zero byte is the beginning of another.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// A signed payload. Its text is one line: `PREFIX` base64url(payload) `.` base64url(signature).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// The signed bytes themselves; never encoded again from their parsed form.
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

    /// Parses a text of at most `max_text` bytes; `None` for anything else.
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

/// Returns the bytes to sign for `payload` under `context`.
pub(crate) fn signing_input(context: &str, payload: &[u8]) -> Vec<u8> {
    let mut input = Vec::with_capacity(context.len() + 1 + payload.len());
    input.extend_from_slice(context.as_bytes());
    input.push(0);
    input.extend_from_slice(payload);
    input
}

/// Returns the bytes to sign for several `parts` under `context`. Each part follows its length
/// (u32, big endian), so that no two lists of parts give the same bytes.
pub(crate) fn signing_input_of_parts(context: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut input = signing_input(context, &[]);
    for part in parts {
        let length = u32::try_from(part.len()).expect("parts are keys, hashes and short texts");
        input.extend_from_slice(&length.to_be_bytes());
        input.extend_from_slice(part);
    }
    input
}
