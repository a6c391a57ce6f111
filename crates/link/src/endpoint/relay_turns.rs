//! Which of a session's relays an endpoint uses.
//!
//! One at a time, in the operator's order: each connection costs its relay memory, and iroh would choose
//! by the round trip of the moment. When the relay in use is away, the next one has its turn. A
//! [spare endpoint](super::spare) uses all of them at once, so that both ends of an interrupted link meet
//! at whichever is left.

use std::{sync::Arc, time::Duration};

use iroh::{Endpoint, EndpointAddr, RelayUrl, Watcher, endpoint::RelayStatus};
use tokio::time::Instant;
use tracing::info;

use super::{CustomerEndpoint, opener::connect_relay, spare::Endpoints};

/// Time for a relay to be connected, from the beginning of its turn. iroh knows after its first report on
/// the network, which takes three seconds and more where UDP is blocked.
const FIRST_WAIT: Duration = Duration::from_secs(8);

/// Time for a relay that is away to come back. DNS, TCP, TLS and the relay's handshake take five round
/// trips.
const NEXT_WAIT: Duration = Duration::from_secs(4);

/// The relay whose turn it is.
#[derive(Debug)]
pub(super) struct RelayTurn {
    relay: RelayUrl,
    /// When the next one has its turn, unless this one is connected by then.
    until: Instant,
}

impl RelayTurn {
    pub(super) fn new(relay: RelayUrl) -> Self {
        Self {
            relay,
            until: Instant::now() + FIRST_WAIT,
        }
    }
}

impl CustomerEndpoint {
    /// Gives the next relay its turn if the one in use has been away for four seconds: the
    /// [address](Self::address) names that from then on. To be called once a second.
    pub async fn look_after_relay(&self) {
        self.endpoints.look_after_relay().await;
    }
}

impl Endpoints {
    /// Returns the relays that may carry the session; none without a service.
    pub(super) fn relays(&self) -> impl Iterator<Item = &RelayUrl> {
        self.opener.relays().into_iter().flat_map(|set| set.urls())
    }

    /// Returns the relay that is connected, or else the one whose turn it is.
    pub(super) fn relay(&self) -> Option<RelayUrl> {
        connected_relay(&self.current()).or_else(|| self.turn())
    }

    /// Returns whether there is a connection to a relay now; true without a relay.
    pub(super) fn is_relay_connected(&self) -> bool {
        self.opener.relays().is_none() || connected_relay(&self.current()).is_some()
    }

    /// As [`CustomerEndpoint::look_after_relay`].
    async fn look_after_relay(&self) {
        if let Some(connected) = connected_relay(&self.current()) {
            *self.lock_turn() = Some(RelayTurn {
                relay: connected,
                until: Instant::now() + NEXT_WAIT,
            });
            return;
        }
        let next = {
            let turn = self.lock_turn();
            let over = turn.as_ref().filter(|turn| turn.until <= Instant::now());
            over.and_then(|turn| self.opener.relays()?.after(&turn.relay).cloned())
        };
        if let Some(next) = next {
            self.use_relay(next).await;
        }
    }

    /// Uses the relay that the other end's address names.
    pub(super) async fn follow_relay_of(&self, address: &EndpointAddr) {
        let turn = self.turn();
        let mut named = address.relay_urls();
        if let Some(named) = named.next()
            && turn.as_ref() != Some(named)
        {
            self.use_relay(named.clone()).await;
        }
    }

    /// Uses this relay of the set in place of the others, at the current endpoint.
    async fn use_relay(&self, relay: RelayUrl) {
        let Some(set) = self.opener.relays() else {
            return;
        };
        info!(%relay, "another relay has its turn");
        *self.lock_turn() = Some(RelayTurn::new(relay.clone()));
        let endpoint = self.current();
        for other in set.urls().filter(|other| **other != relay) {
            endpoint.remove_relay(other).await;
        }
        let ticket = self.ticket.newest();
        for config in set.configs(ticket.as_ref(), |url| *url == relay) {
            endpoint.insert_relay(relay.clone(), Arc::new(config)).await;
        }
        connect_relay(endpoint, relay);
    }

    fn turn(&self) -> Option<RelayUrl> {
        self.lock_turn().as_ref().map(|turn| turn.relay.clone())
    }
}

/// Returns the relay to which the endpoint is connected.
fn connected_relay(endpoint: &Endpoint) -> Option<RelayUrl> {
    let mut relays = endpoint.home_relay_status();
    let mut relays = relays.get().into_iter();
    let connected = relays.find(RelayStatus::is_connected)?;
    Some(connected.url().clone())
}
