//! The connection under a link: its traffic, its path and its end.

use std::time::Duration;

use etatuki_protocol::Violation;
use iroh::{
    Endpoint,
    endpoint::{Connection, ConnectionError, VarInt},
};
use serde::Serialize;

use crate::{
    close_code::CloseCode,
    error::{DialError, LinkError, sanitize_reason},
    stats::LinkStats,
};

/// The kind of a link's network path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    /// Straight from machine to machine.
    Direct,
    /// Through the session's relay, which can't read the bytes.
    Relayed,
    /// Not known yet, or the link is down.
    Unknown,
}

/// A handle on the connection under a link; clones share the connection. The connection stays open
/// as long as one of its handles or streams lives.
#[derive(Clone, Debug)]
pub struct LinkConnection {
    connection: Connection,
    /// Kept because nothing is sent once the last handle on the endpoint is gone.
    endpoint: Endpoint,
}

impl LinkConnection {
    pub(crate) const fn new(connection: Connection, endpoint: Endpoint) -> Self {
        Self {
            connection,
            endpoint,
        }
    }

    /// Returns the endpoint that has this connection.
    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the traffic so far.
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        let stats = self.connection.stats();
        LinkStats {
            sent: stats.udp_tx.bytes,
            received: stats.udp_rx.bytes,
        }
    }

    /// Returns the kind of the current path, which may change at any time.
    #[must_use]
    pub fn path_kind(&self) -> PathKind {
        path_kind(&self.connection)
    }

    /// Returns the round-trip time of the current path, if known.
    #[must_use]
    pub fn round_trip_time(&self) -> Option<Duration> {
        round_trip_time(&self.connection)
    }

    /// Closes the link at once. Bytes in flight may be lost, but `reason` (a stable name of at most
    /// 200 characters) reaches the other end as [`LinkError::Ended`].
    pub fn close(&self, reason: &str) {
        close(&self.connection, CloseCode::Ended, reason);
    }

    /// Closes this connection of an interrupted link, so that the other end, if it hears that,
    /// begins to resume at once: it gets [`LinkError::Interrupted`].
    pub fn interrupt(&self) {
        close(&self.connection, CloseCode::Interrupted, "interrupted");
    }

    /// Returns the number of QUIC STREAM frames (RFC 9000, section 19.8) received so far. It rises
    /// whenever something of any stream arrives, a part of a long message too.
    #[must_use]
    pub fn stream_frames_received(&self) -> u64 {
        self.connection.stats().frame_rx.stream
    }

    /// Waits for the end of the link and returns its cause: [`LinkError::Ended`],
    /// [`LinkError::Interrupted`], [`LinkError::Closed`] or [`LinkError::Lost`]. A vanished peer is
    /// noticed only after half a minute or more: [`PeerClock`](etatuki_protocol::PeerClock) is for that.
    pub async fn closed(&self) -> LinkError {
        self.connection.closed().await.into()
    }
}

/// Returns the kind of a connection's current path.
pub(crate) fn path_kind(connection: &Connection) -> PathKind {
    let paths = connection.paths();
    match paths.iter().find(|path| path.is_selected()) {
        Some(path) if path.is_relay() => PathKind::Relayed,
        Some(_) => PathKind::Direct,
        None => PathKind::Unknown,
    }
}

/// Returns the round-trip time of a connection's current path, if known.
pub(crate) fn round_trip_time(connection: &Connection) -> Option<Duration> {
    let paths = connection.paths();
    let selected = paths.iter().find(|path| path.is_selected())?;
    Some(selected.rtt())
}

/// Closes a connection with a code and a stable name.
pub(crate) fn close(connection: &Connection, code: CloseCode, name: &str) {
    connection.close(VarInt::from_u32(code as u32), name.as_bytes());
}

/// Closes a connection because of `error`; names the violation if it is the other end's fault.
pub(crate) fn close_with_error(connection: &Connection, error: &LinkError) {
    match error {
        LinkError::Violation(violation) => {
            close(connection, CloseCode::Violation, violation.name());
        }
        _ => close(connection, CloseCode::Ended, error.name()),
    }
}

/// Converts an error of the handshake for the agent. The customer's close code and name say more
/// than the read or write that failed because of the close.
pub(crate) fn dial_error(connection: &Connection, error: LinkError) -> DialError {
    match connection.close_reason() {
        Some(ConnectionError::ApplicationClosed(close)) => {
            let name = sanitize_reason(&close.reason);
            match u64::from(close.error_code) {
                code if code == CloseCode::Refused as u64 => DialError::Refused(stable_name(name)),
                code if code == CloseCode::WrongCode as u64 => DialError::WrongCode,
                code if code == CloseCode::Interrupted as u64 => {
                    DialError::Protocol(LinkError::Interrupted)
                }
                _ if name == Violation::TooSlow.name() => DialError::Timeout,
                _ => DialError::Protocol(LinkError::Ended(name)),
            }
        }
        Some(ConnectionError::TimedOut) => DialError::Timeout,
        _ => match error {
            LinkError::Violation(Violation::TooSlow) => DialError::Timeout,
            error => DialError::Protocol(error),
        },
    }
}

/// Returns `name` if it has the form of our stable names, else `refused`.
fn stable_name(name: String) -> String {
    let plain = |character: char| character.is_ascii_lowercase() || character == '-';
    if (1..=40).contains(&name.len()) && name.chars().all(plain) {
        name
    } else {
        "refused".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_outside_has_our_form() {
        assert_eq!(stable_name("bad-proof".into()), "bad-proof");
        assert_eq!(stable_name("Call 0900".into()), "refused");
        assert_eq!(stable_name(String::new()), "refused");
    }
}
