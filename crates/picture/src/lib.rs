//! The picture: a framebuffer that knows what changed, and the updates made from it for one client.
//!
//! Pure: RFB rectangles in, RFB bytes out. No sockets, clock, threads or randomness.

mod screen;
mod updater;

pub use screen::{PictureError, Screen};
pub use updater::{MAX_UPDATE_PIXELS, UpdateError, Updater};
