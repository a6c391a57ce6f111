//! The two kinds of endpoints, and the QUIC configuration under both.
//!
//! Endpoints contact only our own infrastructure: no discovery, no public DNS server, no port
//! mapping, no captive portal probe, and no relay but the session's.

mod relay_tickets;
mod restart;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use etatuki_trust::{AgentFile, Nameplate, Secret};
use iroh::{
    Endpoint, EndpointAddr, RelayMap, RelayMode, RelayUrl, SecretKey, TransportAddr, Watcher,
    endpoint::{
        Connection, NetReportConfig, PortmapperConfig, QuicTransportConfig, RelayStatus, VarInt,
        presets,
    },
};
use serde_json::Value;
use tokio::{
    sync::{Mutex, watch},
    task::AbortHandle,
    time::timeout,
};

use crate::{
    endpoint_key::EndpointKey,
    error::{DialError, LinkError},
    handshake::{AcceptParams, Attempt, ResumeParams, agent, agent_resume},
    handshake_queue::{HandshakeQueue, Terms},
    link::{AgentLink, AgentStreams},
    network::{self, RelayRoute},
    resume::AgentResumption,
    ticket_keeper::{RelayConnects, TicketKeeper},
};

/// Name and version of the protocol, negotiated in TLS (ALPN, RFC 7301).
pub const ALPN: &[u8] = b"etatuki/1";

/// Time-out of a dial until TLS is done, over any path.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a packet to be on its way to the relay; it is never answered.
const RELAY_PACKET_TIMEOUT: Duration = Duration::from_secs(1);

/// Time-out for closing an endpoint.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The most addresses that are tried; more than any machine has.
const MAX_ADDRESSES: usize = 32;

/// The endpoint that a customer's machine opens for one session and agents dial.
#[derive(Debug)]
pub struct CustomerEndpoint {
    endpoint: Endpoint,
    relay: Option<RelayUrl>,
    relay_connects: RelayConnects,
    ticket: TicketKeeper,
    addresses: watch::Receiver<EndpointAddr>,
    watcher: AbortHandle,
    queue: Mutex<HandshakeQueue>,
}

impl CustomerEndpoint {
    /// Opens an endpoint with a fresh identity.
    ///
    /// # Errors
    /// [`LinkError::Relay`] or [`LinkError::Bind`].
    pub async fn bind(route: Option<RelayRoute<'_>>) -> Result<Self, LinkError> {
        Self::bind_as(&EndpointKey::generate(), route).await
    }

    /// Opens the endpoint of this key. Contacts the relay, if there is one, without waiting for its
    /// answer.
    ///
    /// # Errors
    /// [`LinkError::Relay`] or [`LinkError::Bind`].
    pub async fn bind_as(
        key: &EndpointKey,
        route: Option<RelayRoute<'_>>,
    ) -> Result<Self, LinkError> {
        let endpoint = bind_as(key, route, vec![ALPN.to_vec()], VarInt::from_u32(1)).await?;
        let relay_url = relay_url(route)?;
        if let Some(relay) = relay_url.clone() {
            connect_relay(endpoint.clone(), relay);
        }
        let (addresses, watcher) = watch_addresses(&endpoint);
        Ok(Self {
            relay: relay_url,
            relay_connects: RelayConnects::watch(&endpoint),
            ticket: TicketKeeper::default(),
            addresses,
            watcher,
            queue: Mutex::new(HandshakeQueue::default()),
            endpoint,
        })
    }

    /// Returns the address at which agents reach this endpoint, as far as known now: an iroh
    /// `EndpointAddr` as JSON. It names the relay from the start, even before the relay has
    /// answered.
    #[must_use]
    pub fn address(&self) -> Value {
        self.complete_address(self.endpoint.addr())
    }

    /// Returns whether agents can reach this endpoint through its relay now; true without a relay.
    #[must_use]
    pub fn is_relay_connected(&self) -> bool {
        self.relay.is_none() || has_relay(&self.endpoint)
    }

    /// Waits for a change of [`address`](Self::address) and returns the new one. Cancel safe.
    pub async fn address_changed(&mut self) -> Value {
        if self.addresses.changed().await.is_err() {
            // The watcher ends with the endpoint; no change will come.
            std::future::pending::<()>().await;
        }
        let address = self.addresses.borrow_and_update().clone();
        self.complete_address(address)
    }

