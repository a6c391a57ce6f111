//! The two kinds of endpoints.
//!
//! Endpoints contact only our own infrastructure: no discovery, no public DNS server, no port
//! mapping, no captive portal probe, and no relay but the session's.

mod opener;
mod relay_tickets;
mod relay_turns;
mod restart;
pub(crate) mod spare;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::OnceLock,
    time::Duration,
};

use etatuki_trust::{AgentFile, Nameplate, Secret};
use iroh::{
    Endpoint, EndpointAddr, RelayUrl, TransportAddr,
    endpoint::{Connection, VarInt},
};
use serde_json::Value;
use tokio::{sync::Mutex, time::timeout};

#[cfg(test)]
pub(crate) use opener::bind;
use opener::{Opener, Uses, connect_relay};
use spare::Endpoints;

use crate::{
    ending::EndedLink,
    endpoint_key::EndpointKey,
    error::{DialError, LinkError},
    handshake::{AcceptParams, Attempt, ResumeParams, agent, agent_resume},
    handshake_queue::{HandshakeQueue, Terms},
    link::{AgentLink, AgentStreams},
    network::RelayRoute,
    pake::Role,
    resume::AgentResumption,
};

/// Name and version of the protocol, negotiated in TLS (ALPN, RFC 7301).
pub const ALPN: &[u8] = b"etatuki/1";

/// Time-out of a dial until TLS is done, over any path.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The most addresses that are tried; more than any machine has.
const MAX_ADDRESSES: usize = 32;

/// The endpoint that a customer's machine opens for one session and agents dial.
#[derive(Debug)]
pub struct CustomerEndpoint {
    endpoints: Endpoints,
    queue: Mutex<HandshakeQueue>,
    /// The last link; beside the queue, which is locked as long as somebody waits for an agent.
    link: OnceLock<EndedLink>,
}

impl CustomerEndpoint {
    /// Opens an endpoint with a fresh identity.
    ///
    /// # Errors
    /// [`LinkError::Relay`] or [`LinkError::Bind`].
    pub async fn bind(route: Option<RelayRoute<'_>>) -> Result<Self, LinkError> {
        Self::bind_as(&EndpointKey::generate(), route).await
    }

    /// Opens the endpoint of this key. Contacts the first relay, if there is one, without waiting for
    /// its answer.
    ///
    /// # Errors
    /// [`LinkError::Relay`] or [`LinkError::Bind`].
    pub async fn bind_as(
        key: &EndpointKey,
        route: Option<RelayRoute<'_>>,
    ) -> Result<Self, LinkError> {
        let opener = Opener::new(key, route, vec![ALPN.to_vec()], VarInt::from_u32(1))?;
        let endpoint = opener.open(Uses::First).await?;
        if let Some(relays) = opener.relays() {
            connect_relay(endpoint.clone(), relays.first().clone());
        }
        Ok(Self {
            queue: Mutex::new(HandshakeQueue::default()),
            link: OnceLock::new(),
            endpoints: Endpoints::new(endpoint, opener),
        })
    }

    /// Returns the address at which agents reach this endpoint, as far as known now: an iroh
    /// `EndpointAddr` as JSON. It names one relay: the one that is connected, or else the one whose
    /// turn it is, even before that has answered.
    #[must_use]
    pub fn address(&self) -> Value {
        let endpoint = self.endpoints.current();
        let mut address = endpoint.addr();
        match self.endpoints.relay() {
            Some(relay) => {
                address.addrs.retain(|known| !known.is_relay());
                address = address.with_relay_url(relay);
            }
            // Both ends may be on one machine (development, tests) that may have no address but
            // loopback.
            None => address = address.with_addrs(loopback_addresses(&endpoint)),
        }
        serde_json::to_value(address).expect("addresses are strings and numbers")
    }

