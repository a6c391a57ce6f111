//! The vendor's tool: makes the vendor's key, the agents' cards and the revocation list. It runs
//! offline and contacts nobody; its files are carried to where they are needed.
//!
//! Cards and lists themselves are in `etatuki-trust`. Here are the files, the ledger and the texts.

mod cli;
mod error;
mod files;
mod ledger;
mod run;

pub use cli::{AgentCommand, Cli, Command, DEFAULT_LIST_DAYS, KeyCommand, RevocationsCommand};
pub use error::VendorError;
pub use run::{Environment, Report, run};
