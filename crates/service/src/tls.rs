//! The certificate that the service ends TLS with.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::SystemTime,
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

use crate::{
    address_discovery::AddressDiscovery,
    config::{StartError, TlsFiles},
};

/// The certificate of new connections, and its files. Connections that are up keep theirs.
pub(crate) struct CurrentCertificate {
    /// `None` for plain HTTP.
    acceptor: RwLock<Option<TlsAcceptor>>,
    discovery: Option<AddressDiscovery>,
    files: Mutex<Option<WatchedFiles>>,
}

/// The files of a certificate.
struct WatchedFiles {
    files: TlsFiles,
    /// Their stamps when they were last read, whether they could be used or not.
    seen: [FileStamp; 2],
}

impl WatchedFiles {
    fn new(files: &TlsFiles) -> Self {
        Self {
            files: files.clone(),
            seen: stamps(files),
        }
    }
}

impl CurrentCertificate {
    /// Begins with what `files` held when `acceptor` was made of them.
    pub(crate) fn new(
        acceptor: Option<TlsAcceptor>,
        discovery: Option<AddressDiscovery>,
        files: Option<&TlsFiles>,
    ) -> Self {
        Self {
            acceptor: RwLock::new(acceptor),
            discovery,
            files: Mutex::new(files.map(WatchedFiles::new)),
        }
    }

    /// Returns the acceptor of a new connection; `None` for plain HTTP.
    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        let current = self.acceptor.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the UDP port of address discovery, if there is one.
    pub(crate) fn quic_port(&self) -> Option<u16> {
        self.discovery.as_ref().map(AddressDiscovery::port)
    }

    /// Returns the files of the certificate; `None` for plain HTTP.
    pub(crate) fn files(&self) -> Option<TlsFiles> {
        let watched = self.lock_files();
        watched.as_ref().map(|watched| watched.files.clone())
    }

    /// Reads these files, and watches them from now on.
    ///
    /// # Errors
    /// [`StartError::Certificate`]; the certificate stays as it was.
    pub(crate) fn reload(&self, files: &TlsFiles) -> Result<(), StartError> {
        *self.lock_files() = Some(WatchedFiles::new(files));
        let renewed = acceptor(files)?;
        if let Some(discovery) = &self.discovery {
            discovery.reload(files)?;
        }
        *self
            .acceptor
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(renewed);
        Ok(())
    }

    /// Reads the files again if they have changed. One that can't be used is said once, and read again
    /// when it changes again: whoever renews a certificate writes one file after the other.
    pub(crate) fn look(&self) {
        let changed = {
            let watched = self.lock_files();
            let changed = watched
                .as_ref()
                .filter(|watched| watched.seen != stamps(&watched.files));
            changed.map(|watched| watched.files.clone())
        };
        let Some(files) = changed else {
            return;
        };
        match self.reload(&files) {
            Ok(()) => info!("the certificate has changed: new connections get the new one"),
            Err(error) => error!(%error, "the certificate has changed; the one before stays"),
        }
    }

    fn lock_files(&self) -> MutexGuard<'_, Option<WatchedFiles>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CurrentCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CurrentCertificate(..)")
    }
}

/// A file's length and time of change; `None` for one that isn't there.
type FileStamp = Option<(u64, SystemTime)>;

/// Returns the stamps of certificate and key.
fn stamps(files: &TlsFiles) -> [FileStamp; 2] {
    [&files.certificate, &files.key].map(|path| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.len(), file.modified().ok()?))
    })
}

/// Returns an acceptor for `files`, after checking that key and chain belong together.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, StartError> {
    Ok(TlsAcceptor::from(Arc::new(server_config(
        files,
        b"http/1.1",
    )?)))
}

/// Returns the configuration of TLS for `files` and an application's protocol (ALPN), after checking
/// that key and chain belong together.
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
