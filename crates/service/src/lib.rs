//! Rendezvous and relay, in one process: gives out nameplates, hands a customer's address to an agent
//! with a card, and relays the encrypted link where there is no direct way.
//!
//! It never sees the secret half of a code, and can't read a session.

use std::{net::SocketAddr, path::PathBuf};

use etatuki_trust::{SignedRevocations, VendorPublicKey};

/// How a service is to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The vendor's public keys.
    pub vendors: Vec<VendorPublicKey>,
    /// Where the vendor's signed revocation list is.
    pub revocations: Option<PathBuf>,
    /// The URL by which clients reach the service; `None` if it is what it listens on.
    pub public_url: Option<String>,
}

impl Config {
    /// A plain HTTP service at `listen`, with every limit at its usual value.
    #[must_use]
    pub fn new(listen: SocketAddr, vendors: Vec<VendorPublicKey>) -> Self {
        Self {
            listen,
            vendors,
            revocations: None,
            public_url: None,
        }
    }
}

/// Why a service didn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address can't be listened on.
    #[error("can't listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
}

/// A running service. Dropping it stops it at once.
#[derive(Debug)]
pub struct Running {
    /// What it listens on.
    pub addr: SocketAddr,
    /// The URL that clients are to be given: `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Running {
    /// Stops in good order, within five seconds.
    pub async fn shutdown(self) {}
}

/// Starts a service.
///
/// # Errors
/// The address, a certificate or the revocation list can't be used.
#[allow(clippy::todo)]
#[expect(clippy::unused_async)]
pub async fn start(config: Config) -> Result<Running, StartError> {
    let _ = (config, SignedRevocations::from_text(""));
    todo!()
}
