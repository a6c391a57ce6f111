//! The X Window System, spoken by x11rb: one connection per concern, nothing shared between them.

mod capture;
mod clipboard;
mod connection;
mod escape;
mod grab;
mod held;
mod input;
mod keymap;
mod monitors;
mod pointer;
mod repeat;
mod scope;
mod segment;
mod shown;
mod spare;
mod traces;
mod tree;

pub use capture::Capture;
pub use clipboard::Clipboard;
pub use escape::EscapeKey;
pub use grab::{Frame, Piece};
pub use input::Input;
pub use traces::mend;
