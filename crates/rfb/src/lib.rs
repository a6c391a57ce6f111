//! RFB (the VNC protocol): RFC 6143 with the community extensions that this project speaks, both sides.
//!
//! Bytes in, bytes out: no sockets, clock, threads or randomness. A parser is fed with
//! [`push`](ClientParser::push), split anywhere, and asked for whole messages; everything that a peer
//! may send has a limit ([`Limits`]), and an error names who broke the protocol and in which message.
//!
//! What belongs here: the wire formats, the two handshakes, pixel formats. What doesn't: deciding what
//! a message means (the gate), and the framebuffer (`etatuki-picture`).

mod client;
pub mod encode;
pub mod encoding;
mod error;
mod handshake;
mod input;
mod limits;
mod pixel;
mod rect;
mod server;
mod server_parser;
mod translate;

pub use client::{ClientMessage, ClientParser};
pub use error::{Culprit, Fault, MessageKind, ProtocolError};
pub use handshake::{ClientHandshake, Security, ServerHandshake, ServerInit};
pub use limits::Limits;
pub use pixel::PixelFormat;
pub use rect::{Layout, Rect};
pub use server::{CursorImage, MAX_JPEG_WIDTH, Rectangle, ServerMessage};
pub use server_parser::ServerParser;
pub use translate::translate;
