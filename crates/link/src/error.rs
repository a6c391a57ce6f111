//! What can go wrong on a link, and who is at fault.

use etatuki_protocol::{EncodeError, Violation};
use iroh::endpoint::{ConnectionError, ReadError, WriteError};

/// Why something on the link failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// This machine gave us no socket.
    #[error("this machine can't open an endpoint: {0}")]
    Bind(String),
    /// The service handed out a relay whose address makes no sense.
    #[error("the service named a relay with an unusable address")]
    Relay,
    /// The service handed out an address of the customer that makes no sense.
    #[error("the service gave an unusable address")]
    Address,
    /// The other end answers no more; nobody said goodbye.
    #[error("the other end no longer answers")]
    Lost,
    /// The other end closed the link and said why: a stable name, or a sentence of at most 200
    /// characters.
    #[error("the other end closed the link: {0}")]
    Ended(String),
    /// This end closed the link.
    #[error("this end has closed the link")]
    Closed,
    /// The other end gave up this one stream.
    #[error("the other end gave up this stream")]
    Stopped,
    /// The other end sent something that the protocol doesn't allow.
    #[error("the other end broke the protocol: {0}")]
    Violation(#[from] Violation),
    /// The caller gave a stream something that can't be sent.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl LinkError {
    /// The stable name of this error, for logs and JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Bind(_) | Self::Relay | Self::Address => "link-failed",
            Self::Encode(_) => "internal",
            Self::Lost => "link-lost",
            Self::Ended(_) | Self::Closed | Self::Stopped => "link-ended",
            Self::Violation(_) => "peer-misbehaved",
        }
    }
}

/// Why the console reached no customer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Nobody answers at the customer's address.
    #[error("the customer's machine can't be reached")]
    Unreachable,
    /// It was reached, and then took too long to answer.
    #[error("the customer's machine answers too slowly")]
    Timeout,
    /// The code is not the one that the customer's machine shows. The customer's side has counted a
    /// guess.
    #[error("the code is wrong")]
    WrongCode,
    /// The customer's side doesn't let this agent in, and says why by a stable name: a card error's, say.
    #[error("the customer's machine refused the agent: {0}")]
    Refused(String),
    /// Anything else that ended the attempt.
    #[error("the handshake failed: {0}")]
    Protocol(#[source] LinkError),
}

impl DialError {
    /// The stable name of this error, for JSON. For [`Refused`](Self::Refused) the customer's own name
    /// of the reason is inside.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::WrongCode => "wrong-code",
            Self::Refused(_) => "refused",
            Self::Protocol(_) => "protocol",
        }
    }
}

/// What the other end says when it closes is text from outside: short, and nothing that moves a cursor.
const MAX_REASON: usize = 200;

/// A close reason as we believe it.
pub(crate) fn reason_text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MAX_REASON)]);
    text.chars()
        .filter(|character| !character.is_control())
        .take(MAX_REASON)
        .collect()
}

impl From<ConnectionError> for LinkError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close) => Self::Ended(reason_text(&close.reason)),
            ConnectionError::LocallyClosed => Self::Closed,
            _ => Self::Lost,
        }
    }
}

impl From<ReadError> for LinkError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::ConnectionLost(error) => error.into(),
            ReadError::Reset(_) | ReadError::ZeroRttRejected => Self::Stopped,
            ReadError::ClosedStream => Self::Closed,
        }
    }
}

impl From<WriteError> for LinkError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::ConnectionLost(error) => error.into(),
            WriteError::Stopped(_) | WriteError::ZeroRttRejected => Self::Stopped,
            WriteError::ClosedStream => Self::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_from_outside_is_short_and_plain() {
        assert_eq!(reason_text(b"expired"), "expired");
        assert_eq!(reason_text(b"\x1b[2Jgone\n"), "[2Jgone");
        assert_eq!(reason_text(&[0xff; 3]), "\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(
            reason_text("ä".repeat(900).as_bytes()).chars().count(),
            MAX_REASON
        );
    }
}
