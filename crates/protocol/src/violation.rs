//! The rules of the protocol that the other end can break.

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
