//! The customer's screen: capture of its pixels, and keyboard, pointer and clipboard input into it.
//!
//! [`Capture`] reads the screen: damage, pixels, the pointer's shape and position, the size and the
//! monitors. [`Input`] types and points: keysyms go through whatever keyboard layout the machine
//! has. [`Clipboard`] exchanges text. Each has its own connection to the window system and is used
//! by one thread. Nothing here starts a thread, reads a clock for pacing, or polls on a timer: the
//! caller waits on the `as_fd()` of each and then calls `pump()`.
//!
//! Every wait for the window system has a time limit, and a [`CancelToken`] cuts it short. A window
//! system that dies gives [`ScreenError::Lost`], never an exit. A program's own window library may
//! call `exit` instead; [`set_exit_hook`] is for that case.
//!
//! The regions, rectangles and pixel formats in this folder are pure. Everything that speaks X11 is
//! in `x11`; a module for another window system would stand beside it.
//!
//! Not here: RFB, consent, and who is on the other end.

mod cancel;
mod coalesced_region;
mod cursor_image;
mod error;
mod exact_region;
#[cfg(unix)]
mod exit_hook;
mod geometry;
mod keysym;
mod monitor;
mod pixel_layout;
mod scancode;
#[cfg(unix)]
mod shared_app;
mod signed_rect;
#[cfg(unix)]
mod x11;
#[cfg(unix)]
mod xsettings;

pub use cancel::CancelToken;
pub use coalesced_region::CoalescedRegion;
pub use cursor_image::CursorImage;
pub use error::ScreenError;
#[cfg(unix)]
pub use exit_hook::{ExitHook, set_exit_hook};
pub use geometry::{Rect, Size};
pub use monitor::Monitor;
pub use pixel_layout::PixelLayout;
#[cfg(unix)]
pub use shared_app::SharedApp;
#[cfg(unix)]
pub use x11::{
    Acquired, Capture, ClaimHolder, ClaimRequest, Click, Clipboard, ControlTrace, Copied,
    DisplayClaim, DisplayLook, DisplayState, EscapeKey, Frame, Input, InputSource, InputWatch,
    KeyPress, MonitorQuery, PixelRect, WindowPlace, check_display, desktop_theme,
    release_stale_input, request_free_keyboard, set_wants_keyboard, window_place,
};
