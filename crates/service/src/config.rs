//! The configuration of a service, and the errors that stop its start.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use etatuki_trust::{
    MAX_RELAYS, MAX_VENDOR_KEYS, OriginError, RevocationError, VendorPublicKey, service_origin,
};

use crate::{clock::Clock, rate_limit::Quota};

/// The configuration of a service.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The vendor's public keys; at least one.
    pub vendors: Vec<VendorPublicKey>,
    /// The files of the vendor keys' signed revocation lists; read again when they change.
    pub revocations: Vec<PathBuf>,
    /// The URL by which clients reach the service; `None` if it is the address listened on.
    pub public_url: Option<String>,
    /// The URLs of the relays that sessions name, in this order: the later ones stand in for the
    /// first. Empty if there is none but this service's own, at the public URL.
    pub relays: Vec<String>,
    /// The address at which metrics are told, in plain HTTP; `None` tells them nowhere.
    pub metrics: Option<SocketAddr>,
    /// The certificate, if the service ends TLS itself.
    pub tls: Option<TlsFiles>,
    /// The UDP port of address discovery, at the IP address of `listen`; 0 picks a free one, `None`
    /// goes without. It takes `tls`: without a certificate there is none.
    pub quic_port: Option<u16>,
    /// The file of the keys that tokens and tickets are signed with; made at the first start.
    /// `None` makes a key for this run alone.
    pub key_ring: Option<PathBuf>,
    /// The limits on resources and rates.
    pub limits: Limits,
    /// The source of time.
    pub clock: Clock,
}

impl Config {
    /// Returns the configuration of a plain HTTP service at `listen`, with default limits.
    #[must_use]
    pub fn new(listen: SocketAddr, vendors: Vec<VendorPublicKey>) -> Self {
        Self {
            listen,
            vendors,
            revocations: Vec::new(),
            public_url: None,
            relays: Vec::new(),
            metrics: None,
            tls: None,
            quic_port: Some(listen.port()),
            key_ring: None,
            limits: Limits::default(),
            clock: Clock::system(),
        }
    }
}

impl Config {
    /// Returns the URL of a service that listens on `addr`.
    pub(crate) fn listening(&self, addr: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{addr}")
    }

    /// Returns the origin at which clients find a service that listens on `addr`.
    ///
    /// # Errors
    /// [`StartError::PublicUrl`] or [`StartError::NoPublicUrl`].
    pub(crate) fn origin(&self, addr: SocketAddr) -> Result<String, StartError> {
        let url = match &self.public_url {
            Some(url) => url.clone(),
            None if addr.ip().is_unspecified() => return Err(StartError::NoPublicUrl(addr)),
            None => self.listening(addr),
        };
        service_origin(&url).map_err(|error| StartError::PublicUrl { url, error })
    }
}

/// The files of a certificate, both PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate chain, the service's own first.
    pub certificate: PathBuf,
    /// Its private key: PKCS #8, SEC 1 or PKCS #1.
    pub key: PathBuf,
}

/// The limits on resources and rates. "Address" is an IPv4 address or an IPv6 /56.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Waiting sessions at a time.
    pub sessions: usize,
    /// Connections at a time.
    pub connections: usize,
    /// Connections of one address at a time.
    pub connections_per_address: u32,
    /// Requests of any kind, per address.
    pub requests: Quota,
    /// Sessions opened, per address.
    pub session_opens: Quota,
    /// Challenges and agents' tokens asked for, per address.
    pub agent_auth: Quota,
    /// Look-ups, per address.
    pub lookups_per_address: Quota,
    /// Look-ups, per agent's card.
    pub lookups_per_agent: Quota,
    /// Look-ups, per nameplate.
    pub lookups_per_nameplate: Quota,
    /// Tokens issued, per agent's card.
    pub tokens_per_agent: Quota,
    /// Changes of the customer's address, per session.
    pub address_changes: Quota,
    /// Bytes a second that one relayed connection may send; twice as many at once.
    pub relay_bytes_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 20_000,
            connections: 50_000,
            connections_per_address: 1_000,
            requests: Quota::new(300, Duration::from_millis(20)),
            session_opens: Quota::new(30, Duration::from_secs(2)),
            agent_auth: Quota::new(40, Duration::from_secs(1)),
            lookups_per_address: Quota::new(60, Duration::from_secs(1)),
            lookups_per_agent: Quota::new(20, Duration::from_secs(2)),
            lookups_per_nameplate: Quota::new(20, Duration::from_secs(3)),
            tokens_per_agent: Quota::new(10, Duration::from_secs(6)),
            address_changes: Quota::new(20, Duration::from_secs(1)),
            relay_bytes_per_second: 16 * 1024 * 1024,
        }
    }
}

