//! RFB (the VNC protocol), both sides: RFC 6143 with the community extensions that this project
//! uses.
//!
//! Bytes in, bytes out: no sockets, clock, threads or randomness. A parser gets bytes by
//! [`push`](ClientParser::push), split anywhere, and returns whole messages. Everything that a peer
//! may send has a limit ([`Limits`]), and an error names who broke the protocol and in which
//! message.
//!
//! Here belong the wire formats, the two handshakes and pixel formats. The meaning of a message
//! belongs to the gate, and the framebuffer to `etatuki-picture`.

mod client_message;
mod client_parser;
mod convert;
pub mod encode;
pub mod encoding;
mod error;
mod extended_clipboard;
mod field_reader;
mod handshake;
mod limits;
mod pixel;
mod plain_text;
mod receive_buffer;
mod rect;
mod server_message;
mod server_parser;

pub use client_message::{ClientMessage, PointerFormat};
pub use client_parser::ClientParser;
pub use convert::convert_pixels;
pub use error::{Culprit, ErrorKind, MessageKind, ProtocolError};
pub use extended_clipboard::{ClipboardCaps, ClipboardMessage, wire_text_len};
pub use handshake::{ClientHandshake, ClientInit, Security, ServerHandshake, ServerInit};
pub use limits::Limits;
pub use pixel::PixelFormat;
pub use plain_text::plain_text;
pub use rect::{Rect, ScreenLayout};
pub use server_message::{CursorImage, MAX_JPEG_WIDTH, Rectangle, ServerMessage};
pub use server_parser::ServerParser;
