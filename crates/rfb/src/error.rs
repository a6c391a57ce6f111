//! Error of a peer that broke the protocol.

use std::fmt;

/// Side that broke the protocol.
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

/// Message in which a peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// ProtocolVersion, the line that opens a connection.
    Version,
    /// The choice of a security type, and its result.
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
    /// ClientCutText (6) or ServerCutText (3).
    CutText,
    /// PointerEvent (client, 5).
    Pointer,
    /// Fence, of either side (248).
    Fence,
    /// SetDesktopSize (client, 251).
    SetDesktopSize,
    /// QEMU's client messages (255).
    Qemu,
    /// Unknown message type.
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

/// Kind of a protocol error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// Message type that this side may not receive.
    #[error("unknown message type")]
    UnknownType,
    /// Known message or feature that we never negotiate.
    #[error("{0} was never negotiated")]
    NotNegotiated(&'static str),
    /// Length, count or size above our limit.
    #[error("{what} of {value} is above the limit of {limit}")]
    TooLarge {
        /// Name of the field.
        what: &'static str,
        /// The peer's value.
        value: u64,
        /// Largest accepted value.
        limit: u64,
    },
    /// Rectangle that reaches beyond the framebuffer.
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
        /// Columns of the framebuffer.
        width: u16,
        /// Rows of the framebuffer.
        height: u16,
    },
    /// Encoding that we didn't announce.
    #[error("encoding {0} was not announced")]
    Encoding(i32),
    /// Invalid value of a field.
    #[error("bad {0}")]
    BadValue(&'static str),
    /// None of the offered security types is ours, or the chosen one wasn't offered.
    #[error("no security type in common")]
    NoCommonSecurity,
    /// Wrong response to the challenge of VNC authentication.
    #[error("wrong password")]
    WrongPassword,
    /// The peer refused the connection, with its reason (bounded; control characters replaced).
    #[error("refused the connection: {0}")]
    Refused(String),
}

/// A peer broke the protocol. The parser or handshake that returned this error has ended, and
/// returns it from every later call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {culprit} broke the protocol in {message}: {kind}")]
pub struct ProtocolError {
    /// Side that broke the protocol.
    pub culprit: Culprit,
    /// Message in which it did.
    pub message: MessageKind,
    /// Kind of the error.
    pub kind: ErrorKind,
}

impl ProtocolError {
    pub(crate) fn client(message: MessageKind, kind: ErrorKind) -> Self {
        Self {
            culprit: Culprit::Client,
            message,
            kind,
        }
    }

    pub(crate) fn server(message: MessageKind, kind: ErrorKind) -> Self {
        Self {
            culprit: Culprit::Server,
            message,
            kind,
        }
    }
}

impl ErrorKind {
    /// Returns [`TooLarge`](Self::TooLarge) when `value` is above `limit`.
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