    /// Returns whether agents can reach this endpoint through its relay now; true without a relay.
    #[must_use]
    pub fn is_relay_connected(&self) -> bool {
        self.endpoints.is_relay_connected()
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
        let attempt = queue.next(&self.endpoints, Terms::Code(params)).await;
        if let Some(kept) = &queue.resumption {
            let link = EndedLink::new(kept.parties.clone(), Role::Customer);
            let _ = self.link.set(link);
        }
        attempt
    }

    /// Returns the link, to read the other end's ending; `None` if there was none. An endpoint has
    /// one link.
    #[must_use]
    pub fn link(&self) -> Option<&EndedLink> {
        self.link.get()
    }

    /// Signs that the session is over; `None` if there was no link. `reason` is a stable name.
    #[must_use]
    pub fn sign_ending(&self, reason: &str) -> Option<String> {
        let key = self.endpoints.current().secret_key().clone();
        Some(self.link()?.sign(&key, reason))
    }

    /// Notes that the link is interrupted. From now on a second endpoint under the same key waits in
    /// [`accept_resume`](Self::accept_resume), too, with a relay connection of its own, until the link
    /// is resumed.
    pub fn link_interrupted(&self) {
        self.endpoints.begin_spare();
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
        let attempt = loop {
            tokio::select! {
                attempt = queue.next(&self.endpoints, Terms::Resume(params)) => break attempt,
                () = self.endpoints.reconnected() => {
                    if queue.is_idle() {
                        self.endpoints.put_off_spare();
                    } else {
                        self.endpoints.close_spare();
                    }
                    continue;
                }
                () = self.endpoints.spare_due() => {}
            }
            // A handshake would end with its endpoint.
            if queue.is_idle() {
                self.open_spare().await;
            } else {
                self.endpoints.defer_spare();
            }
        };
        if let Attempt::Resumed(link) = &attempt {
            self.endpoints.adopt(link.connection().endpoint());
        }
        attempt
    }

    /// Stays reachable while the terms of a resume aren't known: peers wait outside, unanswered. To be
    /// called in place of [`accept_resume`](Self::accept_resume). Never returns. Cancel safe.
    pub async fn hold_resume(&self) {
        loop {
            self.endpoints.spare_due().await;
            self.open_spare().await;
        }
    }

    async fn open_spare(&self) {
        let Some(spare) = self.endpoints.open_spare().await else {
            return;
        };
        for relay in self.endpoints.relays() {
            connect_relay(spare.clone(), relay.clone());
        }
    }

    /// Closes the endpoint and its links. Takes at most two seconds.
    pub async fn close(self) {
        self.endpoints.close().await;
    }

    /// Leaves out checks, for this crate's tests.
    #[cfg(test)]
    pub(crate) async fn set_checks(&self, checks: crate::handshake::customer::Checks) {
        self.queue.lock().await.checks = checks;
    }

