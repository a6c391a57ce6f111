//! A registry that the vendor has signed (minisign), for installations whose folder others than administrators can
//! write. The key comes with the build, for whoever can exchange a file could exchange a key beside it.

use minisign_verify::{PublicKey, Signature};

/// The longest signature file that is read, in bytes; minisign's own have some 300.
pub const MAX_BYTES: usize = 4096;
/// What follows the registry's file name in that of its signature.
pub const EXTENSION: &str = ".minisig";

/// Whom a build believes besides a folder that root alone can write.
#[derive(Clone, Debug, Default)]
pub struct BuildTrust {
    /// The key that signs this vendor's registries.
    pub key: Option<RegistryKey>,
    /// No folder will do: the registry has to be signed.
    pub signed_only: bool,
}

/// The key of a build isn't one: a mistake of whoever built it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this build carries a registry key that is none; build it anew with ETATUKI_REGISTRY_KEY set to the \
     second line of minisign.pub"
)]
pub struct BadBuildKey;

impl BuildTrust {
    /// What this build was made with: `ETATUKI_REGISTRY_KEY`, a minisign public key (`RW…`), and
    /// `ETATUKI_SIGNED_REGISTRY_ONLY`, set to anything.
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
    /// From its base64 form, the second line of a `minisign.pub`.
    pub fn parse(base64: &str) -> Option<Self> {
        PublicKey::from_base64(base64.trim()).ok().map(Self)
    }

    /// Whether `signature`, the text of a `.minisig` file, is this key's for these bytes. Signatures of the old kind,
    /// which aren't over a hash, are none.
    pub fn has_signed(&self, registry: &[u8], signature: &str) -> bool {
        Signature::decode(signature)
            .is_ok_and(|signature| self.0.verify(registry, &signature, false).is_ok())
    }
}
