//! The errors, with texts for the person at the keyboard.

use std::{io, path::PathBuf};

use etatuki_trust::{KeyError, NameError, RevocationError};

/// The reason why a command failed. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum VendorError {
    /// A file can't be read.
    #[error("can't read {path}: {error}")]
    Read { path: PathBuf, error: io::Error },
    /// A file can't be written.
    #[error("can't write {path}: {error}")]
    Write { path: PathBuf, error: io::Error },
    /// The file exists already.
    #[error("{0} exists already and is left as it is: choose another name with --out")]
    Exists(PathBuf),
    /// No key file.
    #[error(
        "there is no key at {0}: make one with `etatuki-vendor key new`, or name yours with --key"
    )]
    NoKey(PathBuf),
    /// A private key that others can read.
    #[error(
        "others can read the private key {path} (mode {mode:03o}): `chmod 600` it if nobody has, or make a new key if somebody might have"
    )]
    Exposed { path: PathBuf, mode: u32 },
    /// Not a regular file, or too long for a key file.
    #[error("{0} isn't the file it should be: it is no regular file, or too long")]
    NotKeyFile(PathBuf),
    /// A key file without a private key.
    #[error("{path} holds no vendor's private key: {error}")]
    Key { path: PathBuf, error: KeyError },
    /// A line of the ledger that can't be parsed: it was damaged or edited.
    #[error(
        "line {line} of the ledger {path} can't be understood: restore the ledger from a backup"
    )]
    Ledger { path: PathBuf, line: usize },
    /// The ledger of another key.
    #[error("the ledger {path} belongs to another key: put each key in a folder of its own")]
    LedgerOfOtherKey { path: PathBuf },
    /// A revocation list where a new key's first one should be written.
    #[error("{0} is the list of another key: put each key in a folder of its own")]
    ListOfOtherKey(PathBuf),
    /// A file that isn't a list, or has another one in it that isn't.
    #[error("{path}: {error}")]
    ListFile {
        path: PathBuf,
        error: RevocationError,
    },
    /// A name that can't stand on a card.
    #[error("the {field} can't stand on a card: {error}")]
    Name {
        field: &'static str,
        error: NameError,
    },
    /// Neither a serial nor a name in the ledger.
    #[error(
        "no card was made with the serial or name {0:?}: `etatuki-vendor agent list` shows them all"
    )]
    UnknownCard(String),
    /// A name that several valid cards have.
    #[error("several cards have the name {name:?}: name one by its serial, {serials}")]
    AmbiguousName { name: String, serials: String },
    /// A list that is too long.
    #[error("the list can't be signed: {0}")]
    Revocations(#[from] RevocationError),
    /// No randomness from the system.
    #[error("the system gave no randomness: {0}")]
    Randomness(String),
    /// A clock before 1970, or at the end of time.
    #[error("this machine's clock is wrong: set the date first")]
    Clock,
}

impl VendorError {
    /// Returns the program's exit code: 2 if the command line asks for something that can't be, 1 for
    /// everything else.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Name { .. } | Self::UnknownCard(_) | Self::AmbiguousName { .. } => 2,
            _ => 1,
        }
    }
}
