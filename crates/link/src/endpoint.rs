//! The two kinds of endpoint, and how QUIC is set up under both.
//!
//! Nobody's infrastructure but our own is contacted: no discovery, no public DNS server, no port mapping,
//! no captive portal probe; and no relay but the session's.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use etatuki_trust::{AgentFile, Nameplate, Secret};
use iroh::{
    Endpoint, EndpointAddr, RelayMap, RelayMode, RelayUrl, TransportAddr, Watcher,
    dns::{DnsResolver, FallbackMode},
    endpoint::{
        NetReportConfig, PortmapperConfig, QuicTransportConfig, RelayStatus, VarInt, presets,
    },
};
use serde_json::Value;
use tokio::{
    sync::{Mutex, watch},
    task::AbortHandle,
    time::timeout,
};

use crate::{
    error::{DialError, LinkError},
    handshake::{Attempt, Offer, agent},
    link::AgentLink,
    lobby::Lobby,
    relay::RelayAccess,
};

/// The protocol's name and version in TLS.
pub const ALPN: &[u8] = b"etatuki/1";

/// How long it may take until TLS is done, over whatever way there is.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long a goodbye may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// More addresses than any machine has.
const MAX_ADDRESSES: usize = 32;

/// The endpoint that a customer's machine opens for one session and agents dial.
#[derive(Debug)]
pub struct CustomerEndpoint {
    endpoint: Endpoint,
    relay: Option<RelayUrl>,
    addresses: watch::Receiver<EndpointAddr>,
    watcher: AbortHandle,
    lobby: Mutex<Lobby>,
}

impl CustomerEndpoint {
    /// Opens an endpoint with a fresh identity. Contacts the relay, if there is one, without waiting for
    /// it.
    ///
    /// # Errors
    /// [`LinkError::Relay`] or [`LinkError::Bind`].
    pub async fn bind(relay: Option<&RelayAccess>) -> Result<Self, LinkError> {
        let endpoint = bind(relay, vec![ALPN.to_vec()], VarInt::from_u32(1)).await?;
        let (addresses, watcher) = watch_addresses(&endpoint);
        Ok(Self {
            endpoint,
            relay: relay.map(RelayAccess::relay_url).transpose()?,
            addresses,
            watcher,
            lobby: Mutex::new(Lobby::default()),
        })
    }

    /// Where agents reach this endpoint, as far as is known now: an iroh `EndpointAddr` as JSON. It says
    /// the relay from the start, whether or not that has answered yet.
    #[must_use]
    pub fn address(&self) -> Value {
        self.published(self.endpoint.addr())
    }

    /// Whether agents can find this endpoint by its relay now; true where there is no relay.
    #[must_use]
    pub fn relay_is_reached(&self) -> bool {
        let mut relays = self.endpoint.home_relay_status();
        self.relay.is_none() || relays.get().iter().any(RelayStatus::is_connected)
    }

    /// Waits until [`address`](Self::address) has changed, and returns the new one. Cancel safe.
    pub async fn address_changed(&mut self) -> Value {
        if self.addresses.changed().await.is_err() {
            // The watcher ends with the endpoint: there is nothing to wait for.
            std::future::pending::<()>().await;
        }
        let address = self.addresses.borrow_and_update().clone();
        self.published(address)
    }

    /// Waits for the next attempt to reach this customer to end, one way or the other.
    ///
    /// At most one guess at the code runs at a time, against the `offer` that was at hand when it began;
    /// none begins while nobody waits here. A guess counts from when our PAKE message goes out; it is
    /// then reported by this call or, if the caller stops waiting (this is cancel safe), by the next,
    /// whatever the next one's offer is.
    ///
    /// Limits: 5 s for TLS, 3 s for the card, 10 s for the PAKE, 5 s for the streams. Eight callers can be
    /// at the first two at once.
    pub async fn accept(&self, offer: &Offer) -> Attempt {
        self.lobby.lock().await.next(&self.endpoint, offer).await
    }

    /// Closes the endpoint and every link of it; takes at most two seconds.
    pub async fn close(self) {
        close(&self.endpoint).await;
    }

    /// Without a relay, both ends may be on one machine (development, tests), and that machine may have
    /// no address but its own.
    fn published(&self, mut address: EndpointAddr) -> Value {
        match &self.relay {
            Some(relay) => address = address.with_relay_url(relay.clone()),
            None => address = address.with_addrs(loopback(&self.endpoint)),
        }
        serde_json::to_value(address).expect("addresses are strings and numbers")
    }

    /// Lets this crate's tests leave a check out.
    #[cfg(test)]
    pub(crate) async fn believe_any_proof(&self) {
        self.lobby.lock().await.checks.believe_any_proof = true;
    }
}

impl Drop for CustomerEndpoint {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// The endpoint from which a console dials.
#[derive(Clone, Debug)]
pub struct AgentEndpoint {
    endpoint: Endpoint,
    relay: Option<RelayUrl>,
}

impl AgentEndpoint {
    /// Opens an endpoint with a fresh identity; `relay` is the session's, as the service's look-up gave
    /// it.
    ///
    /// # Errors
    /// [`LinkError::Relay`] or [`LinkError::Bind`].
    pub async fn bind(relay: Option<&RelayAccess>) -> Result<Self, LinkError> {
        let endpoint = bind(relay, Vec::new(), VarInt::from_u32(0)).await?;
        Ok(Self {
            endpoint,
            relay: relay.map(RelayAccess::relay_url).transpose()?,
        })
    }

