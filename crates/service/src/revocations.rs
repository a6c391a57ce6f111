//! The vendor keys and their signed revocation lists. The lists' files are read again when they
//! change; the keys, when the service is told to reload.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use etatuki_trust::{
    CardId, MAX_LISTS_TEXT, Revocations, SignedRevocations, StaleRevocations, UnixTime,
    VendorPublicKey,
};
use tracing::{info, warn};

use crate::config::StartError;

/// Shortest time between two checks of the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Time before a list's end from which the log warns of it: enough to renew it over a weekend.
const WARNING_SECONDS: u64 = 3 * 24 * 60 * 60;

/// The files, and the newest good list of each vendor key from them.
#[derive(Debug)]
pub(crate) struct RevocationFiles {
    files: Vec<WatchedFile>,
    last_check: Duration,
    /// The signed text of each newest list, by the key's own text.
    texts: BTreeMap<String, String>,
    current: TrustSnapshot,
    /// The freshness of each key's list, as it was last logged.
    logged: Vec<Freshness>,
}

#[derive(Debug)]
struct WatchedFile {
    path: PathBuf,
    modified: Option<SystemTime>,
}

/// The vendor keys, their newest lists, and the lists' signed texts, one a line.
#[derive(Clone, Debug)]
pub(crate) struct TrustSnapshot {
    pub(crate) vendors: Arc<[VendorPublicKey]>,
    pub(crate) revoked: Arc<Revocations>,
    pub(crate) text: Option<Arc<str>>,
    /// Rises with every change of the keys or the lists.
    pub(crate) generation: u64,
}

impl TrustSnapshot {
    /// Returns whether a card is revoked, or its vendor key isn't known any more.
    pub(crate) fn is_out(&self, card: &CardId) -> bool {
        self.revoked.is_revoked(card) || !self.vendors.contains(&card.vendor)
    }
}

/// Whether a vendor key's list counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freshness {
    Good,
    /// It ends within [`WARNING_SECONDS`].
    Ending,
    Outdated,
    Missing,
}

impl RevocationFiles {
    /// Reads the lists for the first time. Without a path there are none.
    ///
    /// An outdated list revokes as before, and its key's other cards go on getting in here: whether
    /// they get in at a customer's is for the customer's own registry to say.
    pub(crate) fn open(
        paths: Vec<PathBuf>,
        vendors: Vec<VendorPublicKey>,
    ) -> Result<Self, StartError> {
        let mut opened = Self {
            files: Vec::new(),
            last_check: Duration::ZERO,
            texts: BTreeMap::new(),
            current: TrustSnapshot {
                vendors: vendors.into(),
                revoked: Arc::new(Revocations::new(StaleRevocations::Warn)),
                text: None,
                generation: 0,
            },
            logged: Vec::new(),
        };
        for path in paths {
            let modified = modified(&path);
            opened.read(&path)?;
            opened.files.push(WatchedFile { path, modified });
        }
        Ok(opened)
    }

    /// Takes another set of vendor keys, and reads all files again with them. Lists of keys that
    /// are gone are no longer handed out.
    ///
    /// # Errors
    /// A file is bad; keys and lists stay as they were.
    pub(crate) fn reload(&mut self, vendors: Vec<VendorPublicKey>) -> Result<(), StartError> {
        let paths = self.files.iter().map(|file| file.path.clone()).collect();
        let mut fresh = Self::open(paths, vendors)?;
        // Whatever was seen before stays in force, also if a file holds less now.
        let before = self.texts.values().map(String::as_str);
        for signed in before.flat_map(SignedRevocations::lines).flatten() {
            if let Ok(verified) = signed.verify(&fresh.current.vendors) {
                let key = verified.vendor().to_string();
                let mut revoked = (*fresh.current.revoked).clone();
                if revoked.advance(verified).is_ok() {
                    fresh.current.revoked = Arc::new(revoked);
                    fresh.texts.insert(key, signed.to_text());
                }
            }
        }
        fresh.last_check = self.last_check;
        fresh.current.generation = self.current.generation;
        fresh.publish();
        *self = fresh;
        Ok(())
    }

