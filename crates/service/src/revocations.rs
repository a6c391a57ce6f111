//! The vendor's revocation list, reloaded when its file changes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use etatuki_trust::{Revocations, SignedRevocations, VendorPublicKey};
use tracing::{info, warn};

use crate::config::StartError;

/// Shortest time between two checks of the file.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes of the file that are read; no list is as long.
const MAX_FILE_BYTES: u64 = 512 * 1024;

/// The file, and the newest good list from it.
#[derive(Debug)]
pub(crate) struct RevocationFile {
    path: Option<PathBuf>,
    vendors: Vec<VendorPublicKey>,
    modified: Option<SystemTime>,
    last_check: Duration,
    current: RevocationSnapshot,
}

/// A list, and the vendor's signed text of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RevocationSnapshot {
    pub(crate) list: Arc<Revocations>,
    pub(crate) text: Option<Arc<str>>,
}

impl RevocationFile {
    /// Reads the list for the first time. Without a path there is none, and nobody is revoked.
    pub(crate) fn open(
        path: Option<PathBuf>,
        vendors: Vec<VendorPublicKey>,
    ) -> Result<Self, StartError> {
        let mut file = Self {
            path,
            vendors,
            modified: None,
            last_check: Duration::ZERO,
            current: RevocationSnapshot::default(),
        };
        if let Some(path) = file.path.clone() {
            file.modified = modified(&path);
            file.read(&path)?;
        }
        Ok(file)
    }

    /// Returns the number of the newest good list.
    pub(crate) fn number(&self) -> u64 {
        self.current.list.number
    }

    /// Returns the newest good list, after reading the file again if it has changed. A bad or older
    /// list is ignored, with a warning in the log.
    pub(crate) fn current(&mut self, now: Duration) -> RevocationSnapshot {
        if now >= self.last_check + CHECK_INTERVAL
            && let Some(path) = self.path.clone()
        {
            self.last_check = now;
            let modified = modified(&path);
            if modified != self.modified {
                self.modified = modified;
                match self.read(&path) {
                    Ok(()) => info!(number = self.current.list.number, "a new revocation list"),
                    Err(error) => warn!(%error, "the old revocation list stays"),
                }
            }
        }
        self.current.clone()
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
        let verified = signed.verify(&self.vendors).map_err(bad)?;
        let mut list = (*self.current.list).clone();
        list.advance(verified).map_err(bad)?;
        self.current = RevocationSnapshot {
            list: Arc::new(list),
            text: Some(signed.to_text().into()),
        };
        Ok(())
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
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
