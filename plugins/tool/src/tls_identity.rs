//! The TLS key and certificate of one session, never written to a disk.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use etatuki_backend_api::Failure;
use rsa::PrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use rustix::fs::{MemfdFlags, memfd_create};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

/// Size of the RSA key. The tools of that generation take nothing but RSA, and were made for 2048
/// bits.
const KEY_BITS: usize = 2048;
/// The name in the certificate: both ends are on one machine.
pub(crate) const CERTIFICATE_NAME: &str = "localhost";

/// A key and its self-signed certificate.
pub(crate) struct TlsIdentity {
    pem: Zeroizing<String>,
    certificate: CertificateDer<'static>,
}

impl TlsIdentity {
    /// Generates a key and its certificate. Takes some hundred milliseconds.
    pub(crate) fn generate() -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::ours("plugin-failed", format!("session key: {error}"))
        };
        let key = PrivateKey::new(&mut rsa::rand_core::UnwrapErr(getrandom::SysRng), KEY_BITS)
            .map_err(|e| failed(&e))?;
        let der = key.to_pkcs8_der().map_err(|e| failed(&e))?;
        let pkcs8 = PrivatePkcs8KeyDer::from(der.as_bytes());
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &rcgen::PKCS_RSA_SHA256)
            .map_err(|e| failed(&e))?;
        let params = rcgen::CertificateParams::new(vec![CERTIFICATE_NAME.to_owned()])
            .map_err(|e| failed(&e))?;
        let certificate = params.self_signed(&pair).map_err(|e| failed(&e))?;
        let pem = Zeroizing::new(format!(
            "{}{}",
            *Zeroizing::new(pair.serialize_pem()),
            certificate.pem()
        ));
        Ok(Self {
            pem,
            certificate: certificate.der().clone(),
        })
    }

    /// Creates a file in memory with both as PEM. A child process inherits it and reads
    /// `/proc/self/fd/N`.
    pub(crate) fn pem_file(&self) -> std::io::Result<OwnedFd> {
        let file = memfd_create("etatuki-session", MemfdFlags::empty())?;
        let mut file = std::fs::File::from(file);
        file.write_all(self.pem.as_bytes())?;
        Ok(file.into())
    }

    /// Returns the configuration of a client that trusts this certificate alone.
    pub(crate) fn client_config(&self) -> Result<Arc<ClientConfig>, Failure> {
        let failed = |error: rustls::Error| Failure::ours("plugin-failed", format!("TLS: {error}"));
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(failed)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}
