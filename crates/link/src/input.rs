//! The input stream: what the agent's viewer asks and types, as plain RFB client messages. This crate
//! doesn't know where one ends; the customer's gate parses them.

use iroh::endpoint::RecvStream;

use crate::{error::LinkError, stream::Outlet};

/// The most that [`InputIn::recv`] returns at once.
const PIECE: usize = 16 << 10;

/// The agent's end.
#[derive(Debug)]
pub struct InputOut(Outlet);

impl InputOut {
    pub(crate) const fn new(outlet: Outlet) -> Self {
        Self(outlet)
    }

    /// Sends RFB client bytes, whole messages or not. They leave at once. If this is dropped before it is
    /// done, either none of `bytes` is sent or all of them are, before what comes next.
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

/// The customer's end.
#[derive(Debug)]
pub struct InputIn(RecvStream);

impl InputIn {
    pub(crate) const fn new(stream: RecvStream) -> Self {
        Self(stream)
    }

    /// The next bytes, at least one and at most 16 KiB; `None` once the agent has finished. Cancel safe.
    ///
    /// # Errors
    /// The link is down.
    pub async fn recv(&mut self) -> Result<Option<Vec<u8>>, LinkError> {
        Ok(self.0.read_chunk(PIECE).await?.map(Vec::from))
    }
}
