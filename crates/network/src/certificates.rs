//! The one store of CA certificates: the system's, and a CA of the vendor's own if one is given.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use rustls_platform_verifier::Verifier;

/// Most certificates of a file that are taken.
const MAX_EXTRA: usize = 32;

/// The certificate store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file of the vendor's CA can't be read.
    #[error("{} can't be read as certificates: {reason}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The fault, in words.
        reason: String,
    },
    /// There is no store at all.
    #[error("the certificate store can't be used")]
    Store,
}

/// Loads the system's store and the certificates in the PEM file `extra_ca`. A system without a
/// store gets Mozilla's list, as of the build.
pub(crate) fn load(
    extra_ca: Option<&Path>,
) -> Result<Arc<dyn ServerCertVerifier>, CertificateError> {
    let extra = extra_ca.map(read).transpose()?.unwrap_or_default();
    let provider = Arc::new(ring::default_provider());
    match Verifier::new_with_extra_roots(extra.iter().cloned(), provider.clone()) {
        Ok(verifier) => return Ok(Arc::new(verifier)),
        Err(error) => tracing::warn!(%error, "Mozilla's certificates are used"),
    }
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    roots.add_parsable_certificates(extra);
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    Ok(verifier.map_err(|_| CertificateError::Store)?)
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let error = |reason: String| CertificateError::File {
        file: file.to_owned(),
        reason,
    };
    let certificates = CertificateDer::pem_file_iter(file).map_err(|e| error(e.to_string()))?;
    let certificates: Vec<_> = certificates
        .take(MAX_EXTRA)
        .collect::<Result<_, _>>()
        .map_err(|e| error(e.to_string()))?;
    if certificates.is_empty() {
        return Err(error("there is none in it".into()));
    }
    Ok(certificates)
}
