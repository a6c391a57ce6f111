//! The input stream: requests, keys and pointer of the agent's viewer, as plain RFB client
//! messages. This crate doesn't know the messages' boundaries; the customer's gate parses them.

use iroh::endpoint::RecvStream;

use crate::{error::LinkError, stream::FrameWriter};

/// The most bytes that [`InputIn::recv`] returns at once.
const READ_CHUNK: usize = 16 << 10;

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
                out.extend_from_slice(bytes);
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
pub struct InputIn(RecvStream);

impl InputIn {
    pub(crate) const fn new(stream: RecvStream) -> Self {
        Self(stream)
    }

    /// Returns the next bytes, at least one and at most 16 KiB, or `None` once the agent has
    /// finished. Cancel safe.
    ///
    /// # Errors
    /// The link is down.
    pub async fn recv(&mut self) -> Result<Option<Vec<u8>>, LinkError> {
        Ok(self.0.read_chunk(READ_CHUNK).await?.map(Vec::from))
    }
}
