//! The link: the end-to-end encrypted channel between launcher and console.
//!
//! It opens the QUIC endpoints, runs the handshake that proves the agent's identity and that both
//! ends know the session code, and then carries four streams: control, input, clipboard and
//! picture. `docs/link-protocol.md` is the specification; the crate `etatuki-protocol` has the
//! messages.
//!
//! Belongs here: connections, keys and time-outs of the link. Doesn't: the messages and their
//! coding (`protocol`), when a code is burnt, what is allowed and what is shown (`session`), and
//! the shape of cards and codes (`trust`).
//!
//! Layers, each knowing only those above it in this list:
//!
//! 1. `close_code`, [`error`](LinkError), `pake`, `keys`, `resume`
//! 2. on one QUIC stream: `stream`, and the typed ends in `control`, `input`, `clipboard`,
//!    `picture`
//! 3. on one connection: `connection`, `direct_retry`, `stats`, `peer_watch`, `link`, `handshake`
//! 4. `relay` and the `network` on the way to it, `endpoint_key`, `ticket_keeper`, the
//!    `handshake_queue` of those who dial a customer, and `endpoint`

mod clipboard;
mod close_code;
mod connection;
mod control;
mod direct_retry;
mod ending;
mod endpoint;
mod endpoint_key;
mod error;
mod handshake;
mod handshake_queue;
mod input;
mod keys;
mod link;
mod network;
mod pake;
mod peer_watch;
mod picture;
mod relay;
mod resume;
mod stats;
mod stream;
mod ticket_keeper;

#[cfg(test)]
mod tests;

pub use clipboard::{ClipboardIn, ClipboardOut};
pub use connection::{LinkConnection, PathKind};
pub use control::{ControlIn, ControlOut};
pub use ending::EndedLink;
pub use endpoint::{ALPN, AgentEndpoint, CustomerEndpoint};
pub use endpoint_key::EndpointKey;
pub use error::{DialError, LinkError};
pub use handshake::{AcceptParams, Attempt, ResumeParams};
pub use input::{InputIn, InputOut};
pub use link::{AgentLink, AgentStreams, CustomerLink, CustomerStreams};
pub use network::RelayRoute;
pub use peer_watch::{BootClock, PeerWatch};
pub use picture::{PictureIn, PictureOut};
pub use relay::{RelayAccess, RelayAddress, RelayToken};
pub use resume::AgentResumption;
pub use stats::LinkStats;
pub use ticket_keeper::{RenewTicket, Renewal};
