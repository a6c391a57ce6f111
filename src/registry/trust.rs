//! The trust in a registry's file: a signature of the vendor's, or a place that only root can
//! write.

use std::io;
use std::path::{Path, PathBuf};

use super::installed::read_bounded;
use super::load_error::LoadError;
use super::signature::{self, BuildTrust};

/// Returns whether the vendor has signed `text`, the content of `file`. A wrong signature is an
/// error; so is a missing one where the build takes signed registries only.
pub(super) fn is_signed(file: &Path, text: &str, trust: &BuildTrust) -> Result<bool, LoadError> {
    let mut signature = file.as_os_str().to_owned();
    signature.push(signature::EXTENSION);
    let signature = PathBuf::from(signature);
    let content = match read_bounded(&signature, signature::MAX_BYTES) {
        Ok(content) => Some(content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => return Err(LoadError::BadSignature { signature }),
    };
    match (&trust.key, content) {
        (Some(key), Some(content)) if key.has_signed(text.as_bytes(), &content) => Ok(true),
        (Some(_), Some(_)) => Err(LoadError::BadSignature { signature }),
        _ if trust.signed_only => {
            let file = file.to_owned();
            Err(LoadError::Unsigned { file, signature })
        }
        (Some(_), None) => {
            tracing::warn!("the registry {} isn't signed", file.display());
            Ok(false)
        }
        (None, _) => Ok(false),
    }
}

/// Returns the first of the file and the folders above it that others than root can write.
#[cfg(unix)]
pub(super) fn writable_by_others(file: &Path) -> io::Result<Option<PathBuf>> {
    use std::os::unix::fs::MetadataExt as _;
    const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
    for path in file.ancestors() {
        let metadata = path.metadata()?;
        if metadata.uid() != 0 || metadata.mode() & GROUP_OR_OTHERS_WRITE != 0 {
            return Ok(Some(path.to_owned()));
        }
    }
    Ok(None)
}

/// Returns `file`: access lists of other systems aren't read yet, so nothing is trusted there.
#[cfg(not(unix))]
pub(super) fn writable_by_others(file: &Path) -> io::Result<Option<PathBuf>> {
    Ok(Some(file.to_owned()))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn root_alone_may_write() {
        assert_eq!(writable_by_others(Path::new("/etc/passwd")).unwrap(), None);
        let shared = writable_by_others(Path::new("/tmp")).unwrap();
        assert_eq!(shared, Some(PathBuf::from("/tmp")));
    }
}
