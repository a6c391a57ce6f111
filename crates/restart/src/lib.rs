//! The state of a customer's machine over one restart, so that the launcher comes back by itself: the
//! restart ticket, and the desktop's autostart entry that starts the launcher.
//!
//! Belongs here: the places of both, who may have written them, and that each is used once. Doesn't:
//! what is in a ticket (`trust`), the consent to it (`session-core`), and how the link resumes by it
//! (`link`).

mod autostart;
mod file_store;
mod restart_store;
#[cfg_attr(not(feature = "secret-service"), path = "no_secret_service.rs")]
mod secret_service;

pub use autostart::{AutostartEntry, EntryError};
pub use restart_store::{KeepError, RestartStore, TakeError};
