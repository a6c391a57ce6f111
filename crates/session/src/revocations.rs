//! The newest revocation list of each vendor key that was ever seen. The lists come from the service
//! with every code, and are kept in a file, so that nobody can hand out older ones later.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use etatuki_session_core::{Failure, FailureName};
use etatuki_trust::{
    MAX_LISTS_TEXT, RevocationError, Revocations, SignedRevocations, StaleRevocations, UnixTime,
    VendorPublicKey,
};

/// The newest lists, and the signed text of each.
struct NewestLists {
    revoked: Revocations,
    texts: Vec<(VendorPublicKey, String)>,
}

impl NewestLists {
    /// Takes every list of `text`, one a line, that is newer than the one of its key so far. Each
    /// is judged by itself: one that can't be used counts as not given, and if the list before it
    /// no longer counts, [`Revocations`] says so.
    fn take(&mut self, text: &str, vendors: &[VendorPublicKey], from: &'static str) {
        for list in SignedRevocations::lines(text) {
            match list.and_then(|list| self.advance(&list, vendors)) {
                Ok(()) => {}
                // The service may know a key that this registry doesn't know yet, or not any more.
                Err(RevocationError::UnknownVendor) => {
                    tracing::debug!(
                        from,
                        "a revocation list of a key that isn't in the registry"
                    );
                }
                Err(error) => tracing::warn!(from, %error, "a revocation list was not used"),
            }
        }
    }

    fn advance(
        &mut self,
        list: &SignedRevocations,
        vendors: &[VendorPublicKey],
    ) -> Result<(), RevocationError> {
        let verified = list.verify(vendors)?;
        let vendor = verified.vendor();
        self.revoked.advance(verified)?;
        self.texts.retain(|(key, _)| *key != vendor);
        self.texts.push((vendor, list.to_text()));
        Ok(())
    }

    /// Returns the lists as the file holds them.
    fn text(&self) -> String {
        self.texts
            .iter()
            .map(|(_, text)| format!("{text}\n"))
            .collect()
    }
}

/// Returns the newest of the lists kept in `file` and those `given` by the service.
///
/// Rewrites the file if the service's are newer.
pub(crate) fn newest(
    file: Option<&Path>,
    given: Option<&str>,
    vendors: &[VendorPublicKey],
    when_stale: StaleRevocations,
) -> Revocations {
    let mut newest = NewestLists {
        revoked: Revocations::new(when_stale),
        texts: Vec::new(),
    };
    newest.take(
        &file.and_then(read).unwrap_or_default(),
        vendors,
        "the kept file",
    );
    let kept = newest.text();
    newest.take(given.unwrap_or_default(), vendors, "the service");
    let text = newest.text();
    if let (Some(file), true) = (file, text != kept)
        && let Err(error) = store(file, &text)
    {
        tracing::warn!(%error, "the revocation lists could not be kept");
    }
    newest.revoked
}

/// Reads the kept lists. A missing file is normal; one that can't be read counts as missing,
/// because the user may delete it as well.
fn read(file: &Path) -> Option<String> {
    let mut text = String::new();
    let read = std::fs::File::open(file)
        .and_then(|file| file.take(MAX_LISTS_TEXT as u64).read_to_string(&mut text));
    match read {
        Ok(_) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(%error, "the kept revocation lists can't be read");
            None
        }
    }
}

/// Writes a new file and renames it over the old one, so that a crash leaves one of the two whole.
fn store(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let temporary = file.with_extension(format!("new-{}", std::process::id()));
    let mut new = std::fs::File::create(&temporary)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    std::fs::rename(&temporary, file)
}

/// Checks that agents of at least one vendor key can be let in. If a list would count by the
/// service's clock, this computer's clock is named; the service's word lets nobody in.
pub(crate) fn check_freshness(
    vendors: &[VendorPublicKey],
    revoked: &Revocations,
    service_time: Option<UnixTime>,
) -> Result<(), Failure> {
    let now = unix_time();
    if !vendors
        .iter()
        .all(|vendor| revoked.refuses_all(vendor, now))
    {
        return Ok(());
    }
    let newest = vendors.iter().filter_map(|vendor| revoked.list(vendor));
    let detail = match newest.max_by_key(|list| list.until) {
        None => "the service has no revocation list of the vendor's".to_owned(),
        Some(list) => format!(
            "the vendor's revocation list {} counted until {}, and this computer's clock says {now} (seconds since 1970)",
            list.number, list.until
        ),
    };
    let counts_there = |time| vendors.iter().any(|key| revoked.is_current(key, time));
    let name = if service_time.is_some_and(counts_there) {
        FailureName::ClockWrong
    } else {
        FailureName::RevocationsStale
    };
    Err(Failure::new(name, detail))
}

