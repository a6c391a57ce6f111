//! Errors: this end's own, and the violations of the other end.

/// An error of this end's own encoder or decoder; the other end has no part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The message is larger than its stream allows.
    #[error("a message of {length} bytes was given to a stream that takes {limit}")]
    TooLarge {
        /// The message's bytes.
        length: usize,
        /// The most bytes that the stream allows.
        limit: usize,
    },
    /// The compressor failed; only a lack of memory does that.
    #[error("the picture can't be compressed on this machine")]
    Compressor,
}

/// A violation of the protocol by the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A message longer than the stream's limit.
    #[error("a message is too long")]
    TooLong,
    /// A stream that ends in the middle of a message.
    #[error("a stream ended inside a message")]
    Truncated,
    /// A control message that doesn't exist, or isn't JSON of its shape.
    #[error("a message is not one of those that exist")]
    UnknownMessage,
    /// Clipboard text that isn't UTF-8.
    #[error("text is not UTF-8")]
    NotText,
    /// A stream of a kind that isn't expected here, or a second one of its kind.
    #[error("a stream of the wrong kind")]
    WrongStream,
    /// A handshake message other than the expected one, or not of its shape.
    #[error("a handshake message is out of turn")]
    OutOfTurn,
    /// A phase of the handshake that exceeds its time limit.
    #[error("a handshake phase took too long")]
    TooSlow,
    /// A picture block with an unknown kind or with lengths out of bounds.
    #[error("a picture block has an impossible header")]
    BlockHeader,
    /// A picture block that isn't padded with zeros.
    #[error("a picture block is wrongly padded")]
    BlockPadding,
    /// A picture block that doesn't decompress to exactly the length in its header.
    #[error("a picture block doesn't hold what it says")]
    BlockContent,
}

impl Violation {
    /// Returns the stable name. It is also the close reason that the other end gets.
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
