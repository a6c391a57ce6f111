//! The vendor's revocation list, as the file says it now.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use etatuki_trust::{Revocations, SignedRevocations, VendorPublicKey};
use tracing::{info, warn};

use crate::config::StartError;

/// How often the file is looked at, at most.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Longer than any list, in bytes.
const MAX_FILE_BYTES: u64 = 512 * 1024;

/// The newest good list.
#[derive(Debug)]
pub(crate) struct RevocationFile {
    path: Option<PathBuf>,
    vendors: Vec<VendorPublicKey>,
    changed: Option<SystemTime>,
    looked: Duration,
    newest: RevocationSnapshot,
}

/// A list and the text that proves it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RevocationSnapshot {
    pub(crate) list: Arc<Revocations>,
    pub(crate) text: Option<Arc<str>>,
}

impl RevocationFile {
    /// Reads the list for the first time; without a path there is none, and nobody is revoked.
    pub(crate) fn open(
        path: Option<PathBuf>,
        vendors: Vec<VendorPublicKey>,
    ) -> Result<Self, StartError> {
        let looked = Duration::ZERO;
        let newest = RevocationSnapshot::default();
        let mut file = Self {
            path,
            vendors,
            changed: None,
            looked,
            newest,
        };
        if let Some(path) = file.path.clone() {
            file.changed = changed(&path);
            file.read(&path)?;
        }
        Ok(file)
    }

    /// The number of the newest good list.
    pub(crate) fn number(&self) -> u64 {
        self.newest.list.number
    }

    /// The newest good list; a changed file is read again. A bad or older one is left aside, loudly.
    pub(crate) fn newest(&mut self, now: Duration) -> RevocationSnapshot {
        if now >= self.looked + CHECK_INTERVAL
            && let Some(path) = self.path.clone()
        {
            self.looked = now;
            let changed = changed(&path);
            if changed != self.changed {
                self.changed = changed;
                match self.read(&path) {
                    Ok(()) => info!(number = self.newest.list.number, "a new revocation list"),
                    Err(error) => warn!(%error, "the old revocation list stays"),
                }
            }
        }
        self.newest.clone()
    }

    fn read(&mut self, path: &Path) -> Result<(), StartError> {
        let bad = |error| StartError::Revocations {
            path: path.to_owned(),
            error,
        };
        let text = read_bounded(path).map_err(|error| StartError::ReadRevocations {
            path: path.to_owned(),
            error,
        })?;
        let signed = SignedRevocations::from_text(&text).map_err(bad)?;
        let found = signed.verify(&self.vendors).map_err(bad)?;
        let mut list = (*self.newest.list).clone();
        list.advance(found).map_err(bad)?;
        self.newest = RevocationSnapshot {
            list: Arc::new(list),
            text: Some(signed.to_text().into()),
        };
        Ok(())
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(MAX_FILE_BYTES)
        .read_to_string(&mut text)?;
    Ok(text)
}
