//! Everything that can go wrong, in words for the person at the keyboard.

use std::{io, path::PathBuf};

use etatuki_trust::{KeyError, NameError, RevocationError};

/// Why a command failed. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum VendorError {
    /// A file can't be read.
    #[error("can't read {path}: {error}")]
    Read { path: PathBuf, error: io::Error },
    /// A file can't be written.
    #[error("can't write {path}: {error}")]
    Write { path: PathBuf, error: io::Error },
    /// Something is there already.
    #[error("{0} exists already and is left as it is: choose another name with --out")]
    Exists(PathBuf),
    /// There is no key yet.
    #[error(
        "there is no key at {0}: make one with `etatuki-vendor key new`, or name yours with --key"
    )]
    NoKey(PathBuf),
    /// Somebody else can read the key.
    #[error(
        "others can read the private key {path} (mode {mode:03o}): `chmod 600` it if nobody has, or make a new key if somebody might have"
    )]
    Exposed { path: PathBuf, mode: u32 },
    /// Not a regular file, or far too long for what it should be.
    #[error("{0} isn't the file it should be: it is no regular file, or too long")]
    Odd(PathBuf),
    /// The key file holds something else.
    #[error("{path} holds no vendor's private key: {error}")]
    Key { path: PathBuf, error: KeyError },
    /// The ledger was damaged or edited.
    #[error(
        "line {line} of the ledger {path} can't be understood: restore the ledger from a backup"
    )]
    Ledger { path: PathBuf, line: usize },
    /// The ledger beside the key belongs to another key.
    #[error("the ledger {path} belongs to another key: put each key in a folder of its own")]
    OtherKey { path: PathBuf },
    /// A text that can't stand on a card.
    #[error("the {what} can't stand on a card: {error}")]
    Name {
        what: &'static str,
        error: NameError,
    },
    /// Neither a serial nor a name in the ledger.
    #[error(
        "no card was made with the serial or name {0:?}: `etatuki-vendor agent list` shows them all"
    )]
    UnknownCard(String),
    /// Several good cards have the name.
    #[error("several cards have the name {name:?}: name one by its serial, {serials}")]
    Ambiguous { name: String, serials: String },
    /// The list grew too long.
    #[error("the list can't be signed: {0}")]
    List(#[from] RevocationError),
    /// The system has no randomness to give.
    #[error("the system gave no randomness: {0}")]
    Randomness(String),
    /// The clock is before 1970.
    #[error("this machine's clock is wrong: set the date first")]
    Clock,
}
