//! The clipboard between the link and one viewer: Extended Clipboard where the viewer announces it,
//! else RFB's cut text.
//!
//! ```text
//! customer's text ─▶ [offered] ─ Notify ─▶ viewer ─ Request ─▶ Provide ─▶ viewer
//!                              └ Provide, up to the size that the viewer takes without a request
//! viewer's text   ─▶ Provide, up to 1 MiB without a request;  Notify ─▶ Request ─▶ Provide
//! ```
//!
//! With or without control is decided by the caller: nothing is offered, asked for or taken without.

use etatuki_rfb::{
    ClipboardCaps, ClipboardMessage, Limits,
    encode::server::{cut_text, extended_clipboard},
    wire_text_len,
};

use crate::latin1;

/// The characters of a text that a viewer without Extended Clipboard can't be sent; it gets `?` in
/// their places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct LostCharacters(pub usize);

/// The clipboard of one viewer.
#[derive(Debug, Default)]
pub(crate) struct ViewerClipboard {
    /// The viewer's capabilities; `None` for one without Extended Clipboard.
    viewer: Option<ClipboardCaps>,
    /// The customer's text that the viewer may request.
    offered: Option<String>,
}

impl ViewerClipboard {
    /// Handles an announcement of Extended Clipboard: each wants an answer.
    pub(crate) fn on_announced(&mut self, out: &mut Vec<u8>) {
        self.viewer
            .get_or_insert(ClipboardCaps::default_of_clients());
        extended_clipboard(out, &ClipboardMessage::Caps(own_caps()));
    }

    /// Sends or offers a text of the customer's. An empty one says that the customer has copied
    /// something else, and nothing of it is there for the viewer.
    pub(crate) fn offer(&mut self, text: &str, out: &mut Vec<u8>) -> LostCharacters {
        let Some(viewer) = self.viewer else {
            if !text.is_empty() {
                cut_text(out, &latin1::encode(text));
            }
            return LostCharacters(latin1::missing(text));
        };
        self.offered = (!text.is_empty()).then(|| text.to_owned());
        let unasked = viewer.provide && wire_text_len(text) <= viewer.max_unasked_text as usize;
        match &self.offered {
            Some(text) if unasked => {
                extended_clipboard(out, &ClipboardMessage::Provide(Some(text.clone())));
            }
            _ => self.notify(out),
        }
        LostCharacters::default()
    }

    /// Takes an offer back: control is over.
    pub(crate) fn withdraw(&mut self, out: &mut Vec<u8>) {
        if self.offered.take().is_some() {
            self.notify(out);
        }
    }

    /// Handles a message of the viewer's. Returns a text for the customer.
    pub(crate) fn on_message(
        &mut self,
        message: ClipboardMessage,
        controls: bool,
        out: &mut Vec<u8>,
    ) -> Option<String> {
        let viewer = self.viewer.as_mut()?;
        match message {
            ClipboardMessage::Caps(caps) => *viewer = caps,
            ClipboardMessage::Request { text: true } => {
                let text = self.offered.clone();
                extended_clipboard(out, &ClipboardMessage::Provide(text));
            }
            ClipboardMessage::Peek => self.notify(out),
            ClipboardMessage::Notify { text: true } if controls && viewer.request => {
                extended_clipboard(out, &ClipboardMessage::Request { text: true });
            }
            ClipboardMessage::Provide(text) if controls => return text,
            ClipboardMessage::Request { .. }
            | ClipboardMessage::Notify { .. }
            | ClipboardMessage::Provide(_) => {}
        }
        None
    }

    /// Tells the viewer whether there is a text, if it wants to be told.
    fn notify(&self, out: &mut Vec<u8>) {
        if self.viewer.is_some_and(|viewer| viewer.notify) {
            let text = self.offered.is_some();
            extended_clipboard(out, &ClipboardMessage::Notify { text });
        }
    }
}

/// Returns the console's own capabilities. Texts may come without a request, so that they come
/// before the keys that paste them.
fn own_caps() -> ClipboardCaps {
    ClipboardCaps {
        max_unasked_text: Limits::default().max_wire_text() as u32,
        request: true,
        peek: true,
        notify: true,
        provide: true,
    }
}
