//! The server's side of the handshake: versions 3.3, 3.7 and 3.8, security None or VNC authentication.

use super::ServerInit;
use crate::ProtocolError;

/// How a server lets clients in.
pub enum Security {
    /// Nobody is asked.
    None,
    /// VNC authentication (RFC 6143 section 7.2.2) with a one-time password.
    VncAuth {
        /// The first 8 bytes count.
        password: String,
        /// 16 fresh random bytes.
        challenge: [u8; 16],
    },
}

/// Lets one client in.
pub struct ServerHandshake {}

impl ServerHandshake {
    /// A server whose greeting is ready in [`output`](Self::output).
    #[must_use]
    pub fn new(init: ServerInit, security: Security) -> Self {
        let _ = (init, security);
        Self {}
    }

    /// More bytes from the client.
    pub fn push(&mut self, bytes: &[u8]) {
        todo!("{}", bytes.len())
    }

    /// Goes on as far as the bytes reach; `Some(shared)` when it is done. Take [`output`](Self::output)
    /// after every call, also after an error (it may hold the reason for the client).
    ///
    /// # Errors
    /// The client broke the protocol, or its password was wrong.
    pub fn step(&mut self) -> Result<Option<bool>, ProtocolError> {
        todo!()
    }

    /// Bytes to send to the client now.
    pub fn output(&mut self) -> Vec<u8> {
        todo!()
    }

    /// Bytes that came after the handshake: the first ones for [`ClientParser`](crate::ClientParser).
    #[must_use]
    pub fn into_rest(self) -> Vec<u8> {
        todo!()
    }
}
