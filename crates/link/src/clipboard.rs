//! The clipboard streams, one each way: copied text for the other end. A later text replaces an
//! earlier one. The customer's gate decides which texts may pass at all.

use etatuki_protocol::{CodecError, LengthPrefixedDecoder, MAX_CLIPBOARD, Violation, append_frame};
use iroh::endpoint::RecvStream;

use crate::{
    error::LinkError,
    stream::{FrameReader, FrameWriter},
};

/// The sending end of a clipboard stream.
#[derive(Debug)]
pub struct ClipboardOut(FrameWriter);

impl ClipboardOut {
    pub(crate) const fn new(writer: FrameWriter) -> Self {
        Self(writer)
    }

    /// Sends a text. If this is dropped early, the text is either not sent, or sent whole before
    /// the next.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] above [`MAX_CLIPBOARD`]: the stream stays usable. Else the link is
    /// down.
    pub async fn send(&mut self, text: &str) -> Result<(), LinkError> {
        if text.len() > MAX_CLIPBOARD {
            return Err(CodecError::TooLarge {
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

/// The receiving end of a clipboard stream.
#[derive(Debug)]
pub struct ClipboardIn(FrameReader<LengthPrefixedDecoder>);

impl ClipboardIn {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self(FrameReader::new(
            stream,
            LengthPrefixedDecoder::new(MAX_CLIPBOARD),
        ))
    }

    /// Returns the next text, or `None` once the other end has finished. Cancel safe.
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
