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
//! 1. [`error`](LinkError), `keys`, `pake`; the messages themselves are the crate `etatuki-protocol`
//! 2. on one QUIC stream: `stream`, and the typed ends in `control`, `input`, `clipboard`, `picture`
//! 3. on one connection: `connection`, `stats`, `link`, `handshake`
//! 4. `endpoint`, `relay`, and the `lobby` where those wait who dial a customer

mod clipboard;
mod connection;
mod control;
mod endpoint;
mod error;
mod handshake;
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

pub use clipboard::{ClipboardIn, ClipboardOut};
pub use connection::{LinkConnection, PathKind};
pub use control::{ControlIn, ControlOut};
pub use endpoint::{ALPN, AgentEndpoint, CustomerEndpoint};
// For a test of session, until it can be changed.
pub use error::{DialError, LinkError};
#[doc(hidden)]
pub use etatuki_protocol::{Ask, Permissions, ToAgent};
pub use handshake::{Attempt, Offer};
pub use input::{InputIn, InputOut};
pub use keys::ResumeKey;
pub use link::{AgentLink, AgentStreams, CustomerLink, CustomerStreams};
pub use picture::{PictureIn, PictureOut};
pub use relay::{RelayAccess, RelayToken};
pub use stats::LinkStats;