    /// Waits for the next attempt to reach this customer to end, and returns its outcome.
    ///
    /// At most one guess at the code runs at a time, on the `params` of the call in which it began;
    /// none begins while nobody waits here. A guess counts from the moment when our PAKE message
    /// goes out. It is then reported by this call or, if the caller stops waiting (this is cancel
    /// safe), by the next call, whatever its params are.
    ///
    /// Time-outs: 5 s for TLS, 3 s for the card, 10 s for the PAKE, 5 s for the streams. Up to
    /// eight peers can be in the first two phases at once.
    pub async fn accept(&self, params: &AcceptParams) -> Attempt {
        let mut queue = self.queue.lock().await;
        queue.next(&self.endpoint, Terms::Code(params)).await
    }

    /// Waits for the next attempt to resume this endpoint's last link to end, and returns its
    /// outcome: [`Attempt::Resumed`], [`Attempt::ResumeRefused`], [`Attempt::Aborted`], or
    /// [`Attempt::Closed`]. Peers with a code are refused as `busy`.
    ///
    /// To be called also while the link seems to work: the agent's end may notice first that it
    /// doesn't. Cancel safe. While nobody waits in this or in [`accept`](Self::accept), no peer is
    /// answered.
    pub async fn accept_resume(&self, params: &ResumeParams) -> Attempt {
        let mut queue = self.queue.lock().await;
        queue.next(&self.endpoint, Terms::Resume(params)).await
    }

    /// Closes the endpoint and its links. Takes at most two seconds.
    pub async fn close(self) {
        close(&self.endpoint).await;
    }

    /// Completes an address by the relay. Without a relay, both ends may be on one machine
    /// (development, tests) that may have no address but loopback, so that is added instead.
    fn complete_address(&self, mut address: EndpointAddr) -> Value {
        match &self.relay {
            Some(relay) => address = address.with_relay_url(relay.clone()),
            None => address = address.with_addrs(loopback_addresses(&self.endpoint)),
        }
        serde_json::to_value(address).expect("addresses are strings and numbers")
    }

    /// Leaves out checks, for this crate's tests.
    #[cfg(test)]
    pub(crate) async fn set_checks(&self, checks: crate::handshake::customer::Checks) {
        self.queue.lock().await.checks = checks;
    }

    /// Returns the endpoint itself, for this crate's tests.
    #[cfg(test)]
    pub(crate) const fn raw(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the number of handshakes under way, for this crate's tests.
    #[cfg(test)]
    pub(crate) async fn handshakes(&self) -> usize {
        self.queue.lock().await.handshakes()
    }

    /// Returns the resume keys of the last link, for this crate's tests.
    #[cfg(test)]
    pub(crate) async fn resume_keys(&self) -> Vec<[u8; 32]> {
        let queue = self.queue.lock().await;
        let kept = queue.resumption.as_ref().expect("there was a link");
        kept.ratchet.keys().map(|key| *key.expose()).collect()
    }
}

impl Drop for CustomerEndpoint {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// The endpoint from which a console dials customers.
#[derive(Clone, Debug)]
pub struct AgentEndpoint {
    endpoint: Endpoint,
    ticket: Arc<TicketKeeper>,
    relay: Option<RelayUrl>,
}

impl AgentEndpoint {
    /// Opens an endpoint with a fresh identity.
    ///
    /// # Errors
    /// [`LinkError::Relay`] or [`LinkError::Bind`].
    pub async fn bind(route: Option<RelayRoute<'_>>) -> Result<Self, LinkError> {
        Self::bind_as(&EndpointKey::generate(), route).await
    }

    /// Opens the endpoint of this key. The relay is the session's, from the service's look-up.
    ///
    /// # Errors
    /// [`LinkError::Relay`] or [`LinkError::Bind`].
    pub async fn bind_as(
        key: &EndpointKey,
        route: Option<RelayRoute<'_>>,
    ) -> Result<Self, LinkError> {
        let endpoint = bind_as(key, route, Vec::new(), VarInt::from_u32(0)).await?;
        Ok(Self {
            endpoint,
            ticket: Arc::default(),
            relay: relay_url(route)?,
        })
    }

