//! The handshakes that open a connection, one file per side: RFC 6143 section 7.1 to 7.3.

mod client;
mod server;

pub use client::ClientHandshake;
pub use server::{Security, ServerHandshake};

use crate::PixelFormat;

/// What a server says of its screen at the end of the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInit {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// The server's own format; a client may ask for another.
    pub format: PixelFormat,
    /// The desktop's name; from a client's handshake: valid UTF-8, control characters replaced.
    pub name: String,
}
