//! Finds, starts, watches and stops an installed tool, by its profile.
//!
//! The plugins `tool` and `own-tool` are this crate behind the plugin interface. What belongs here: everything that
//! is true of any tool. What doesn't: the code (the launcher's), consent (the gate's), and TLS (the plugin's, of the
//! generation that speaks it).

mod driver;
mod find;
mod own;
mod pattern;
mod profile;
mod running;

pub use driver::Driver;
pub use find::{Found, find};
pub use own::OwnSession;
pub use pattern::{BadPattern, Pattern};
pub use profile::{Carrier, Code, Kind, Own, Profile, ProfileError, Version};
pub use running::{Outcome, Start, Started};
