//! The picture stream: RFB server messages from the customer to the agent, compressed and padded as
//! blocks ([`BlockEncoder`]).

use etatuki_protocol::{BlockDecoder, BlockEncoder, CodecError};

use crate::{
    error::LinkError,
    stream::{FrameReader, FrameWriter},
};

/// The customer's end of the picture stream.
#[derive(Debug)]
pub struct PictureOut {
    writer: FrameWriter,
    encoder: BlockEncoder,
}

impl PictureOut {
    pub(crate) const fn new(writer: FrameWriter, encoder: BlockEncoder) -> Self {
        Self { writer, encoder }
    }

    /// Compresses RFB server messages, whole or not, and sends them as one block. Returns the
    /// block's length on the wire once QUIC has taken all of it; about 768 KiB may be in flight,
    /// beyond that this waits. Compression runs here and takes a few milliseconds for a whole
    /// screen.
    ///
    /// If this is dropped early, the block is either not made, or sent whole before the next.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] above [`MAX_PICTURE`](etatuki_protocol::MAX_PICTURE): the stream
    /// stays usable. Else the link is down.
    pub async fn send(&mut self, messages: &[u8]) -> Result<usize, LinkError> {
        self.send_block(|encoder, out| encoder.encode(messages, out))
            .await
    }

    /// Sends RFB server messages as one block without compressing them, as [`send`](Self::send)
    /// does otherwise. For messages that are little more than JPEG files.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_stored(&mut self, messages: &[u8]) -> Result<usize, LinkError> {
        self.send_block(|encoder, out| encoder.encode_stored(messages, out))
            .await
    }

    async fn send_block(
        &mut self,
        encode: impl FnOnce(&mut BlockEncoder, &mut Vec<u8>) -> Result<(), CodecError>,
    ) -> Result<usize, LinkError> {
        let encoder = &mut self.encoder;
        let mut length = 0;
        let fill = |out: &mut Vec<u8>| {
            encode(encoder, out)?;
            length = out.len();
            Ok(())
        };
        self.writer.send(fill).await?;
        Ok(length)
    }

    /// Ends the stream: no more picture will come.
    ///
    /// # Errors
    /// The link is down.
    pub async fn finish(&mut self) -> Result<(), LinkError> {
        self.writer.finish().await
    }
}

/// The agent's end of the picture stream.
#[derive(Debug)]
pub struct PictureIn(FrameReader<BlockDecoder>);

impl PictureIn {
    pub(crate) const fn new(reader: FrameReader<BlockDecoder>) -> Self {
        Self(reader)
    }

    /// Returns the plain bytes of the next block, exactly as they were sent and at most
    /// [`MAX_PICTURE`](etatuki_protocol::MAX_PICTURE), or `None` once the customer has finished.
    /// Cancel safe.
    ///
    /// # Errors
    /// The link is down, or the other end broke the protocol; nothing more comes then.
    pub async fn recv(&mut self) -> Result<Option<Vec<u8>>, LinkError> {
        self.0.recv().await
    }
}
