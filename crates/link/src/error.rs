//! What can go wrong on a link, and who is at fault.

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
    /// The caller wants to send more than one message may hold.
    #[error("a message of {length} bytes was given to a stream that takes {limit}")]
    TooLarge {
        /// The message's bytes.
        length: usize,
        /// What the stream takes.
        limit: usize,
    },
    /// Our own compressor failed; only a lack of memory does that.
    #[error("the picture can't be compressed on this machine")]
    Compressor,
}

impl LinkError {
    /// The stable name of this error, for logs and JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Bind(_) | Self::Relay | Self::Address => "link-failed",
            Self::Compressor | Self::TooLarge { .. } => "internal",
            Self::Lost => "link-lost",
            Self::Ended(_) | Self::Closed | Self::Stopped => "link-ended",
            Self::Violation(_) => "peer-misbehaved",
        }
    }
}

/// A rule of the protocol that the other end broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A message's length is beyond the stream's bound.
    #[error("a message is too long")]
    TooLong,
    /// A stream ended in the middle of a message.
    #[error("a stream ended inside a message")]
    Truncated,
    /// A control message that we don't know, or that isn't JSON of its shape.
    #[error("a message is not one of those that exist")]
    UnknownMessage,
    /// Clipboard text that isn't UTF-8.
    #[error("text is not UTF-8")]
    NotText,
    /// A stream of a kind that has no place here, or a second one of its kind.
    #[error("a stream of the wrong kind")]
    WrongStream,
    /// A handshake message that isn't the one whose turn it is, or not of its shape.
    #[error("a handshake message is out of turn")]
    OutOfTurn,
    /// A phase of the handshake took longer than it may.
    #[error("a handshake phase took too long")]
    TooSlow,
    /// A picture block whose header makes no sense.
    #[error("a picture block has an impossible header")]
    BlockHeader,
    /// A picture block that isn't padded with zeros.
    #[error("a picture block is wrongly padded")]
    BlockPadding,
    /// A picture block that doesn't decompress, or to another length than it said.
    #[error("a picture block doesn't hold what it says")]
    BlockContent,
}

impl Violation {
    /// The stable name, which also goes to the other end when we close because of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLong => "too-long",
            Self::Truncated => "truncated",
            Self::UnknownMessage => "unknown-message",
            Self::NotText => "not-text",
            Self::WrongStream => "wrong-stream",
            Self::OutOfTurn => "out-of-turn",
            Self::TooSlow => "too-slow",
            Self::BlockHeader => "block-header",
            Self::BlockPadding => "block-padding",
            Self::BlockContent => "block-content",
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
