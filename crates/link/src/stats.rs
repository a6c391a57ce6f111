//! Traffic of a link.

use serde::Serialize;

/// Bytes of a connection's QUIC datagrams so far, over all paths: with QUIC's overhead and the
/// handshake, without the headers of IP, UDP and a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkStats {
    /// Bytes sent by this end.
    pub sent: u64,
    /// Bytes received by this end.
    pub received: u64,
}

impl std::ops::Add for LinkStats {
    type Output = Self;

    /// Adds the traffic of two connections of one link.
    fn add(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            received: self.received + other.received,
        }
    }
}
