//! How an endpoint is opened: its key, the way to its relay, and QUIC's configuration.

use std::time::Duration;

use etatuki_network::Network;
use iroh::{
    Endpoint, EndpointAddr, RelayMap, RelayMode, RelayUrl, SecretKey,
    endpoint::{NetReportConfig, PortmapperConfig, QuicTransportConfig, VarInt, presets},
};
use tokio::time::timeout;

use super::ALPN;
use crate::{
    endpoint_key::EndpointKey,
    error::LinkError,
    network::{self, RelayRoute},
    relay::{RelaySet, RelayToken},
};

/// Time for a packet to be on its way to the relay; it is never answered.
const RELAY_PACKET_TIMEOUT: Duration = Duration::from_millis(200);

/// Opens endpoints of one key, one after the other or side by side.
#[derive(Clone, Debug)]
pub(super) struct Opener {
    key: EndpointKey,
    /// The relays, and the settings of the way to them.
    route: Option<(RelaySet, Network)>,
    alpns: Vec<Vec<u8>>,
    /// Two-way streams that a peer may open before it is authenticated.
    bidi_streams: VarInt,
}

/// Relays that an endpoint may use.
pub(super) enum Uses<'a> {
    /// The first one, until another one takes its place.
    First,
    /// All of them, with this ticket in place of the first one.
    All(Option<&'a RelayToken>),
}

impl Opener {
    /// Returns an opener of endpoints that agree to these protocols.
    ///
    /// # Errors
    /// [`LinkError::Relay`].
    pub(super) fn new(
        key: &EndpointKey,
        route: Option<RelayRoute<'_>>,
        alpns: Vec<Vec<u8>>,
        bidi_streams: VarInt,
    ) -> Result<Self, LinkError> {
        let route = match route {
            Some(RelayRoute { relay, network }) => Some((RelaySet::new(relay)?, network.clone())),
            None => None,
        };
        Ok(Self {
            key: key.clone(),
            route,
            alpns,
            bidi_streams,
        })
    }

    /// Returns the relays that endpoints may use.
    pub(super) fn relays(&self) -> Option<&RelaySet> {
        self.route.as_ref().map(|(relays, _)| relays)
    }

    /// Opens an endpoint.
    ///
    /// # Errors
    /// [`LinkError::Bind`].
    pub(super) async fn open(&self, uses: Uses<'_>) -> Result<Endpoint, LinkError> {
        let route = self.route.as_ref();
        let mut reports = NetReportConfig::minimal();
        // They find the home relay where UDP is blocked.
        reports.https_probes = route.is_some();
        let mut builder = Endpoint::builder(presets::Minimal)
            .secret_key(self.key.secret())
            .alpns(self.alpns.clone())
            .clear_address_lookup()
            .dns_resolver(network::resolver(route.map(|(_, network)| network)))
            .portmapper_config(PortmapperConfig::Disabled)
            .net_report_config(reports)
            .transport_config(transport_config(self.bidi_streams));
        if let Some((relays, network)) = route {
            let first = relays.first();
            let (ticket, all) = match uses {
                Uses::First => (None, false),
                Uses::All(ticket) => (ticket, true),
            };
            let configs = relays.configs(ticket, |url| all || url == first);
            let map: RelayMap = configs.into_iter().collect();
            builder = network::apply(builder, network, first).relay_mode(RelayMode::Custom(map));
        }
        builder
            .bind()
            .await
            .map_err(|error| LinkError::Bind(error.to_string()))
    }
}

/// Opens an endpoint with a fresh identity, for this crate's tests.
#[cfg(test)]
pub(crate) async fn bind(
    route: Option<RelayRoute<'_>>,
    alpns: Vec<Vec<u8>>,
    bidi_streams: VarInt,
) -> Result<Endpoint, LinkError> {
    Opener::new(&EndpointKey::generate(), route, alpns, bidi_streams)?
        .open(Uses::First)
        .await
}

/// Returns QUIC's configuration for a screen: short waits, short queues, and a dark path is left
/// soon.
fn transport_config(bidi_streams: VarInt) -> QuicTransportConfig {
    QuicTransportConfig::builder()
        // A peer has only the handshake's stream; more are granted once it is authenticated.
        .max_concurrent_bidi_streams(bidi_streams)
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        // One stream can't use up the connection's window, so control gets past a stalled picture.
        .stream_receive_window(VarInt::from_u32(768 << 10))
        .receive_window(VarInt::from_u32(2 << 20))
        .send_window(1 << 20)
        // A first packet that a relay or a NAT dropped is sent again after half a second, not one.
        .initial_rtt(Duration::from_millis(150))
        // More than the time between two heartbeats (0.8 s). When a direct path goes dark, the first
        // heartbeat that gets no answer restarts this time, goes out again through the relay when it is
        // over, and is heard before the link counts as interrupted (2.6 s). A relay's path has 30 s,
        // and the last path is never left.
        .default_path_max_idle_timeout(Duration::from_millis(1300))
        // Keeps the relay's path known to work while another one is used; heartbeats do that for the one
        // in use. Each packet wakes threads at both ends.
        .default_path_keep_alive_interval(Duration::from_secs(5))
        .keep_alive_interval(Duration::from_secs(10))
        // Decides nothing: a session counts by `PeerClock`. It ends connections that are forgotten.
        .max_idle_timeout(Some(VarInt::from_u32(30_000).into()))
        .build()
}

/// Connects to the relay at once. iroh does so only when its report on the network is complete, after
/// 0.2 s, or 3 s where UDP is blocked, and an agent's first packet before that is lost. But it does so,
/// too, to send a packet: here to an endpoint id that nobody has.
pub(super) fn connect_relay(endpoint: Endpoint, relay: RelayUrl) {
    let nobody = EndpointAddr::new(SecretKey::generate().public()).with_relay_url(relay);
    tokio::spawn(async move {
        let _ = timeout(RELAY_PACKET_TIMEOUT, endpoint.connect(nobody, ALPN)).await;
    });
}
