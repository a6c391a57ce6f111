//! The newest revocation list ever seen. It comes from the service at a session's start and is kept
//! in a file, so that nobody can hand out an older one later.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use etatuki_trust::{RevocationError, Revocations, SignedRevocations, VendorPublicKey};

/// Bytes of the file that are read; more than any list that the vendor's tool signs.
const MAX_FILE_BYTES: u64 = 300_000;

/// Returns the newer one of the list kept in `file` and the list `given` by the service.
///
/// Rewrites the file if the service's list is newer. Refuses an older list of the service's, and
/// the kept one stays in force.
///
/// # Errors
/// The service's list isn't the vendor's, or differs from the kept one under the same number.
pub(crate) fn newest(
    file: Option<&Path>,
    given: Option<&str>,
    vendors: &[VendorPublicKey],
) -> Result<Revocations, RevocationError> {
    let mut newest = file
        .and_then(|file| load(file, vendors))
        .unwrap_or_default();
    let Some(text) = given else { return Ok(newest) };
    let found = SignedRevocations::from_text(text.trim())?.verify(vendors)?;
    let before = newest.number;
    match newest.advance(found) {
        Ok(()) => {}
        Err(RevocationError::Older { seen, found }) => {
            tracing::warn!(
                seen,
                found,
                "the service's revocation list is older than one seen before"
            );
            return Ok(newest);
        }
        Err(error) => return Err(error),
    }
    if let (Some(file), true) = (file, newest.number > before)
        && let Err(error) = store(file, text)
    {
        tracing::warn!(%error, "the revocation list could not be kept");
    }
    Ok(newest)
}

/// Reads the kept list. A missing file is normal; a file that isn't the vendor's counts as missing,
/// because the user may delete it as well.
fn load(file: &Path, vendors: &[VendorPublicKey]) -> Option<Revocations> {
    let text = match read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(%error, "the kept revocation list can't be read");
            return None;
        }
    };
    let list = SignedRevocations::from_text(text.trim()).and_then(|list| list.verify(vendors));
    list.inspect_err(|error| tracing::warn!(%error, "the kept revocation list is not used"))
        .ok()
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(file)?
        .take(MAX_FILE_BYTES)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// Writes a new file and renames it over the old one, so that a crash leaves one of the two whole.
fn store(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let temporary = file.with_extension(format!("new-{}", std::process::id()));
    let mut new = std::fs::File::create(&temporary)?;
    new.write_all(text.trim().as_bytes())?;
    new.write_all(b"\n")?;
    new.sync_all()?;
    std::fs::rename(&temporary, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use etatuki_trust::VendorKey;

    fn vendor() -> VendorKey {
        VendorKey::from_seed([1; 32])
    }

    fn list(key: &VendorKey, number: u64, serials: &[u64]) -> String {
        let revoked = Revocations {
            number,
            serials: serials.iter().copied().collect(),
        };
        SignedRevocations::sign(key, revoked)
            .expect("a short list")
            .to_text()
    }

    /// Lists that come one after the other, and what is in force after each.
    #[track_caller]
    fn check(given: &[(Option<String>, Result<u64, RevocationError>)]) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("state/revocations");
        for (text, expected) in given {
            let found = newest(Some(&file), text.as_deref(), &[vendor().public()]);
            assert_eq!(found.map(|list| list.number), *expected);
        }
    }

    #[test]
    fn the_highest_number_stays() {
        let of = |number| Some(list(&vendor(), number, &[number]));
        check(&[
            (None, Ok(0)),
            (of(3), Ok(3)),
            (of(2), Ok(3)),
            (None, Ok(3)),
            (of(3), Ok(3)),
            (of(4), Ok(4)),
            (None, Ok(4)),
        ]);
    }

    #[test]
    fn the_same_number_with_other_serials_changes_nothing() {
        check(&[
            (Some(list(&vendor(), 3, &[1, 2])), Ok(3)),
            (Some(list(&vendor(), 3, &[])), Ok(3)),
        ]);
    }

    #[test]
    fn a_list_of_somebody_else_is_an_error_and_is_not_kept() {
        let other = VendorKey::from_seed([2; 32]);
        check(&[
            (
                Some(list(&other, 9, &[])),
                Err(RevocationError::UnknownVendor),
            ),
            (
                Some("etrevoked1-nonsense".into()),
                Err(RevocationError::Malformed),
            ),
            (None, Ok(0)),
        ]);
    }

    #[test]
    fn a_broken_file_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("revocations");
        std::fs::write(&file, [0xff; 100]).expect("written");
        let given = list(&vendor(), 5, &[5]);
        let found = newest(Some(&file), Some(&given), &[vendor().public()]).expect("a good list");
        assert_eq!(found.number, 5);
        assert_eq!(std::fs::read_to_string(&file).expect("kept").trim(), given);
    }
}
