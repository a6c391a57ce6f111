//! The X Window System, spoken by x11rb: one connection per concern, nothing shared between them.

mod capture;
mod clipboard;
mod connection;
mod escape;
mod grab;
mod held;
mod input;
mod keymap;
mod repeat;
mod segment;
mod spare;

pub use capture::Capture;
pub use clipboard::Clipboard;
pub use escape::EscapeKey;
pub use grab::{Frame, Piece};
pub use input::Input;
