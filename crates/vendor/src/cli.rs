//! The command line. The doc comments of commands and options are the texts of `etatuki-vendor
//! --help`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Days for which a list counts, if the command line doesn't say: so long can a service that withholds
/// the newest list keep a revoked agent in. Renewed each week, it survives three weeks of a broken
/// timer.
pub const DEFAULT_LIST_DAYS: u16 = 30;

/// Makes the vendor's key, the agents' cards and the revocation list. Needs no network: run it
/// offline.
#[derive(Debug, Parser)]
#[command(name = "etatuki-vendor", version, propagate_version = true)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The vendor's own key
    #[command(subcommand)]
    Key(KeyCommand),
    /// The agents' cards
    #[command(subcommand)]
    Agent(AgentCommand),
    /// The list of revoked cards
    #[command(subcommand)]
    Revocations(RevocationsCommand),
}

/// A command about the vendor's key.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a new key and print its public half
    New {
        /// Where to write the private key; must not exist yet
        #[arg(long, value_name = "FILE", default_value = "vendor.key")]
        out: PathBuf,
    },
    /// Print the public half of a key, for backends.toml and for the service
    Show {
        /// The key.
        #[command(flatten)]
        key: KeyArg,
    },
}

/// A command about the list of revoked cards.
#[derive(Debug, Subcommand)]
pub enum RevocationsCommand {
    /// Sign the list again, with a higher number and a later date; to be run by a timer
    Renew {
        /// The key and the list's file.
        #[command(flatten)]
        list: ListArgs,
    },
    /// Print what signed lists say: key, number, days left, revoked cards
    Show {
        /// The lists' files; each may hold the lists of several keys, one a line
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// A command about agents' cards.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Make a card and a private key for an agent, in one file that only the agent should have
    Add {
        /// The agent's name, as customers will see it
        name: String,
        /// Whom the agent works for, as customers will see it
        #[arg(long, value_name = "ORG")]
        organisation: String,
        /// For how many days the card is good
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
        days: u16,
        /// The key.
        #[command(flatten)]
        key: KeyArg,
        /// Where to write the agent's file; must not exist yet [default: made from the name]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Take cards back for good, and sign the new list
    Revoke {
        /// Serials, or names that only one good card has
        #[arg(required = true, value_name = "SERIAL|NAME")]
        cards: Vec<String>,
        /// The key and the list's file.
        #[command(flatten)]
        list: ListArgs,
    },
    /// Print every card that was made: serial, state, days left, name, organisation
    List {
        /// The key.
        #[command(flatten)]
        key: KeyArg,
    },
}

/// The option that names the vendor's key.
#[derive(Debug, Args)]
pub struct KeyArg {
    /// The vendor's private key
    #[arg(long, value_name = "FILE", default_value = "vendor.key")]
    pub key: PathBuf,
}

/// The options for signing a list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The key.
    #[command(flatten)]
    pub key: KeyArg,
    /// Where to write the signed list; an older one there is replaced
    #[arg(long, value_name = "FILE", default_value = "revocations.txt")]
    pub out: PathBuf,
    /// For how many days the list counts; the service needs a newer one before they are over
    #[arg(long, default_value_t = DEFAULT_LIST_DAYS, value_parser = clap::value_parser!(u16).range(1..=366))]
    pub days: u16,
}
