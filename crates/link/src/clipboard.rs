//! The clipboard streams, one each way: copied text for the other end. A later text replaces an
//! earlier one. The customer's gate decides which texts may pass at all.

use etatuki_protocol::{
    ClipboardText, CodecError, LengthPrefixedDecoder, MAX_CLIPBOARD, MAX_CLIPBOARD_FRAME,
};
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

    /// Sends a text that has no mark in an input stream. If this is dropped early, the text is
    /// either not sent, or sent whole before the next.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] above [`MAX_CLIPBOARD`]: the stream stays usable. Else the link is
    /// down.
    pub async fn send(&mut self, text: &str) -> Result<(), LinkError> {
        self.send_numbered(0, text).await
    }

    /// Sends the text whose mark in the input stream has this number.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn send_numbered(&mut self, number: u32, text: &str) -> Result<(), LinkError> {
        if text.len() > MAX_CLIPBOARD {
            return Err(CodecError::TooLarge {
                length: text.len(),
                limit: MAX_CLIPBOARD,
            }
            .into());
        }
        self.0
            .send(|out| {
                ClipboardText::append_to(out, number, text);
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
            LengthPrefixedDecoder::new(MAX_CLIPBOARD_FRAME),
        ))
    }

    /// Returns the next text, or `None` once the other end has finished. Cancel safe.
    ///
    /// # Errors
    /// The link is down, or the other end broke the protocol.
    pub async fn recv(&mut self) -> Result<Option<ClipboardText>, LinkError> {
        match self.0.recv().await? {
            Some(body) => Ok(Some(ClipboardText::parse(body)?)),
            None => Ok(None),
        }
    }

    /// Returns the bytes of an incomplete text that have arrived.
    #[must_use]
    pub const fn received(&self) -> usize {
        self.0.decoder().received()
    }
}