    /// Returns whether this endpoint has its relay now; true without a relay.
    #[must_use]
    pub fn is_relay_connected(&self) -> bool {
        self.relay.is_none() || has_relay(&self.endpoint)
    }

    /// Dials the customer at `address` (from the service; not trusted) and runs the handshake:
    /// once, with one secret. Takes at most 10 s to reach the customer and then at most 30 s,
    /// mostly waiting for other agents' guesses.
    ///
    /// # Errors
    /// The reason why there is no link. After [`DialError::WrongCode`] and most others the
    /// customer's side has counted a guess: don't retry unless a person asks for it.
    pub async fn dial(
        &self,
        address: &Value,
        nameplate: &Nameplate,
        secret: &Secret,
        agent: &AgentFile,
    ) -> Result<AgentLink, DialError> {
        let address = self.filter_address(address).map_err(DialError::Protocol)?;
        let connection = self.connect(address, CONNECT_TIMEOUT).await?;
        agent::authenticate(connection, self.endpoint.clone(), nameplate, secret, agent).await
    }

    /// Dials the customer of an interrupted link at `address` (the last that is known; not trusted)
    /// and goes on with the link over a new connection: one try, to be repeated. TLS takes at most
    /// `reach_limit`, the rest at most 8 s.
    ///
    /// Only the end that the link was with can answer. `resumption` changes when that has proved
    /// itself, at the latest when this returns streams; a try that fails, or that its caller stops
    /// waiting for, costs nothing.
    ///
    /// # Errors
    /// The reason why there is no link. [`DialError::Refused`] and [`DialError::WrongKey`] are the
    /// customer's end's own word, and final; after any other error a later try may succeed.
    pub async fn resume(
        &self,
        address: &Value,
        resumption: &mut AgentResumption,
        agent: &AgentFile,
        reach_limit: Duration,
    ) -> Result<AgentStreams, DialError> {
        let address = self.filter_address(address).map_err(DialError::Protocol)?;
        if *address.id.as_bytes() != resumption.parties.customer {
            return Err(DialError::Protocol(LinkError::Address));
        }
        let connection = self.connect(address, reach_limit).await?;
        agent_resume::resume(connection, self.endpoint.clone(), resumption, agent).await
    }

