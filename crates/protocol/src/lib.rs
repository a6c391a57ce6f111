//! The language of the link: what launcher and console say to each other, bytes in, bytes out.
//!
//! `docs/link-protocol.md` is the specification. The `link` crate carries these messages over QUIC.
//! Here are their types, bounds and coding, and the violations of which the other end can be
//! guilty.
//!
//! Belongs here: whatever both ends must agree on. Doesn't: sockets, time-outs and keys (`link`),
//! the shape of cards and codes (`trust`), and the meaning of the picture's bytes (`rfb`).

mod address;
mod block;
mod control;
mod error;
mod frame;
mod handshake;
mod identity;
mod input;
mod liveness;
mod screen_status;
mod stream;
mod wording;

pub use address::{EndpointAddress, MAX_ADDRESS};
pub use block::{BlockDecoder, BlockEncoder, MAX_PICTURE};
pub use control::{
    Ask, CustomerInfo, Feature, MAX_CONTROL, Permissions, ToAgent, ToCustomer, UsableBackend,
    encode_control, parse_control,
};
pub use error::{CodecError, Violation};
pub use frame::{FrameDecoder, LengthPrefixedDecoder, append_frame};
pub use handshake::{CONFIRMATION_LENGTH, HandshakeMessage, Hello, MAX_HANDSHAKE_MESSAGE, Resume};
pub use identity::AgentIdentity;
pub use input::{ClipboardText, InputMessage, MAX_CLIPBOARD_FRAME, MAX_INPUT_FRAME};
pub use liveness::{HEARTBEAT_INTERVAL, PeerClock, RESUME_LIMIT, SILENCE_LIMIT};
pub use screen_status::{ScreenCondition, ScreenStatus};
pub use stream::{MAX_CLIPBOARD, StreamKind};
pub use wording::{Answer, AnswerButton, QuestionText, ShownQuestion, Wording};
