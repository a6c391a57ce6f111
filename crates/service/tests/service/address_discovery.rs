//! Address discovery over UDP, with the client that iroh has.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use etatuki_service::{Config, StartError, start};
use futures_util::StreamExt as _;
use iroh_relay::quic::QuicClient;
use rustls::{
    ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject as _,
};
use serde_json::Value;
use tokio::{net::UdpSocket, time::timeout};

use crate::{
    harness::{Service, loopback, opening, vendor},
    tls::Certificate,
};

/// Time for what doesn't come.
const SILENCE: Duration = Duration::from_millis(1500);
/// Handshakes that may be under way with addresses that aren't known to be the clients' own.
const MAX_UNVALIDATED_HANDSHAKES: usize = 32;

/// A client on a socket of its own.
struct Client {
    endpoint: noq::Endpoint,
    quic: QuicClient,
}

impl Client {
    fn new(certificate: &Certificate) -> Self {
        let mut roots = RootCertStore::empty();
        let pem = CertificateDer::from_pem_slice(certificate.pem.as_bytes()).unwrap();
        roots.add(pem).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let endpoint = noq::Endpoint::client(loopback()).unwrap();
        let quic = QuicClient::new(endpoint.clone(), config);
        Self { endpoint, quic }
    }

    async fn connect(&self, port: u16) -> noq::Connection {
        let server = SocketAddr::new(loopback().ip(), port);
        self.quic.create_conn(server, "localhost").await.unwrap()
    }

    /// Sends a first packet to a socket that doesn't answer; returns the packet.
    async fn first_packet(&self) -> Vec<u8> {
        let silent = UdpSocket::bind(loopback()).await.unwrap();
        let address = silent.local_addr().unwrap();
        let mut packet = vec![0; 2048];
        let length = tokio::select! {
            _ = self.quic.create_conn(address, "localhost") => unreachable!("nobody answers"),
            received = silent.recv(&mut packet) => received.unwrap(),
        };
        packet.truncate(length);
        packet
    }
}

fn with_certificate(certificate: &Certificate) -> impl FnOnce(&mut Config) {
    let files = certificate.files();
    |config| config.tls = Some(files)
}

async fn running(certificate: &Certificate, change: impl FnOnce(&mut Config)) -> (Service, u16) {
    let service = Service::start_with(|config| {
        with_certificate(certificate)(config);
        change(config);
    })
    .await;
    let port = service.running.quic_port.expect("there is one");
    (service, port)
}

#[tokio::test]
async fn a_client_is_told_its_own_address() {
    let certificate = Certificate::new();
    let (_service, port) = running(&certificate, |_| {}).await;
    let client = Client::new(&certificate);
    let connection = client.connect(port).await;
    let observed = connection.observed_external_addr().next().await;
    assert_eq!(observed, Some(client.endpoint.local_addr().unwrap()));
    assert!(
        timeout(SILENCE, connection.open_bi()).await.is_err(),
        "there is no stream"
    );
}

#[tokio::test]
async fn launchers_are_told_the_port_where_there_is_one() {
    let certificate = Certificate::new();
    for (tls, quic_port) in [(true, Some(0)), (true, None), (false, Some(0))] {
        let mut config = Config::new(loopback(), vec![vendor().public()]);
        if tls {
            with_certificate(&certificate)(&mut config);
        }
        config.quic_port = quic_port;
        let running = start(config).await.unwrap();
        assert_eq!(running.quic_port.is_some(), tls && quic_port.is_some());
        let scheme = if tls { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}/v1/sessions", running.addr.port());
        let request = certificate.client().post(url).json(&opening("ecom"));
        let session: Value = request.send().await.unwrap().json().await.unwrap();
        assert!(session["relay"]["token"].is_string(), "{session}");
        assert_eq!(
            session["relay"]["quic_port"].as_u64(),
            running.quic_port.map(u64::from)
        );
        running.shutdown().await;
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let certificate = Certificate::new();
    let taken = UdpSocket::bind(loopback()).await.unwrap();
    let mut config = Config::new(loopback(), vec![vendor().public()]);
    with_certificate(&certificate)(&mut config);
    config.quic_port = Some(taken.local_addr().unwrap().port());
    let error = start(config).await.unwrap_err();
    assert!(matches!(error, StartError::ListenUdp { .. }), "{error}");
    assert!(error.to_string().contains("--no-quic"), "{error}");
}

#[tokio::test]
async fn connections_of_one_address_are_bounded() {
    let certificate = Certificate::new();
    let bounded = |config: &mut Config| config.limits.connections_per_address = 2;
    let (_service, port) = running(&certificate, bounded).await;
    let client = Client::new(&certificate);
    let (one, _two) = (client.connect(port).await, client.connect(port).await);
    assert!(timeout(SILENCE, client.connect(port)).await.is_err());
    one.close(1_u8.into(), b"finished");
    timeout(Duration::from_secs(30), client.connect(port))
        .await
        .expect("there is room again");
}

/// First packets from addresses whose owners don't answer; then an honest client.
#[tokio::test]
async fn forged_first_packets_keep_nobody_out() {
    let certificate = Certificate::new();
    let (_service, port) = running(&certificate, |_| {}).await;
    let mut forgers = Vec::new();
    for _ in 0..=MAX_UNVALIDATED_HANDSHAKES {
        let packet = Client::new(&certificate).first_packet().await;
        let forger = UdpSocket::bind(loopback()).await.unwrap();
        forger.connect((loopback().ip(), port)).await.unwrap();
        forger.send(&packet).await.unwrap();
        let mut answer = [0; 2048];
        let length = forger.recv(&mut answer).await.unwrap();
        // A long header's type is in two bits: 3 is Retry (RFC 9000, section 17.2).
        let is_retry = answer[0] >> 4 & 3 == 3;
        assert_eq!(is_retry, forgers.len() == MAX_UNVALIDATED_HANDSHAKES);
        assert!(length <= 3 * packet.len(), "it amplifies");
        forgers.push(forger);
    }
    let honest = Client::new(&certificate);
    let connection = honest.connect(port).await;
    let observed = connection.observed_external_addr().next().await;
    assert_eq!(observed, Some(honest.endpoint.local_addr().unwrap()));
}

#[tokio::test]
async fn a_certificate_is_taken_anew() {
    let (old, new) = (Certificate::new(), Certificate::new());
    let (service, port) = running(&old, |_| {}).await;
    let client = Client::new(&old);
    let before = client.connect(port).await;
    let mut config = Config::new(loopback(), vec![vendor().public()]);
    with_certificate(&new)(&mut config);
    service.running.reload(&config).unwrap();
    Client::new(&new).connect(port).await;
    assert!(before.close_reason().is_none(), "it goes on");
}
