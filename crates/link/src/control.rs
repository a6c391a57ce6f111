//! The control stream: messages in both directions, as JSON in frames.

use std::marker::PhantomData;

use etatuki_protocol::{
    LengthPrefixedDecoder, MAX_CONTROL, append_frame, encode_control, parse_control,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::LinkError,
    stream::{FrameReader, FrameWriter},
};

/// The sending end of a control stream, for messages of type `M`.
#[derive(Debug)]
pub struct ControlOut<M> {
    writer: FrameWriter,
    messages: PhantomData<fn(M)>,
}

impl<M: Serialize> ControlOut<M> {
    pub(crate) const fn new(writer: FrameWriter) -> Self {
        Self {
            writer,
            messages: PhantomData,
        }
    }

    /// Sends a message; it overtakes any picture. If this is dropped early, the message is either
    /// not sent, or sent whole before the next.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`](etatuki_protocol::CodecError::TooLarge) above [`MAX_CONTROL`]:
    /// the stream stays usable. Else the link is down.
    pub async fn send(&mut self, message: &M) -> Result<(), LinkError> {
        let json = encode_control(message)?;
        self.writer
            .send(|out| {
                append_frame(out, &json);
                Ok(())
            })
            .await
    }

    /// Ends the stream: no more messages will come.
    ///
    /// # Errors
    /// The link is down.
    pub async fn finish(&mut self) -> Result<(), LinkError> {
        self.writer.finish().await
    }
}

/// The receiving end of a control stream, for messages of type `M`.
#[derive(Debug)]
pub struct ControlIn<M> {
    reader: FrameReader<LengthPrefixedDecoder>,
    messages: PhantomData<fn() -> M>,
}

impl<M: DeserializeOwned> ControlIn<M> {
    /// Continues the stream of the handshake.
    pub(crate) fn after(handshake: FrameReader<LengthPrefixedDecoder>) -> Self {
        Self {
            reader: handshake.with_decoder(LengthPrefixedDecoder::new(MAX_CONTROL)),
            messages: PhantomData,
        }
    }

    /// Returns the next message, or `None` once the other end has finished. Cancel safe.
    ///
    /// # Errors
    /// The link is down, or the other end broke the protocol.
    pub async fn recv(&mut self) -> Result<Option<M>, LinkError> {
        let Some(json) = self.reader.recv().await? else {
            return Ok(None);
        };
        parse_control(&json).map(Some).map_err(LinkError::from)
    }
}
