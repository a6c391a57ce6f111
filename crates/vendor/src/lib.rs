//! The vendor's tool: makes the vendor's key, the agents' cards and the revocation list. It runs offline
//! and talks to nobody; what it writes is carried to where it is needed.
//!
//! What a card or a list *is* stands in `etatuki-trust`. Here are the files, the ledger and the words.

mod cli;
mod error;
mod files;
mod ledger;
mod run;

pub use cli::{AgentCommand, Cli, Command, KeyCommand};
pub use error::VendorError;
pub use run::{Report, World, run};
