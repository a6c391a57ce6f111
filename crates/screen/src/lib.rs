//! What the screen shows, and input into it.
//!
//! [`Capture`] reads the screen: which parts changed, their pixels, the pointer's shape, the size,
//! the monitors.
//! [`Input`] types and points: keysyms through whatever keyboard layout the machine has. [`Clipboard`]
//! exchanges text. Each has a connection of its own to the window system and is used by one thread;
//! nothing here starts a thread, reads a clock for pacing, or polls on a timer: the caller waits on
//! the `as_fd()` of each and then calls `pump()`.
//!
//! Every wait for the window system has a limit and is cut short by [`Stop`]. A window system that
//! dies gives [`ScreenError::Lost`], never an exit. The program's own window library may be less kind: [`at_exit`].
//!
//! What doesn't belong here: RFB, consent, and who is on the other end.

mod area;
#[cfg(unix)]
mod at_exit;
mod cursor;
mod error;
mod geometry;
mod keysym;
mod monitor;
mod pixels;
#[cfg(unix)]
mod program;
mod region;
mod scancode;
mod stop;
#[cfg(unix)]
mod x11;

#[cfg(unix)]
pub use at_exit::{LastWords, at_exit};
pub use cursor::CursorImage;
pub use error::ScreenError;
pub use geometry::{Rect, Size};
pub use monitor::Monitor;
pub use pixels::PixelLayout;
#[cfg(unix)]
pub use program::Program;
pub use region::Region;
pub use stop::Stop;
#[cfg(unix)]
pub use x11::{Capture, Clipboard, EscapeKey, Frame, Input, Piece, mend};
