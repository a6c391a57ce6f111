//! The kinds of streams on a link.

use crate::error::Violation;

/// The most bytes of UTF-8 in one text of a clipboard stream: 1 MiB.
pub const MAX_CLIPBOARD: usize = 1 << 20;

/// The first byte of a stream: what the stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// The handshake, then control messages. Bidirectional; the agent opens it.
    Control = 1,
    /// RFB client messages, agent to customer.
    Input = 2,
    /// RFB server messages in blocks, customer to agent.
    Picture = 3,
    /// Copied text, one stream each way.
    Clipboard = 4,
}

impl StreamKind {
    /// Returns the kind that `byte` stands for.
    ///
    /// # Errors
    /// [`Violation::WrongStream`] if it stands for none.
    pub const fn from_byte(byte: u8) -> Result<Self, Violation> {
        match byte {
            1 => Ok(Self::Control),
            2 => Ok(Self::Input),
            3 => Ok(Self::Picture),
            4 => Ok(Self::Clipboard),
            _ => Err(Violation::WrongStream),
        }
    }

    /// Returns the priority among streams with bytes to send, higher first: a withdrawn permission
    /// overtakes a picture.
    #[must_use]
    pub const fn priority(self) -> i32 {
        match self {
            Self::Control => 3,
            Self::Input => 2,
            Self::Clipboard => 1,
            Self::Picture => 0,
        }
    }
}
