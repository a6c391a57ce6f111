//! The picture stream: RFB server messages from the customer to the agent, compressed and padded.
//! See [`BlockEncoder`] for the form of the bytes.

use etatuki_protocol::{BlockDecoder, BlockEncoder, EncodeError};

use crate::{
    error::LinkError,
    stream::{Inlet, Outlet},
};

/// The customer's end.
#[derive(Debug)]
pub struct PictureOut {
    outlet: Outlet,
    encoder: BlockEncoder,
}

impl PictureOut {
    pub(crate) const fn new(outlet: Outlet, encoder: BlockEncoder) -> Self {
        Self { outlet, encoder }
    }

    /// Compresses and sends RFB server messages, whole or not, as one block, and returns its length on the line when QUIC
    /// has taken the last of it: about 768 KiB may be on their way, beyond that this waits. Compressing happens here,
    /// a few milliseconds for a whole screen.
    ///
    /// If this is dropped before it is done, the block is either not made or sent whole, before the next.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`] above [`MAX_PICTURE`](etatuki_protocol::MAX_PICTURE), and the stream goes on; or the link is down.
    pub async fn send(&mut self, messages: &[u8]) -> Result<usize, LinkError> {
        self.append(|encoder, out| encoder.encode(messages, out))
            .await
    }

    /// As [`send`](Self::send), for messages that are hardly more than JPEG files: they aren't compressed again.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_packed(&mut self, messages: &[u8]) -> Result<usize, LinkError> {
        self.append(|encoder, out| encoder.encode_stored(messages, out))
            .await
    }

    async fn append(
        &mut self,
        encode: impl FnOnce(&mut BlockEncoder, &mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<usize, LinkError> {
        let encoder = &mut self.encoder;
        let mut length = 0;
        let fill = |out: &mut Vec<u8>| {
            encode(encoder, out)?;
            length = out.len();
            Ok(())
        };
        self.outlet.send(fill).await?;
        Ok(length)
    }

    /// Ends the stream: no more picture will come.
    ///
    /// # Errors
    /// The link is down.
    pub async fn finish(&mut self) -> Result<(), LinkError> {
        self.outlet.finish().await
    }
}

/// The agent's end.
#[derive(Debug)]
pub struct PictureIn(Inlet<BlockDecoder>);

impl PictureIn {
    pub(crate) const fn new(inlet: Inlet<BlockDecoder>) -> Self {
        Self(inlet)
    }

    /// The next block's part of the RFB server messages, exactly as they were sent, at most [`MAX_PICTURE`](etatuki_protocol::MAX_PICTURE) bytes;
    /// `None` once the customer has finished. Cancel safe.
    ///
    /// # Errors
    /// The link is down, or the other end broke the protocol; nothing more comes then.
    pub async fn recv(&mut self) -> Result<Option<Vec<u8>>, LinkError> {
        self.0.recv().await
    }
}
