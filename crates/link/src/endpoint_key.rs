//! The identity of an endpoint, which is made before the endpoint is opened: the service binds the
//! relay ticket to it.

use std::fmt;

use etatuki_trust::LinkCredentials;
use iroh::SecretKey;

/// The key pair of one endpoint. Zeroized on drop.
#[derive(Clone)]
pub struct EndpointKey(SecretKey);

impl EndpointKey {
    /// Makes a fresh key from the system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self(SecretKey::generate())
    }

    /// Returns the key of an endpoint that goes on after a restart of its machine.
    #[must_use]
    pub fn restored(link: &LinkCredentials) -> Self {
        Self::from_bytes(link.endpoint_key.expose())
    }

    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(SecretKey::from_bytes(bytes))
    }

    /// Returns the endpoint's id, as the service wants it: 64 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        self.0.public().to_string()
    }

    pub(crate) fn secret(&self) -> SecretKey {
        self.0.clone()
    }
}

impl fmt::Debug for EndpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointKey({})", self.id())
    }
}
