//! The certificate that the service ends TLS with.

use std::{
    fmt,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio_rustls::TlsAcceptor;

use crate::config::{StartError, TlsFiles};

/// The acceptor of new connections; `None` for plain HTTP. Connections that are up keep theirs.
pub(crate) struct CurrentAcceptor(RwLock<Option<TlsAcceptor>>);

impl CurrentAcceptor {
    pub(crate) const fn new(acceptor: Option<TlsAcceptor>) -> Self {
        Self(RwLock::new(acceptor))
    }

    pub(crate) fn get(&self) -> Option<TlsAcceptor> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    pub(crate) fn replace(&self, acceptor: Option<TlsAcceptor>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
    }
}

impl fmt::Debug for CurrentAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CurrentAcceptor(..)")
    }
}

/// Returns an acceptor for `files`, after checking that key and chain belong together.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, StartError> {
    Ok(TlsAcceptor::from(Arc::new(server_config(
        files,
        b"http/1.1",
    )?)))
}

/// Returns the configuration of TLS for `files` and an application's protocol (ALPN), after checking that key and chain
/// belong together.
pub(crate) fn server_config(files: &TlsFiles, alpn: &[u8]) -> Result<ServerConfig, StartError> {
    let bad = |path: &Path, reason: String| StartError::Certificate {
        path: path.to_owned(),
        reason,
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(&files.certificate, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| bad(&files.key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_no_client_auth())
        .and_then(|builder| builder.with_single_cert(chain, key))
        .map_err(|error| bad(&files.certificate, error.to_string()))?;
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}
