//! Errors of a link, by who is at fault.

use etatuki_protocol::{CodecError, Violation};
use iroh::endpoint::{ConnectionError, ReadError, WriteError};

use crate::close_code::CloseCode;

/// An error of an endpoint or a link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The operating system gave us no socket.
    #[error("this machine can't open an endpoint: {0}")]
    Bind(String),
    /// The service named a relay with a malformed URL.
    #[error("the service named a relay with an unusable address")]
    Relay,
    /// The service named a malformed or useless address of the customer.
    #[error("the service gave an unusable address")]
    Address,
    /// The other end no longer answers, without having closed the link.
    #[error("the other end no longer answers")]
    Lost,
    /// The other end heard nothing of this one any more and closed this connection; the link may be
    /// resumed.
    #[error("the other end no longer heard this one")]
    Interrupted,
    /// The other end closed the link, with this reason: a stable name, or a sentence of at most 200
    /// characters.
    #[error("the other end closed the link: {0}")]
    Ended(String),
    /// This end closed the link.
    #[error("this end has closed the link")]
    Closed,
    /// The other end reset or stopped this one stream.
    #[error("the other end gave up this stream")]
    Stopped,
    /// The other end broke the protocol.
    #[error("the other end broke the protocol: {0}")]
    Violation(#[from] Violation),
    /// The message can't be coded on this machine.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl LinkError {
    /// Returns the stable name of this error, for logs and JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Bind(_) | Self::Relay | Self::Address => "link-failed",
            Self::Codec(_) => "internal",
            Self::Lost => "link-lost",
            Self::Interrupted => "link-interrupted",
            Self::Ended(_) | Self::Closed | Self::Stopped => "link-ended",
            Self::Violation(_) => "peer-misbehaved",
        }
    }
}

/// The reason why a dial led to no link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// No answer at the customer's address.
    #[error("the customer's machine can't be reached")]
    Unreachable,
    /// The customer's machine was reached, and then took too long to answer.
    #[error("the customer's machine answers too slowly")]
    Timeout,
    /// The code isn't the one on the customer's screen. The customer's side has counted a guess.
    #[error("the code is wrong")]
    WrongCode,
    /// The customer's machine didn't prove that it has the interrupted link's key.
    #[error("the customer's machine doesn't have the link's key")]
    WrongKey,
    /// The customer's side refuses this agent, for the reason with this stable name, such as a card
    /// error's.
    #[error("the customer's machine refused the agent: {0}")]
    Refused(String),
    /// Any other error of the handshake.
    #[error("the handshake failed: {0}")]
    Protocol(#[source] LinkError),
}

impl DialError {
    /// Returns the stable name of this error, for JSON. The customer's reason is inside
    /// [`Refused`](Self::Refused).
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::WrongCode => "wrong-code",
            Self::WrongKey => "wrong-key",
            Self::Refused(_) => "refused",
            Self::Protocol(_) => "protocol",
        }
    }
}

/// The most characters of a close reason from the other end.
const MAX_REASON: usize = 200;

/// Returns a close reason as printable text: it comes from outside, so it is cut, and stripped of
/// control characters, which could move a terminal's cursor.
pub(crate) fn sanitize_reason(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MAX_REASON)]);
    text.chars()
        .filter(|character| !character.is_control())
        .take(MAX_REASON)
        .collect()
}

impl From<ConnectionError> for LinkError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close)
                if u64::from(close.error_code) == CloseCode::Interrupted as u64 =>
            {
                Self::Interrupted
            }
            ConnectionError::ApplicationClosed(close) => {
                Self::Ended(sanitize_reason(&close.reason))
            }
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
        assert_eq!(sanitize_reason(b"expired"), "expired");
        assert_eq!(sanitize_reason(b"\x1b[2Jgone\n"), "[2Jgone");
        assert_eq!(sanitize_reason(&[0xff; 3]), "\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(
            sanitize_reason("ä".repeat(900).as_bytes()).chars().count(),
            MAX_REASON
        );
    }
}