impl Limits {
    /// Returns the default bounds on memory without any rate limit: for load tests.
    #[must_use]
    pub fn without_rate_limits() -> Self {
        Self {
            connections_per_address: u32::MAX,
            requests: Quota::UNLIMITED,
            session_opens: Quota::UNLIMITED,
            agent_auth: Quota::UNLIMITED,
            lookups_per_address: Quota::UNLIMITED,
            lookups_per_agent: Quota::UNLIMITED,
            lookups_per_nameplate: Quota::UNLIMITED,
            tokens_per_agent: Quota::UNLIMITED,
            address_changes: Quota::UNLIMITED,
            ..Self::default()
        }
    }
}

/// The reason why a service didn't start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StartError {
    /// No vendor key was given, so no card could ever be good.
    #[error("no vendor's key was given, so no agent could ever be let in: use --vendor-key")]
    NoVendor,
    /// The address can't be listened on.
    #[error("can't listen on {address}: {error}")]
    Listen {
        address: SocketAddr,
        error: std::io::Error,
    },
    /// The UDP port of address discovery can't be listened on.
    #[error(
        "can't listen on UDP {address}: {error}; another port is given by --quic-port, and --no-quic goes without"
    )]
    ListenUdp {
        address: SocketAddr,
        error: std::io::Error,
    },
    /// The public URL isn't one.
    #[error("{url:?} can't be the public URL: {error}")]
    PublicUrl { url: String, error: OriginError },
    /// A relay isn't at a URL that clients would follow.
    #[error(
        "{url:?} can't be a relay: clients follow URLs of {service} and of names below it, up to {MAX_RELAYS} of them"
    )]
    Relay { url: String, service: String },
    /// The service listens on all addresses, which tells clients no URL.
    #[error("listening on {0} says nothing about where clients find the service: use --public-url")]
    NoPublicUrl(SocketAddr),
    /// More vendor keys than launchers take.
    #[error(
        "more than {MAX_VENDOR_KEYS} vendor keys were given: leave out those that no card in use has"
    )]
    TooManyVendors,
    /// The revocation list can't be read.
    #[error("can't read the revocation list {path}: {error}")]
    ReadRevocations {
        path: PathBuf,
        error: std::io::Error,
    },
    /// The revocation list is malformed, not the vendor's, or older than the current one.
    #[error("{path}: {error}")]
    Revocations {
        path: PathBuf,
        error: RevocationError,
    },
    /// The certificate or its key can't be used.
    #[error("can't use the certificate {path}: {reason}")]
    Certificate { path: PathBuf, reason: String },
    /// The key ring can't be read or made.
    #[error("can't use the key ring {path}: {fault}")]
    KeyRing { path: PathBuf, fault: KeyRingFault },
    /// The system has no randomness to give.
    #[error("the system gave no randomness: {0}")]
    Randomness(String),
}

/// The fault of a key ring's file.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingFault {
    /// The file can't be read or written.
    #[error(transparent)]
    Io(std::io::Error),
    /// Others than its owner can read or write the file.
    #[error(
        "others can read it, so its keys may be known: chmod 600, then etatuki-service new-key"
    )]
    NotPrivate,
    /// The file holds something else.
    #[error("it isn't a key ring")]
    Malformed,
}
