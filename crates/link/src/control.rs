//! The control stream: messages in both directions, as JSON in frames.

use std::marker::PhantomData;

use etatuki_protocol::{
    LengthPrefixedDecoder, MAX_CONTROL, append_frame, encode_control, parse_control,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::LinkError,
    stream::{Inlet, Outlet},
};

/// The end of a control stream that sends `M`.
#[derive(Debug)]
pub struct ControlOut<M> {
    outlet: Outlet,
    messages: PhantomData<fn(M)>,
}

impl<M: Serialize> ControlOut<M> {
    pub(crate) const fn new(outlet: Outlet) -> Self {
        Self {
            outlet,
            messages: PhantomData,
        }
    }

    /// Sends a message; it overtakes any picture. If this is dropped before it is done, the message is
    /// either not sent or sent whole, before the next.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`] above [`MAX_CONTROL`], and the stream goes on; or the link is down.
    pub async fn send(&mut self, message: &M) -> Result<(), LinkError> {
        let json = encode_control(message)?;
        self.outlet
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
        self.outlet.finish().await
    }
}

/// The end of a control stream that receives `M`.
#[derive(Debug)]
pub struct ControlIn<M> {
    inlet: Inlet<LengthPrefixedDecoder>,
    messages: PhantomData<fn() -> M>,
}

impl<M: DeserializeOwned> ControlIn<M> {
    /// Goes on where the handshake has stopped reading.
    pub(crate) fn after(handshake: Inlet<LengthPrefixedDecoder>) -> Self {
        Self {
            inlet: handshake.then(LengthPrefixedDecoder::new(MAX_CONTROL)),
            messages: PhantomData,
        }
    }

    /// The next message; `None` once the other end has finished. Cancel safe.
    ///
    /// # Errors
    /// The link is down, or the other end broke the protocol.
    pub async fn recv(&mut self) -> Result<Option<M>, LinkError> {
        let Some(json) = self.inlet.recv().await? else {
            return Ok(None);
        };
        parse_control(&json).map(Some).map_err(LinkError::from)
    }
}
