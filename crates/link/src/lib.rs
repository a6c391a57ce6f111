//! The link: the end-to-end encrypted channel between launcher and console.
//!
//! It opens the QUIC endpoints, runs the handshake that proves who the agent is and that both ends
//! know the session code, and then carries four streams: control, input, clipboard and picture. What
//! goes over the wire is written down in `docs/link-protocol.md`.
//!
//! What belongs here: bytes, keys and time limits of the link. What does not: when a code is burnt, what
//! is allowed and what is shown (the `session` crate), the shape of cards and codes (`trust`), and what
//! the picture's bytes mean (`rfb`).
//!
//! Layers, each knowing only those above it in this list:
//!
//! 1. pure: [`error`](LinkError), `frame`, `block`, `hello`, `keys`, `pake`
//! 2. on one QUIC stream: `stream`, and the typed ends in `control`, `input`, `clipboard`, `picture`
//! 3. on one connection: `connection`, `stats`, `link`, `handshake`
//! 4. `endpoint`, `relay`, and the `lobby` where those wait who dial a customer

mod block;
mod clipboard;
mod connection;
mod control;
mod endpoint;
mod error;
mod frame;
mod handshake;
mod hello;
mod input;
mod keys;
mod link;
mod lobby;
mod pake;
mod picture;
mod relay;
mod stats;
mod stream;

#[cfg(test)]
mod tests;

pub use clipboard::{ClipboardIn, ClipboardOut, MAX_CLIPBOARD};
pub use connection::{LinkConnection, PathKind};
pub use control::{
    Ask, ControlIn, ControlOut, CustomerInfo, MAX_CONTROL, Permissions, ToAgent, ToCustomer,
    UsableBackend,
};
pub use endpoint::{ALPN, AgentEndpoint, CustomerEndpoint};
pub use error::{DialError, LinkError, Violation};
pub use handshake::{AgentIdentity, Attempt, Offer};
pub use input::{InputIn, InputOut};
pub use keys::ResumeKey;
pub use link::{AgentLink, AgentStreams, CustomerLink, CustomerStreams};
pub use picture::{MAX_PICTURE, PictureIn, PictureOut};
pub use relay::{RelayAccess, RelayToken};
pub use stats::LinkStats;

/// The block coder without the stream, for fuzzing and for measuring what a picture weighs.
pub mod coder {
    pub use crate::block::{Decoder, Encoder};
}
