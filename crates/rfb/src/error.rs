//! One error type for every way in which a peer can break the protocol.

use std::fmt;

/// Who broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// The viewer's side: an agent's viewer, seen from a server.
    Client,
    /// The side with the screen: a tool or plugin, seen from a client.
    Server,
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// The message in which it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// The version line that opens a connection.
    Version,
    /// The choice of a security type, and its reply.
    Security,
    /// ClientInit or ServerInit.
    Init,
    /// SetPixelFormat (client, 0).
    SetPixelFormat,
    /// SetEncodings (client, 2).
    SetEncodings,
    /// FramebufferUpdate (server, 0).
    Update,
    /// SetColourMapEntries (server, 1).
    SetColourMap,
    /// CutText, of either side.
    CutText,
    /// PointerEvent (client, 5).
    Pointer,
    /// Fence, of either side (248).
    Fence,
    /// SetDesktopSize (client, 251).
    SetDesktopSize,
    /// QEMU messages (255).
    Qemu,
    /// A message type that we don't know.
    Unknown(u8),
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Version => "its version line",
            Self::Security => "its security message",
            Self::Init => "its init message",
            Self::SetPixelFormat => "SetPixelFormat",
            Self::SetEncodings => "SetEncodings",
            Self::Update => "FramebufferUpdate",
            Self::SetColourMap => "SetColourMapEntries",
            Self::CutText => "CutText",
            Self::Pointer => "PointerEvent",
            Self::Fence => "Fence",
            Self::SetDesktopSize => "SetDesktopSize",
            Self::Qemu => "a QEMU message",
            Self::Unknown(number) => return write!(f, "a message of type {number}"),
        };
        f.write_str(name)
    }
}

/// What was wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The type isn't one that this side may receive.
    #[error("unknown message type")]
    UnknownType,
    /// A message type that we know but never negotiate.
    #[error("{0} was never negotiated")]
    NotNegotiated(&'static str),
    /// A length, count or size above our limit.
    #[error("{what} of {value} is above the limit of {limit}")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// What the peer said.
        value: u64,
        /// What we accept.
        limit: u64,
    },
    /// A rectangle that reaches beyond the framebuffer.
    #[error("rectangle {w}x{h} at {x},{y} is outside the screen of {width}x{height}")]
    OutsideScreen {
        /// Left edge.
        x: u16,
        /// Top edge.
        y: u16,
        /// Width.
        w: u16,
        /// Height.
        h: u16,
        /// The framebuffer's width.
        width: u16,
        /// The framebuffer's height.
        height: u16,
    },
    /// An encoding that we didn't announce.
    #[error("encoding {0} was not announced")]
    Encoding(i32),
    /// A value that makes no sense in its place.
    #[error("bad {0}")]
    BadValue(&'static str),
    /// None of the offered security types is ours, or the chosen one wasn't offered.
    #[error("no security type in common")]
    NoCommonSecurity,
    /// The answer to the password challenge was wrong.
    #[error("wrong password")]
    WrongPassword,
    /// The peer refused us, with its reason (bounded; control characters replaced).
    #[error("refused the connection: {0}")]
    Refused(String),
}

/// A peer broke the protocol. Whoever reports it has come to its end: a parser or handshake that
/// returned it returns it again for ever.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {culprit} broke the protocol in {message}: {fault}")]
pub struct ProtocolError {
    /// Who.
    pub culprit: Culprit,
    /// In which message.
    pub message: MessageKind,
    /// What.
    pub fault: Fault,
}

impl ProtocolError {
    pub(crate) fn client(message: MessageKind, fault: Fault) -> Self {
        Self {
            culprit: Culprit::Client,
            message,
            fault,
        }
    }

    pub(crate) fn server(message: MessageKind, fault: Fault) -> Self {
        Self {
            culprit: Culprit::Server,
            message,
            fault,
        }
    }
}

impl Fault {
    /// `Err` when `value` is above `limit`.
    pub(crate) fn check(what: &'static str, value: usize, limit: usize) -> Result<(), Self> {
        if value <= limit {
            return Ok(());
        }
        Err(Self::TooLarge {
            what,
            value: value as u64,
            limit: limit as u64,
        })
    }
}
