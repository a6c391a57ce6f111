//! The stand-in for the system's secret store in a build without it.

use zeroize::Zeroizing;

/// The secret store, which isn't there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SecretStore {
    /// The one of this desktop session.
    Session,
    /// None.
    Absent,
}

/// The reason why the store wasn't used.
#[derive(Debug, thiserror::Error)]
#[error("this build has no secret store")]
pub(crate) struct SecretStoreError;

impl SecretStore {
    pub(crate) const fn put(self, _text: &str) -> Result<(), SecretStoreError> {
        Err(SecretStoreError)
    }

    pub(crate) const fn peek(self) -> Result<Option<Zeroizing<String>>, SecretStoreError> {
        Err(SecretStoreError)
    }

    pub(crate) const fn take(self) -> Result<Option<Zeroizing<String>>, SecretStoreError> {
        Err(SecretStoreError)
    }

    pub(crate) const fn remove(self) -> Result<(), SecretStoreError> {
        Err(SecretStoreError)
    }
}
