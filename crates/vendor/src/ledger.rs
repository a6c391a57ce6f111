//! The ledger beside the key: an append-only file with one JSON line for each thing that was ever
//! signed. By it a card is found by name, and serials and list numbers keep rising.
//!
//! Serials and numbers begin at the current time (Unix seconds) rather than at 1, so that they keep
//! rising when the vendor changes to a new key, whose ledger is empty.

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use etatuki_trust::{CardData, UnixTime, VendorPublicKey};
use serde::{Deserialize, Serialize};

use crate::{
    error::VendorError,
    files::{owner_only, write_error},
};

/// A line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Entry {
    /// The vendor whose ledger this is; always the first line.
    Vendor(VendorPublicKey),
    /// A card was issued.
    Issued(CardData),
    /// A card was revoked.
    Revoked { serial: u64, at: UnixTime },
    /// A revocation list was signed.
    List { number: u64, at: UnixTime },
}

/// The open, locked ledger: a second tool on the same key waits.
pub(crate) struct Ledger {
    path: PathBuf,
    file: File,
    entries: Vec<Entry>,
}

impl Ledger {
    /// Opens the ledger of the key at `key_path`, or creates it.
    ///
    /// # Errors
    /// The ledger can't be read, or is damaged, or belongs to another key.
    pub(crate) fn open(key_path: &Path, vendor: VendorPublicKey) -> Result<Self, VendorError> {
        let path = ledger_path(key_path);
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        owner_only(&mut options);
        let mut file = options.open(&path).map_err(write_error(&path))?;
        file.lock().map_err(write_error(&path))?;
        let mut text = String::new();
        let read = file.read_to_string(&mut text);
        read.map_err(|error| VendorError::Read {
            path: path.clone(),
            error,
        })?;
        let mut ledger = Self {
            entries: parse(&path, &text)?,
            path,
            file,
        };
        match ledger.entries.first() {
            None => ledger.append(&[Entry::Vendor(vendor)])?,
            Some(Entry::Vendor(owner)) if *owner == vendor => {}
            Some(_) => return Err(VendorError::LedgerOfOtherKey { path: ledger.path }),
        }
        Ok(ledger)
    }

    /// Appends `entries` in one write, and waits until they are on the disk.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Result<(), VendorError> {
        let mut lines = String::new();
        for entry in entries {
            let line = serde_json::to_string(entry).expect("numbers and texts always become JSON");
            lines.push_str(&line);
            lines.push('\n');
        }
        let written = self
            .file
            .write_all(lines.as_bytes())
            .and_then(|()| self.file.sync_all());
        written.map_err(write_error(&self.path))?;
        self.entries.extend_from_slice(entries);
        Ok(())
    }

    /// Returns all cards ever issued, oldest first.
    pub(crate) fn cards(&self) -> impl Iterator<Item = &CardData> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Issued(card) => Some(card),
            _ => None,
        })
    }

    /// Returns the serials of the revoked cards.
    pub(crate) fn revoked(&self) -> BTreeSet<u64> {
        let serials = self.entries.iter().filter_map(|entry| match entry {
            Entry::Revoked { serial, .. } => Some(*serial),
            _ => None,
        });
        serials.collect()
    }

    /// Returns a serial that no card has.
    pub(crate) fn next_serial(&self, now: UnixTime) -> u64 {
        let last = self.cards().map(|card| card.serial).max();
        next_above(last, now)
    }

    /// Returns a number above those of all lists.
    pub(crate) fn next_list_number(&self, now: UnixTime) -> u64 {
        let numbers = self.entries.iter().filter_map(|entry| match entry {
            Entry::List { number, .. } => Some(*number),
            _ => None,
        });
        next_above(numbers.max(), now)
    }
}

/// Returns a number above `last` that is at least the current time.
fn next_above(last: Option<u64>, now: UnixTime) -> u64 {
    last.map_or(now.0, |last| last.saturating_add(1).max(now.0))
}

fn ledger_path(key_path: &Path) -> PathBuf {
    let mut name = key_path.file_name().unwrap_or_default().to_owned();
    name.push(".ledger");
    key_path.with_file_name(name)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, VendorError> {
    let parsed = text.lines().enumerate().map(|(index, line)| {
        let damaged = |_| VendorError::Ledger {
            path: path.to_owned(),
            line: index + 1,
        };
        serde_json::from_str(line).map_err(damaged)
    });
    parsed.collect()
}
