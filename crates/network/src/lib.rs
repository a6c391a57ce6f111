//! How this machine reaches the service: one proxy setting, one certificate store and one resolver,
//! for the HTTP API and for the relay alike. And the [`Cause`] when it doesn't.
//!
//! | file | content |
//! |------|---------|
//! | `proxy`, `no_proxy` | proxies from the environment, and the hosts that need none |
//! | `gnome` | the proxies of the GNOME desktop |
//! | `certificates` | the system's certificate store, and a CA of the vendor's own |
//! | `resolver` | names to addresses, by the system's own rules |
//! | `http` | HTTP clients that keep to all of that |
//! | `cause` | why a connection failed, in one word for each |
//!
//! No session, no endpoint and no API belongs in here.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use url::Url;

mod cause;
mod certificates;
mod gnome;
mod http;
mod no_proxy;
mod proxy;
mod resolver;

pub use cause::{Cause, Unreachable};
pub use certificates::CertificateError;
pub use http::{ClientOptions, is_loopback};
pub use no_proxy::NoProxy;
pub use proxy::{Password, Proxy, ProxySettings, UnusedProxy};
pub use resolver::{Family, NAME_TIMEOUT, ResolveError, Resolver};

/// The network settings of this machine, read once. Clones share the resolver.
#[derive(Clone, Debug)]
pub struct Network {
    proxies: ProxySettings,
    verifier: Arc<dyn ServerCertVerifier>,
    resolver: Resolver,
}

impl Network {
    /// Reads the settings of this machine: environment, desktop, certificate store. `extra_ca` is a
    /// PEM file of CA certificates that are trusted besides the system's.
    ///
    /// Takes at most a second, which the desktop has for its answer. Sends nothing.
    ///
    /// # Errors
    /// The file can't be read, or holds no certificate.
    pub async fn from_system(extra_ca: Option<PathBuf>) -> Result<Self, CertificateError> {
        let loading = tokio::task::spawn_blocking(move || certificates::load(extra_ca.as_deref()));
        let (proxies, loaded) = tokio::join!(ProxySettings::from_system(), loading);
        Ok(Self {
            proxies,
            verifier: loaded.map_err(|_| CertificateError::Store)??,
            resolver: Resolver::default(),
        })
    }

    /// Returns the settings of this machine with other proxies.
    #[must_use]
    pub fn with_proxies(mut self, proxies: ProxySettings) -> Self {
        self.proxies = proxies;
        self
    }

    /// Returns the proxy for `url`; `None` if it is reached directly, as this machine itself is.
    #[must_use]
    pub fn proxy_for(&self, url: &Url) -> Option<&Proxy> {
        if is_loopback(url) {
            return None;
        }
        self.proxies.proxy_for(url)
    }

    /// Returns the proxy settings.
    #[must_use]
    pub fn proxies(&self) -> &ProxySettings {
        &self.proxies
    }

    /// Returns the check of servers' certificates.
    #[must_use]
    pub fn verifier(&self) -> Arc<dyn ServerCertVerifier> {
        self.verifier.clone()
    }

    /// Returns the resolver.
    #[must_use]
    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }
}
