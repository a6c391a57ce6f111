//! QUIC address discovery (draft-ietf-quic-address-discovery): tells each client from which UDP address its packets come.
//! Without that, two ends behind NAT know no address at which the other could reach them. Clients are iroh's: ALPN
//! `/iroh-qad/0`, no stream, one connection a session and IP version, kept open by the client.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use iroh_relay::quic::ALPN_QUIC_ADDR_DISC;
use noq::{
    Endpoint, Incoming, ServerConfig, TransportConfig, VarInt, crypto::rustls::QuicServerConfig,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tracing::{debug, warn};

use crate::{
    config::{StartError, TlsFiles},
    peer::{Connections, Peer},
    rate_limit::ClientNetwork,
    tls,
};

/// Time-out for a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time without a packet after which a connection is dropped. iroh's clients send one each 25 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest life of a connection; a client that still needs it connects again.
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(60 * 60);

/// Handshakes under way from which on a client has to show first that packets get to its address (Retry, RFC 9000,
/// section 8.1.2): forged first packets take no more places than these.
const MAX_UNVALIDATED_HANDSHAKES: usize = 32;

/// First packets that wait to be looked at, and the bytes that are kept for one and for all of them.
const MAX_INCOMING: usize = 1024;
const INCOMING_BUFFER_BYTES: u64 = 16 * 1024;
const INCOMING_BUFFERS_BYTES: u64 = 4 * 1024 * 1024;

/// The UDP side of the service. Dropping it closes every connection.
#[derive(Debug)]
pub(crate) struct AddressDiscovery {
    endpoint: Endpoint,
    port: u16,
}

impl AddressDiscovery {
    /// Listens at `listen`; port 0 picks a free one.
    pub(crate) fn start(
        listen: SocketAddr,
        certificate: &TlsFiles,
        connections: Arc<Connections>,
    ) -> Result<Self, StartError> {
        let address = listen;
        let listen_error = |error| StartError::ListenUdp { address, error };
        let config = server_config(certificate)?;
        let endpoint = Endpoint::server(config, listen).map_err(listen_error)?;
        let port = endpoint.local_addr().map_err(listen_error)?.port();
        tokio::spawn(accept(endpoint.clone(), connections));
        Ok(Self { endpoint, port })
    }

    /// Returns the port that it listens on.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Takes another certificate, for connections from now on.
    pub(crate) fn reload(&self, certificate: &TlsFiles) -> Result<(), StartError> {
        self.endpoint
            .set_server_config(Some(server_config(certificate)?));
        Ok(())
    }
}

impl Drop for AddressDiscovery {
    fn drop(&mut self) {
        self.endpoint.close(VarInt::from_u32(0), b"");
    }
}

fn server_config(certificate: &TlsFiles) -> Result<ServerConfig, StartError> {
    let tls = tls::server_config(certificate, ALPN_QUIC_ADDR_DISC)?;
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| StartError::Certificate {
        path: certificate.certificate.clone(),
        reason: error.to_string(),
    })?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(0_u8.into())
        .max_concurrent_uni_streams(0_u8.into())
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(IDLE_TIMEOUT.try_into().ok())
        .send_observed_address_reports(true);
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport))
        .migration(true) // a new address is what it is there to tell
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(INCOMING_BUFFER_BYTES)
        .incoming_buffer_size_total(INCOMING_BUFFERS_BYTES);
    Ok(config)
}

async fn accept(endpoint: Endpoint, connections: Arc<Connections>) {
    let unvalidated = Arc::new(Semaphore::new(MAX_UNVALIDATED_HANDSHAKES));
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { break };
                if let Some(client) = admit(incoming, &connections, &unvalidated) {
                    clients.spawn(client.serve());
                }
            }
            Some(ended) = clients.join_next() => {
                if ended.is_err_and(|error| error.is_panic()) {
                    warn!("a connection for address discovery failed");
                }
            }
        }
    }
    clients.shutdown().await;
}

/// A client that is let in.
struct Client {
    incoming: Incoming,
    /// Counts until the client goes.
    peer: Peer,
    /// Counts until the handshake is over; `None` if the client's address is known to be its own.
    unvalidated: Option<OwnedSemaphorePermit>,
}

fn admit(
    incoming: Incoming,
    connections: &Arc<Connections>,
    unvalidated: &Arc<Semaphore>,
) -> Option<Client> {
    let unvalidated = if incoming.remote_address_validated() {
        None
    } else {
        match unvalidated.clone().try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                // Fails only for an address that is validated.
                let _ = incoming.retry();
                return None;
            }
        }
    };
    let network = ClientNetwork::of(incoming.remote_address().ip());
    let Some(peer) = Connections::try_acquire(connections, network) else {
        incoming.ignore();
        return None;
    };
    Some(Client {
        incoming,
        peer,
        unvalidated,
    })
}

impl Client {
    /// Waits until the client goes. The report of its address is noq's to send, again whenever the address changes.
    async fn serve(self) {
        let Self {
            incoming,
            peer: _counted,
            unvalidated,
        } = self;
        let connection = match timeout(HANDSHAKE_TIMEOUT, incoming).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return debug!(%error, "a handshake for address discovery failed"),
            Err(_) => return debug!("a handshake for address discovery took too long"),
        };
        drop(unvalidated);
        // An error is the end of the longest life: the connection is dropped then.
        let _ = timeout(MAX_CONNECTION_AGE, connection.closed()).await;
    }
}
