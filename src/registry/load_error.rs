//! The errors of loading an installed registry.

use std::io;
use std::path::PathBuf;

use super::RegistryError;
use super::signature::BadBuildKey;
pub use super::vendor_contact::VendorContact;

/// The reason why there is no registry to work with.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No candidate file exists.
    #[error(
        "there is no registry: looked for {}; install one there, or name one with --registry FILE \
         while developing",
        list(looked)
    )]
    Nowhere {
        /// The candidates.
        looked: Vec<PathBuf>,
    },
    /// The file can't be read.
    #[error("can't read the registry {}: {error}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// Others than administrators could have written the file.
    #[error(
        "the registry {} isn't trusted, for others than administrators can write {}; install it where \
         only root can write, or name it with --registry FILE while developing",
        file.display(), writable.display()
    )]
    NotTrusted {
        /// The registry.
        file: PathBuf,
        /// The file, or the folder above it, that others can write.
        writable: PathBuf,
    },
    /// The signature isn't the vendor's, or not of this text.
    #[error(
        "the signature {} isn't the vendor's, or the registry was changed after it was signed; install both \
         again as the vendor ships them",
        signature.display()
    )]
    BadSignature {
        /// The signature's file.
        signature: PathBuf,
    },
    /// The registry has no signature, and this build wants one.
    #[error(
        "the registry {} isn't signed, and this build takes none that isn't; put the vendor's {} beside it",
        file.display(), signature.display()
    )]
    Unsigned {
        /// The registry.
        file: PathBuf,
        /// The place of its signature.
        signature: PathBuf,
    },
    /// A plugin has neither a hash nor a signing key.
    #[error(
        "the registry {} has no sha256 and no minisign key for backend `{id}`, so that any file could pass for \
         its plugin; add one (`sha256sum` prints the first)",
        file.display()
    )]
    Unpinned {
        /// The registry.
        file: PathBuf,
        /// The backend.
        id: String,
    },
    /// The build's own key is malformed.
    #[error(transparent)]
    Build(#[from] BadBuildKey),
    /// The registry's content is wrong.
    #[error("{error}")]
    Broken {
        /// The mistake.
        error: RegistryError,
        /// The vendor, as far as it could be read all the same.
        vendor: Option<Box<VendorContact>>,
    },
}

impl LoadError {
    /// Returns the vendor, if the registry comes from a trusted place and names one.
    pub fn vendor(&self) -> Option<&VendorContact> {
        match self {
            LoadError::Broken { vendor, .. } => vendor.as_deref(),
            _ => None,
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(" and ")
}
