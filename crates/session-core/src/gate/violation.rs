//! Breaches of the rules by an agent's program.

use etatuki_rfb::{ErrorKind, ProtocolError};

/// A message that an agent's program must not send. It ends the session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A message type that the gate doesn't know.
    #[error("the agent's program sent an unknown message: {0}")]
    UnknownMessage(ProtocolError),
    /// A message that the gate knows, broken or out of bounds.
    #[error("the agent's program sent a broken message: {0}")]
    BrokenMessage(ProtocolError),
    /// Another pixel format: it is fixed.
    #[error("the agent's program asked for another pixel format")]
    PixelFormat,
}

impl Violation {
    /// Returns the stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Violation::UnknownMessage(_) => "unknown-message",
            Violation::BrokenMessage(_) => "broken-message",
            Violation::PixelFormat => "pixel-format",
        }
    }
}

impl From<ProtocolError> for Violation {
    fn from(error: ProtocolError) -> Self {
        match error.kind {
            ErrorKind::UnknownType | ErrorKind::NotNegotiated(_) => {
                Violation::UnknownMessage(error)
            }
            _ => Violation::BrokenMessage(error),
        }
    }
}
