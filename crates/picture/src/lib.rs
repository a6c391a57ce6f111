//! The picture path: a framebuffer that knows what changed, and the updates made from it for one
//! client.
//!
//! Pure: RFB rectangles in, RFB bytes out. No sockets, clock, threads or randomness.
//! [`Framebuffer`] takes in what a source draws, [`Updater`] makes the updates, [`Streamer`]
//! decides when. One framebuffer serves one updater at a time; a client that comes later gets an
//! updater of its own and is sent everything anew. `docs/picture.md` explains how it works and why.

mod changed_blocks;
mod chunked_update;
mod client_framebuffer;
mod congestion;
mod copy_detector;
mod cursor_scaling;
mod damage;
mod encoded_chunk;
mod framebuffer;
mod grid;
mod jpeg;
mod out_of_band;
mod photo;
mod scheduler;
mod streamer;
mod updater;
mod video;

pub use encoded_chunk::EncodedChunk;
pub use framebuffer::{Framebuffer, PictureError};
pub use jpeg::{FULL_COLOUR_FROM, JpegEncoder, JpegError};
pub use photo::looks_like_a_photo;
pub use streamer::{MAX_FRAME_HOLD, Source, SourceState, Step, Streamer};
pub use updater::{MAX_UPDATE_PIXELS, UpdateError, Updater};
