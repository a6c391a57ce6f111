//! The input stream: requests, keys and pointer of the agent's viewer, as plain RFB client
//! messages, and the places of clipboard texts among them. This crate doesn't know the RFB messages'
//! boundaries; the customer's gate parses them.

use etatuki_protocol::{InputMessage, LengthPrefixedDecoder, MAX_INPUT_FRAME};
use iroh::endpoint::RecvStream;

use crate::{
    error::LinkError,
    stream::{FrameReader, FrameWriter},
};

/// The agent's end of the input stream.
#[derive(Debug)]
pub struct InputOut(FrameWriter);

impl InputOut {
    pub(crate) const fn new(writer: FrameWriter) -> Self {
        Self(writer)
    }

    /// Sends bytes of RFB client messages, whole messages or not. They leave at once. If this is
    /// dropped early, either none of `bytes` are sent, or all of them before the next.
    ///
    /// # Errors
    /// The link is down, or the customer reads no more input.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.0
            .send(|out| {
                InputMessage::append_rfb(out, bytes);
                Ok(())
            })
            .await
    }

    /// Marks the place of the clipboard text with this number: what follows waits for the text.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn mark_clipboard(&mut self, number: u32) -> Result<(), LinkError> {
        self.0
            .send(|out| {
                InputMessage::append_clipboard_mark(out, number);
                Ok(())
            })
            .await
    }

    /// Ends the stream: no more input will come.
    ///
    /// # Errors
    /// The link is down.
    pub async fn finish(&mut self) -> Result<(), LinkError> {
        self.0.finish().await
    }
}

/// The customer's end of the input stream.
#[derive(Debug)]
pub struct InputIn(FrameReader<LengthPrefixedDecoder>);

impl InputIn {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self(FrameReader::new(
            stream,
            LengthPrefixedDecoder::new(MAX_INPUT_FRAME),
        ))
    }

    /// Returns the next message, or `None` once the agent has finished. Cancel safe.
    ///
    /// # Errors
    /// The link is down, or the agent broke the protocol.
    pub async fn recv(&mut self) -> Result<Option<InputMessage>, LinkError> {
        match self.0.recv().await? {
            Some(body) => Ok(Some(InputMessage::parse(body)?)),
            None => Ok(None),
        }
    }
}