    /// Returns the endpoint itself, for this crate's tests.
    #[cfg(test)]
    pub(crate) fn raw(&self) -> Endpoint {
        self.endpoints.current()
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

/// The endpoint from which a console dials customers.
#[derive(Debug)]
pub struct AgentEndpoint {
    endpoints: Endpoints,
}

impl AgentEndpoint {
    /// Opens an endpoint with a fresh identity.
    ///
    /// # Errors
    /// [`LinkError::Relay`] or [`LinkError::Bind`].
    pub async fn bind(route: Option<RelayRoute<'_>>) -> Result<Self, LinkError> {
        Self::bind_as(&EndpointKey::generate(), route).await
    }

    /// Opens the endpoint of this key. The relays are the session's, from the service's look-up.
    ///
    /// # Errors
    /// [`LinkError::Relay`] or [`LinkError::Bind`].
    pub async fn bind_as(
        key: &EndpointKey,
        route: Option<RelayRoute<'_>>,
    ) -> Result<Self, LinkError> {
        let opener = Opener::new(key, route, Vec::new(), VarInt::from_u32(0))?;
        Ok(Self {
            endpoints: Endpoints::new(opener.open(Uses::First).await?, opener),
        })
    }

    /// Returns whether this endpoint has its relay now; true without a relay.
    #[must_use]
    pub fn is_relay_connected(&self) -> bool {
        self.endpoints.is_relay_connected()
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
        let endpoint = self.endpoints.current();
        let connection = timeout(CONNECT_TIMEOUT, endpoint.connect(address, ALPN))
            .await
            .map_err(|_| DialError::Unreachable)?
            .map_err(|_| DialError::Unreachable)?;
        agent::authenticate(connection, endpoint, nameplate, secret, agent).await
    }

    /// Dials the customer of an interrupted link at `address` (the last that is known; not trusted)
    /// and goes on with the link over a new connection: one try, to be repeated. TLS takes at most
    /// `reach_limit`, the rest at most 8 s. A second endpoint under the same key tries to reach the
    /// customer through the relay at the same time; whichever does first goes on alone.
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
        self.endpoints.follow_relay_of(&address).await;
        let (connection, endpoint) = timeout(reach_limit, self.reach(address))
            .await
            .map_err(|_| DialError::Unreachable)??;
        let resuming = agent_resume::resume(connection, endpoint.clone(), resumption, agent);
        let resuming = tokio::select! {
            biased;
            resumed = resuming => resumed,
            () = self.endpoints.overtaken(&endpoint) => Err(DialError::Unreachable),
        };
        if resuming.is_ok() {
            self.endpoints.adopt(&endpoint);
        }
        resuming
    }

    /// Signs that the session over `link` is over. `reason` is a stable name.
    #[must_use]
    pub fn sign_ending(&self, link: &EndedLink, reason: &str) -> String {
        link.sign(self.endpoints.current().secret_key(), reason)
    }

    /// Returns the endpoint itself, for this crate's tests.
    #[cfg(test)]
    pub(crate) fn raw(&self) -> Endpoint {
        self.endpoints.current()
    }

    /// Connects to the customer from either endpoint. Returns the connection and its endpoint.
    async fn reach(&self, address: EndpointAddr) -> Result<(Connection, Endpoint), DialError> {
        let (endpoint, id) = (self.endpoints.current(), address.id);
        let spare = self.endpoints.fresh_spare().await;
        let connect_spare = async {
            let (spare, relays) = (spare?, self.endpoints.relays().cloned());
            let relays = relays.map(TransportAddr::Relay);
            let address = EndpointAddr::from_parts(id, relays);
            let connection = spare.connect(address, ALPN).await.ok()?;
            Some((connection, spare))
        };
        let through_relay = async {
            tokio::select! {
                reached = connect_spare => reached,
                () = self.endpoints.reconnected() => {
                    self.endpoints.put_off_spare();
                    None
                }
            }
        };
        tokio::select! {
            biased;
            Ok(connection) = endpoint.connect(address, ALPN) => {
                self.endpoints.settle(&endpoint);
                Ok((connection, endpoint))
            }
            Some(reached) = through_relay => Ok(reached),
            else => Err(DialError::Unreachable),
        }
    }

    /// Closes the endpoint and its links. Takes at most two seconds.
    pub async fn close(self) {
        self.endpoints.close().await;
    }

    /// Parses an address and drops what we don't follow: any relay but the session's own ones, and
    /// every IP address that can't be another machine's, since a stranger may have chosen it.
    fn filter_address(&self, address: &Value) -> Result<EndpointAddr, LinkError> {
        let EndpointAddr { id, addrs } =
            serde::Deserialize::deserialize(address).map_err(|_| LinkError::Address)?;
        let one_machine = self.endpoints.relays().all(is_loopback);
        let is_followed = |address: &TransportAddr| match address {
            TransportAddr::Ip(address) => is_dialled(address.ip(), one_machine),
            TransportAddr::Relay(url) => self.endpoints.relays().any(|relay| relay == url),
            _ => false,
        };
        let addrs: Vec<_> = addrs
            .into_iter()
            .filter(is_followed)
            .take(MAX_ADDRESSES)
            .collect();
        if addrs.is_empty() || id == self.endpoints.current().id() {
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
