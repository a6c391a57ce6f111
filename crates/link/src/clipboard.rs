//! The clipboard streams: text that was copied at one end, for the other. What is copied later replaces
//! what was copied before; what may pass at all is the customer's gate's to say.

use etatuki_protocol::{
    EncodeError, LengthPrefixedDecoder, MAX_CLIPBOARD, Violation, append_frame,
};

use crate::{
    error::LinkError,
    stream::{Inlet, Outlet},
};

/// The sending end.
#[derive(Debug)]
pub struct ClipboardOut(Outlet);

impl ClipboardOut {
    pub(crate) const fn new(outlet: Outlet) -> Self {
        Self(outlet)
    }

    /// Sends a text. If this is dropped before it is done, the text is either not sent or sent whole,
    /// before the next.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`] above [`MAX_CLIPBOARD`], and the stream goes on; or the link is down.
    pub async fn send(&mut self, text: &str) -> Result<(), LinkError> {
        if text.len() > MAX_CLIPBOARD {
            return Err(EncodeError::TooLarge {
                length: text.len(),
                limit: MAX_CLIPBOARD,
            }
            .into());
        }
        self.0
            .send(|out| {
                append_frame(out, text.as_bytes());
                Ok(())
            })
            .await
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct ClipboardIn(Inlet<LengthPrefixedDecoder>);

impl ClipboardIn {
    pub(crate) fn new(stream: iroh::endpoint::RecvStream) -> Self {
        Self(Inlet::new(
            stream,
            LengthPrefixedDecoder::new(MAX_CLIPBOARD),
        ))
    }

    /// The next text; `None` once the other end has finished. Cancel safe.
    ///
    /// # Errors
    /// The link is down, or the other end broke the protocol.
    pub async fn recv(&mut self) -> Result<Option<String>, LinkError> {
        let Some(bytes) = self.0.recv().await? else {
            return Ok(None);
        };
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| Violation::NotText.into())
    }
}
