//! Finds, starts, watches and stops an installed legacy tool, by its profile.
//!
//! The Remoteus plugins are this crate with a profile each. What belongs here: everything that is true of any tool
//! that serves RFB on a socket it is given. What doesn't: the code (the launcher's), consent (the gate's), and TLS
//! (the plugin of the generation that speaks it).

mod find;
mod generation;
mod profile;
mod running;

pub use find::{Found, find};
pub use generation::{Driver, probe};
pub use profile::{Profile, ProfileError};
pub use running::{Outcome, Start, Started};
