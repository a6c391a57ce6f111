//! The connection under a link: how much it has carried, which way it goes, and its end.

use etatuki_protocol::Violation;
use iroh::{
    Endpoint,
    endpoint::{Connection, ConnectionError, VarInt},
};
use serde::Serialize;

use crate::{
    error::{DialError, LinkError, reason_text},
    stats::LinkStats,
};

/// Why an end closes a connection, besides the stable name that goes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseCode {
    /// The session is over.
    Ended = 0,
    /// The agent isn't let in.
    Refused = 1,
    /// The two ends don't know the same code.
    WrongCode = 2,
    /// The other end broke the protocol or a time limit.
    Violation = 3,
}

/// Which way the link's bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    /// Straight from machine to machine.
    Direct,
    /// Through the session's relay, which can't read it.
    Relayed,
    /// Not settled yet, or the link is down.
    Unknown,
}

/// A handle on the connection under a link; clones are the same connection. It stays open as long as a
/// handle or a stream of it lives.
#[derive(Clone, Debug)]
pub struct LinkConnection {
    connection: Connection,
    /// Nothing is sent once the last handle on the endpoint is gone.
    _endpoint: Endpoint,
}

impl LinkConnection {
    pub(crate) const fn new(connection: Connection, endpoint: Endpoint) -> Self {
        Self {
            connection,
            _endpoint: endpoint,
        }
    }

    /// What the link has carried until now.
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        let stats = self.connection.stats();
        LinkStats {
            sent: stats.udp_tx.bytes,
            received: stats.udp_rx.bytes,
        }
    }

    /// Which way the link goes now; it may change at any time.
    #[must_use]
    pub fn path_kind(&self) -> PathKind {
        match self
            .connection
            .paths()
            .iter()
            .find(|path| path.is_selected())
        {
            Some(path) if path.is_relay() => PathKind::Relayed,
            Some(_) => PathKind::Direct,
            None => PathKind::Unknown,
        }
    }

    /// The round trip time of the way that the link goes now, if it is settled.
    #[must_use]
    pub fn round_trip(&self) -> Option<std::time::Duration> {
        self.connection
            .paths()
            .iter()
            .find(|path| path.is_selected())
            .map(|path| path.rtt())
    }

    /// Closes the link at once; what is still on its way may be lost, but `reason` (a stable name, at
    /// most 200 characters) reaches the other end as [`LinkError::Ended`].
    pub fn close(&self, reason: &str) {
        close(&self.connection, CloseCode::Ended, reason);
    }

    /// Waits for the end of the link, by whichever side or cause: [`LinkError::Ended`],
    /// [`LinkError::Closed`] or [`LinkError::Lost`]. An other end that just vanishes is noticed after
    /// eight seconds.
    pub async fn closed(&self) -> LinkError {
        self.connection.closed().await.into()
    }
}

/// Closes with a code and a stable name.
pub(crate) fn close(connection: &Connection, code: CloseCode, name: &str) {
    connection.close(VarInt::from_u32(code as u32), name.as_bytes());
}

/// Closes because of what went wrong here, and names it if the other end did it.
pub(crate) fn close_for(connection: &Connection, error: &LinkError) {
    match error {
        LinkError::Violation(violation) => {
            close(connection, CloseCode::Violation, violation.name());
        }
        _ => close(connection, CloseCode::Ended, error.name()),
    }
}

/// What an error during the handshake means to the agent. How the customer closed says more than the
/// read or write that failed by it.
pub(crate) fn dial_error(connection: &Connection, error: LinkError) -> DialError {
    match connection.close_reason() {
        Some(ConnectionError::ApplicationClosed(close)) => {
            let name = reason_text(&close.reason);
            match u64::from(close.error_code) {
                code if code == CloseCode::Refused as u64 => DialError::Refused(stable_name(name)),
                code if code == CloseCode::WrongCode as u64 => DialError::WrongCode,
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

/// A name that comes from outside is one of ours in form, or it is just `refused`.
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