    /// Dials the customer at `address` (from the service; not trusted) and shakes hands: once, with one
    /// secret. Takes at most 10 s to reach the customer, and then at most 30 s, mostly for others to
    /// finish first.
    ///
    /// # Errors
    /// Why there is no link. After [`DialError::WrongCode`], and after most others, the customer's side
    /// has counted a guess; don't try again without a person's doing.
    pub async fn dial(
        &self,
        address: &Value,
        nameplate: &Nameplate,
        secret: &Secret,
        agent: &AgentFile,
    ) -> Result<AgentLink, DialError> {
        let address = self.believe(address).map_err(DialError::Protocol)?;
        let connection = timeout(CONNECT_LIMIT, self.endpoint.connect(address, ALPN))
            .await
            .map_err(|_| DialError::Unreachable)?
            .map_err(|_| DialError::Unreachable)?;
        agent::introduce(connection, self.endpoint.clone(), nameplate, secret, agent).await
    }

    /// Closes the endpoint and every link of it; takes at most two seconds.
    pub async fn close(self) {
        close(&self.endpoint).await;
    }

    /// An address as far as we follow it: no relay but the session's own.
    fn believe(&self, address: &Value) -> Result<EndpointAddr, LinkError> {
        let EndpointAddr { id, addrs } =
            serde::Deserialize::deserialize(address).map_err(|_| LinkError::Address)?;
        let followed = |address: &TransportAddr| match address {
            TransportAddr::Ip(_) => true,
            TransportAddr::Relay(url) => Some(url) == self.relay.as_ref(),
            _ => false,
        };
        let addrs: Vec<_> = addrs
            .into_iter()
            .filter(followed)
            .take(MAX_ADDRESSES)
            .collect();
        if addrs.is_empty() || id == self.endpoint.id() {
            return Err(LinkError::Address);
        }
        Ok(EndpointAddr::from_parts(id, addrs))
    }
}

/// An endpoint that takes connections for `alpns` and lets each open `streams` two-way streams.
pub(crate) async fn bind(
    relay: Option<&RelayAccess>,
    alpns: Vec<Vec<u8>>,
    streams: VarInt,
) -> Result<Endpoint, LinkError> {
    let resolver = DnsResolver::builder()
        .with_system_defaults()
        .with_fallback_mode(FallbackMode::Never)
        .build();
    let mut reports = NetReportConfig::minimal();
    // It finds the home relay where UDP is blocked.
    reports.https_probes = relay.is_some();
    let mut builder = Endpoint::builder(presets::Minimal)
        .alpns(alpns)
        .clear_address_lookup()
        .dns_resolver(resolver)
        .portmapper_config(PortmapperConfig::Disabled)
        .net_report_config(reports)
        .transport_config(transport(streams));
    if let Some(relay) = relay {
        let config = relay.config()?;
        // A proxy of the environment leads out of this machine.
        if !is_loopback(&config.url) {
            builder = builder.proxy_from_env();
        }
        builder = builder.relay_mode(RelayMode::Custom(RelayMap::from(config)));
    }
    builder
        .bind()
        .await
        .map_err(|error| LinkError::Bind(error.to_string()))
}

/// QUIC for a screen: little waits, little queues, and a dead line is known soon.
fn transport(streams: VarInt) -> QuicTransportConfig {
    QuicTransportConfig::builder()
        // A stranger has the handshake's stream and nothing else; more are granted once he is an agent.
        .max_concurrent_bidi_streams(streams)
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        // One stream can't fill the connection, so control gets through beside a stalled picture.
        .stream_receive_window(VarInt::from_u32(768 << 10))
        .receive_window(VarInt::from_u32(2 << 20))
        .send_window(1 << 20)
        // A first packet that a relay or a NAT has swallowed is sent again after half a second, not one.
        .initial_rtt(Duration::from_millis(150))
        // iroh's own value lets a path that went dark stall for 15 s.
        .default_path_keep_alive_interval(Duration::from_secs(1))
        .default_path_max_idle_timeout(Duration::from_secs(4))
        .keep_alive_interval(Duration::from_secs(2))
        .max_idle_timeout(Some(VarInt::from_u32(8_000).into()))
        .build()
}

/// Forwards every change of an endpoint's address, until that endpoint is gone.
fn watch_addresses(endpoint: &Endpoint) -> (watch::Receiver<EndpointAddr>, AbortHandle) {
    let mut changes = endpoint.watch_addr();
    let (sender, receiver) = watch::channel(changes.get());
    let forward = async move {
        while let Ok(address) = changes.updated().await {
            sender.send_replace(address);
        }
    };
    (receiver, tokio::spawn(forward).abort_handle())
}

fn loopback(endpoint: &Endpoint) -> impl Iterator<Item = TransportAddr> {
    endpoint.bound_sockets().into_iter().map(|bound| {
        TransportAddr::Ip(match bound {
            SocketAddr::V4(bound) => (Ipv4Addr::LOCALHOST, bound.port()).into(),
            SocketAddr::V6(bound) => (Ipv6Addr::LOCALHOST, bound.port()).into(),
        })
    })
}

fn is_loopback(url: &RelayUrl) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

async fn close(endpoint: &Endpoint) {
    let _ = timeout(CLOSE_LIMIT, endpoint.close()).await;
}
