//! The client's side of the handshake: versions 3.3, 3.7 and 3.8, security None.

use super::ServerInit;
use crate::{Limits, ProtocolError};

/// Opens a connection to a server.
#[derive(Debug)]
pub struct ClientHandshake {
    limits: Limits,
}

impl ClientHandshake {
    /// A client that waits for the server's greeting; it asks for a shared session.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// More bytes from the server.
    pub fn push(&mut self, bytes: &[u8]) {
        todo!("{} {:?}", bytes.len(), self.limits)
    }

    /// Goes on as far as the bytes reach; `Some` when it is done. Take [`output`](Self::output) after every call.
    ///
    /// # Errors
    /// The server broke the protocol or refused.
    pub fn step(&mut self) -> Result<Option<ServerInit>, ProtocolError> {
        todo!()
    }

    /// Bytes to send to the server now.
    pub fn output(&mut self) -> Vec<u8> {
        todo!()
    }

    /// Bytes that came after the handshake: the first ones for [`ServerParser`](crate::ServerParser).
    #[must_use]
    pub fn into_rest(self) -> Vec<u8> {
        todo!()
    }
}
