//! What a link has carried.

use serde::Serialize;

/// Bytes of QUIC datagrams since the connection began, overhead and the handshake included; over all
/// paths, without what IP, UDP or a relay add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkStats {
    /// Bytes that this end has sent.
    pub sent: u64,
    /// Bytes that this end has received.
    pub received: u64,
}