/// Returns the system's time. A clock before 1970 says 1970.
pub(crate) fn unix_time() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime(since.map_or(0, |since| since.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use etatuki_trust::{CardId, RevocationList, UnixTime, VendorKey};

    const UNTIL: UnixTime = UnixTime(1000);

    fn vendor() -> VendorKey {
        VendorKey::from_seed([1; 32])
    }

    fn successor() -> VendorKey {
        VendorKey::from_seed([2; 32])
    }

    fn list(key: &VendorKey, number: u64, serials: &[u64]) -> String {
        let revoked = RevocationList {
            number,
            until: UNTIL,
            serials: serials.iter().copied().collect(),
        };
        SignedRevocations::sign(key, revoked)
            .expect("a short list")
            .to_text()
    }

    /// One customer's state folder, and the keys in the registry.
    struct Customer {
        folder: tempfile::TempDir,
        vendors: Vec<VendorPublicKey>,
    }

    impl Customer {
        fn new(vendors: &[VendorKey]) -> Self {
            Self {
                folder: tempfile::tempdir().expect("a folder"),
                vendors: vendors.iter().map(VendorKey::public).collect(),
            }
        }

        fn file(&self) -> std::path::PathBuf {
            self.folder.path().join("state/revocations")
        }

        /// Fetches what the service gives, and returns what is in force then.
        fn fetch(&self, given: Option<&str>) -> Revocations {
            newest(
                Some(&self.file()),
                given,
                &self.vendors,
                StaleRevocations::Refuse,
            )
        }

        /// Checks the number of the vendor's list after each of these was given, one after the
        /// other.
        #[track_caller]
        fn check(&self, given: &[(Option<String>, Option<u64>)]) {
            for (text, expected) in given {
                let revoked = self.fetch(text.as_deref());
                let number = revoked.list(&self.vendors[0]).map(|list| list.number);
                assert_eq!(number, *expected, "after {text:?}");
            }
        }
    }

    fn is_revoked(revoked: &Revocations, key: &VendorKey, serial: u64) -> bool {
        let vendor = key.public();
        revoked.is_revoked(&CardId { vendor, serial })
    }

    #[test]
    fn the_highest_number_stays() {
        let of = |number| Some(list(&vendor(), number, &[number]));
        Customer::new(&[vendor()]).check(&[
            (None, None),
            (of(3), Some(3)),
            (of(2), Some(3)),
            (None, Some(3)),
            (of(3), Some(3)),
            (of(4), Some(4)),
            (None, Some(4)),
        ]);
    }

    #[test]
    fn the_same_number_with_other_serials_changes_nothing() {
        let customer = Customer::new(&[vendor()]);
        customer.check(&[
            (Some(list(&vendor(), 3, &[1, 2])), Some(3)),
            (Some(list(&vendor(), 3, &[])), Some(3)),
        ]);
        assert!(is_revoked(&customer.fetch(None), &vendor(), 1));
    }

    #[test]
    fn a_new_keys_list_takes_nobody_in_again_whom_the_old_keys_list_revoked() {
        let customer = Customer::new(&[vendor(), successor()]);
        customer.fetch(Some(&list(&vendor(), 100, &[7])));
        let both = format!(
            "{}\n{}\n",
            list(&vendor(), 100, &[7]),
            list(&successor(), 200, &[9])
        );
        for given in [Some(list(&successor(), 200, &[9])), Some(both), None] {
            let revoked = customer.fetch(given.as_deref());
            assert!(is_revoked(&revoked, &vendor(), 7), "after {given:?}");
            assert!(is_revoked(&revoked, &successor(), 9), "after {given:?}");
            assert!(!is_revoked(&revoked, &successor(), 7), "after {given:?}");
        }
        let kept = std::fs::read_to_string(customer.file()).expect("kept");
        assert_eq!(kept.lines().count(), 2);
    }

    #[test]
    fn a_list_that_cant_be_used_spoils_no_other() {
        let customer = Customer::new(&[vendor()]);
        let stranger = list(&VendorKey::from_seed([3; 32]), 9, &[]);
        let mut forged = list(&vendor(), 8, &[]);
        forged.replace_range(forged.len() - 4.., "AAAA");
        let good = list(&vendor(), 5, &[5]);
        customer.check(&[
            (Some(stranger.clone()), None),
            (Some("etrevoked2-nonsense".into()), None),
            (
                Some(format!("{stranger}\nrubbish\n{forged}\n{good}")),
                Some(5),
            ),
            (Some(forged), Some(5)),
        ]);
    }

    #[test]
    fn a_withheld_list_counts_until_its_end_and_no_longer() {
        let customer = Customer::new(&[vendor()]);
        let before = UnixTime(UNTIL.0 - 1);
        assert!(customer.fetch(None).refuses_all(&vendor().public(), before));
        customer.fetch(Some(&list(&vendor(), 5, &[])));
        let kept = customer.fetch(None);
        assert!(!kept.refuses_all(&vendor().public(), before));
        assert!(kept.refuses_all(&vendor().public(), UNTIL));
    }

    #[test]
    fn a_broken_file_is_replaced() {
        let customer = Customer::new(&[vendor()]);
        std::fs::create_dir_all(customer.file().parent().expect("a folder")).expect("made");
        std::fs::write(customer.file(), [0xff; 100]).expect("written");
        let given = list(&vendor(), 5, &[5]);
        assert!(is_revoked(&customer.fetch(Some(&given)), &vendor(), 5));
        let kept = std::fs::read_to_string(customer.file()).expect("kept");
        assert_eq!(kept.trim(), given);
    }
}