    /// Returns the endpoint itself, for this crate's tests.
    #[cfg(test)]
    pub(crate) const fn raw(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn connect(
        &self,
        address: EndpointAddr,
        limit: Duration,
    ) -> Result<Connection, DialError> {
        timeout(limit, self.endpoint.connect(address, ALPN))
            .await
            .map_err(|_| DialError::Unreachable)?
            .map_err(|_| DialError::Unreachable)
    }

    /// Closes the endpoint and its links. Takes at most two seconds.
    pub async fn close(self) {
        close(&self.endpoint).await;
    }

    /// Parses an address and drops what we don't follow: any relay but the session's own, and every
    /// IP address that can't be another machine's, since a stranger may have chosen it.
    fn filter_address(&self, address: &Value) -> Result<EndpointAddr, LinkError> {
        let EndpointAddr { id, addrs } =
            serde::Deserialize::deserialize(address).map_err(|_| LinkError::Address)?;
        let one_machine = self.relay.as_ref().is_none_or(is_loopback);
        let is_followed = |address: &TransportAddr| match address {
            TransportAddr::Ip(address) => is_dialled(address.ip(), one_machine),
            TransportAddr::Relay(url) => Some(url) == self.relay.as_ref(),
            _ => false,
        };
        let addrs: Vec<_> = addrs
            .into_iter()
            .filter(is_followed)
            .take(MAX_ADDRESSES)
            .collect();
        if addrs.is_empty() || id == self.endpoint.id() {
            return Err(LinkError::Address);
        }
        Ok(EndpointAddr::from_parts(id, addrs))
    }
}

/// Returns whether a customer's IP address is dialled. Addresses of this machine itself are dialled
/// only where the whole deployment is `one_machine`'s, which the relay's address shows. Private
/// networks are needed: support and customer may share one.
fn is_dialled(address: IpAddr, one_machine: bool) -> bool {
    let address = address.to_canonical();
    let is_link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let is_elsewhere = !address.is_unspecified() && !address.is_multicast() && !is_link_local;
    is_elsewhere && (one_machine || !address.is_loopback())
}

fn has_relay(endpoint: &Endpoint) -> bool {
    let mut relays = endpoint.home_relay_status();
    relays.get().iter().any(RelayStatus::is_connected)
}

fn relay_url(route: Option<RelayRoute<'_>>) -> Result<Option<RelayUrl>, LinkError> {
    route.map(|route| route.relay.relay_url()).transpose()
}

/// Opens an endpoint as [`bind_as`] does, with a fresh identity.
#[cfg(test)]
pub(crate) async fn bind(
    route: Option<RelayRoute<'_>>,
    alpns: Vec<Vec<u8>>,
    bidi_streams: VarInt,
) -> Result<Endpoint, LinkError> {
    bind_as(&EndpointKey::generate(), route, alpns, bidi_streams).await
}

/// Opens the endpoint of `key`, which accepts connections for `alpns` and lets each open
/// `bidi_streams` bidirectional streams.
async fn bind_as(
    key: &EndpointKey,
    route: Option<RelayRoute<'_>>,
    alpns: Vec<Vec<u8>>,
    bidi_streams: VarInt,
) -> Result<Endpoint, LinkError> {
    let mut reports = NetReportConfig::minimal();
    // They find the home relay where UDP is blocked.
    reports.https_probes = route.is_some();
    let mut builder = Endpoint::builder(presets::Minimal)
        .secret_key(key.secret())
        .alpns(alpns)
        .clear_address_lookup()
        .dns_resolver(network::resolver(route.map(|route| route.network)))
        .portmapper_config(PortmapperConfig::Disabled)
        .net_report_config(reports)
        .transport_config(transport_config(bidi_streams));
    if let Some(route) = route {
        let relays = RelayMap::from(route.relay.config()?);
        builder = network::apply(builder, route)?.relay_mode(RelayMode::Custom(relays));
    }
    builder
        .bind()
        .await
        .map_err(|error| LinkError::Bind(error.to_string()))
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
        // More than the second between two packets of a quiet path. And less than two: when a direct
        // path goes dark, the first heartbeat that gets no answer restarts this time, goes out again
        // through the relay when it is over, and is heard before the link counts as interrupted
        // (3 s). A relay's path has 30 s, and the last path is never left.
        .default_path_max_idle_timeout(Duration::from_millis(1500))
        // Keeps the relay's path warm while another one is used.
        .default_path_keep_alive_interval(Duration::from_secs(1))
        .keep_alive_interval(Duration::from_secs(2))
        // Decides nothing: a session counts by `PeerClock`. It ends connections that are forgotten.
        .max_idle_timeout(Some(VarInt::from_u32(30_000).into()))
        .build()
}

/// Connects to the relay at once. iroh does so only when its report on the network is complete, after
/// 0.2 s, or 3 s where UDP is blocked, and an agent's first packet before that is lost. But it does so,
/// too, to send a packet: here to an endpoint id that nobody has.
fn connect_relay(endpoint: Endpoint, relay: RelayUrl) {
    let nobody = EndpointAddr::new(SecretKey::generate().public()).with_relay_url(relay);
    tokio::spawn(async move {
        let _ = timeout(RELAY_PACKET_TIMEOUT, endpoint.connect(nobody, ALPN)).await;
    });
}

/// Spawns a task that forwards each change of an endpoint's address until the endpoint is gone.
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

/// Returns the endpoint's sockets as loopback addresses.
fn loopback_addresses(endpoint: &Endpoint) -> impl Iterator<Item = TransportAddr> {
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
    let _ = timeout(CLOSE_TIMEOUT, endpoint.close()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_names_no_address_of_the_agents_own_machine_or_wire() {
        let check = |address: &str, one_machine, expected| {
            let parsed = address.parse().unwrap();
            assert_eq!(is_dialled(parsed, one_machine), expected, "{address}");
        };
        for other in [
            "192.0.2.1",
            "10.1.2.3",
            "192.168.1.5",
            "2001:db8::1",
            "fd00::1",
        ] {
            check(other, false, true);
        }
        for own in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            check(own, false, false);
            check(own, true, true);
        }
        for nobodys in [
            "0.0.0.0",
            "::",
            "169.254.1.1",
            "fe80::1",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "::ffff:169.254.1.1",
        ] {
            check(nobodys, false, false);
            check(nobodys, true, false);
        }
    }
}
