//! Signatures of registries (minisign), for installations whose folder others than administrators
//! can write. The key comes with the build, because an attacker who can replace a file could replace a
//! key beside it.

use minisign_verify::{PublicKey, Signature};

/// Longest signature file; minisign's own have some 300 bytes.
pub const MAX_BYTES: usize = 4096;
/// The suffix of a signature's file name, after the registry's.
pub const EXTENSION: &str = ".minisig";

/// The trust that is built into an executable, besides folders that root alone can write.
#[derive(Clone, Debug, Default)]
pub struct BuildTrust {
    /// The key that signs this vendor's registries.
    pub key: Option<RegistryKey>,
    /// Whether the registry has to be signed, wherever it is.
    pub signed_only: bool,
}

/// The key of a build isn't one: a mistake of its builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this build carries a registry key that is none; build it anew with ETATUKI_REGISTRY_KEY set to the \
     second line of minisign.pub"
)]
pub struct BadBuildKey;

impl BuildTrust {
    /// Returns the trust of this build, set by two environment variables when it is built:
    /// `ETATUKI_REGISTRY_KEY`, a minisign public key (`RW…`), and `ETATUKI_SIGNED_REGISTRY_ONLY`,
    /// set to anything.
    ///
    /// # Errors
    /// The key isn't one.
    pub fn of_build() -> Result<Self, BadBuildKey> {
        let key = option_env!("ETATUKI_REGISTRY_KEY").filter(|key| !key.is_empty());
        let key = key.map(|key| RegistryKey::parse(key).ok_or(BadBuildKey));
        Ok(Self {
            key: key.transpose()?,
            signed_only: option_env!("ETATUKI_SIGNED_REGISTRY_ONLY").is_some(),
        })
    }
}

/// A minisign public key.
#[derive(Clone, Debug)]
pub struct RegistryKey(PublicKey);

impl RegistryKey {
    /// Parses the base64 form, the second line of a `minisign.pub`.
    pub fn parse(base64: &str) -> Option<Self> {
        PublicKey::from_base64(base64.trim()).ok().map(Self)
    }

    /// Returns whether `signature`, the text of a `.minisig` file, is this key's for `registry`.
    /// Signatures of the legacy kind, which aren't over a hash, are refused.
    pub fn has_signed(&self, registry: &[u8], signature: &str) -> bool {
        Signature::decode(signature)
            .is_ok_and(|signature| self.0.verify(registry, &signature, false).is_ok())
    }
}
