//! The X Window System, spoken by x11rb: one connection per concern, nothing shared between them.

mod app_filter;
mod borrowed_keycodes;
mod capture;
mod clipboard;
mod connection;
mod control_trace;
mod escape_key;
mod faked_keyboard;
mod frame;
mod grab_probe;
mod grab_tracker;
mod grabber;
mod input;
mod input_lease;
mod key_actions;
mod keymap;
mod monitors;
mod pointer_tracker;
mod pressed_keycodes;
mod shm_segment;
mod visible_app_region;
mod window_query;
mod window_tree;

pub use capture::Capture;
pub use clipboard::Clipboard;
pub use control_trace::ControlTrace;
pub use escape_key::EscapeKey;
pub use frame::{Frame, PixelRect};
pub use input::Input;
pub use input_lease::release_stale_input;