    /// Returns the keys and the newest good lists, after reading the files again that have changed.
    /// A bad or older list is ignored, with a warning in the log.
    pub(crate) fn current(&mut self, now: Duration) -> TrustSnapshot {
        if now >= self.last_check + CHECK_INTERVAL {
            self.last_check = now;
            for at in 0..self.files.len() {
                let path = self.files[at].path.clone();
                let modified = modified(&path);
                if modified != self.files[at].modified {
                    self.files[at].modified = modified;
                    if let Err(error) = self.read(&path) {
                        warn!(%error, "the old revocation lists stay");
                    }
                }
            }
        }
        self.current.clone()
    }

    /// Returns the generation of the present keys and lists, without looking at the files.
    pub(crate) fn generation(&self) -> u64 {
        self.current.generation
    }

    /// Returns the keys in whose list nobody can trust on that day: it is missing or outdated.
    pub(crate) fn keys_without_list(&self, today: UnixTime) -> Vec<String> {
        let vendors = self.current.vendors.iter();
        let without = vendors.filter(|vendor| !self.current.revoked.is_current(vendor, today));
        without.map(ToString::to_string).collect()
    }

    /// Logs every key whose list has begun to end, has ended, is missing, or is good again.
    pub(crate) fn log_freshness(&mut self, today: UnixTime) {
        let fresh: Vec<_> = self
            .current
            .vendors
            .iter()
            .map(|vendor| freshness(&self.current.revoked, vendor, today))
            .collect();
        for (at, vendor) in self.current.vendors.iter().enumerate() {
            let before = self.logged.get(at).copied().unwrap_or(Freshness::Good);
            if before != fresh[at] {
                log_change(vendor, fresh[at]);
            }
        }
        self.logged = fresh;
    }

    /// Takes a file's lists: all of them, or none if one is bad.
    fn read(&mut self, path: &Path) -> Result<(), StartError> {
        let bad = |error| StartError::Revocations {
            path: path.to_owned(),
            error,
        };
        let text = read_bounded(path).map_err(|error| StartError::ReadRevocations {
            path: path.to_owned(),
            error,
        })?;
        let mut revoked = (*self.current.revoked).clone();
        let mut texts = self.texts.clone();
        for signed in SignedRevocations::lines(&text) {
            let signed = signed.map_err(bad)?;
            let verified = signed.verify(&self.current.vendors).map_err(bad)?;
            let key = verified.vendor();
            let number = verified.list().number;
            revoked.advance(verified).map_err(bad)?;
            texts.insert(key.to_string(), signed.to_text());
            info!(%key, number, "a revocation list was read");
        }
        self.current.revoked = Arc::new(revoked);
        self.texts = texts;
        self.publish();
        Ok(())
    }

    fn publish(&mut self) {
        let lines: Vec<_> = self.texts.values().map(String::as_str).collect();
        self.current.text = (!lines.is_empty()).then(|| lines.join("\n").into());
        self.current.generation += 1;
    }
}

fn freshness(revoked: &Revocations, vendor: &VendorPublicKey, today: UnixTime) -> Freshness {
    match revoked.list(vendor) {
        None => Freshness::Missing,
        Some(list) if !list.is_current(today) => Freshness::Outdated,
        Some(list) if list.until.seconds_since(today) < WARNING_SECONDS => Freshness::Ending,
        Some(_) => Freshness::Good,
    }
}

fn log_change(key: &VendorPublicKey, freshness: Freshness) {
    match freshness {
        Freshness::Good => info!(%key, "the revocation list is good"),
        Freshness::Ending => warn!(
            %key,
            "the revocation list ends within three days: renew it with `etatuki-vendor revocations renew`"
        ),
        Freshness::Outdated => warn!(
            %key,
            "the revocation list is outdated, and customers' launchers refuse this key's agents: renew it with `etatuki-vendor revocations renew`"
        ),
        Freshness::Missing => warn!(
            %key,
            "there is no revocation list of this key, and customers' launchers refuse its agents: give the one from `etatuki-vendor revocations renew` with --revocations"
        ),
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
        .take(MAX_LISTS_TEXT as u64)
        .read_to_string(&mut text)?;
    Ok(text)
}
