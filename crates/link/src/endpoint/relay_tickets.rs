//! The endpoints' relay tickets.

use super::{AgentEndpoint, CustomerEndpoint};
use crate::{
    relay::{RelayAccess, RelayToken},
    ticket_keeper::RenewTicket,
};

impl CustomerEndpoint {
    /// Returns how often this endpoint has connected to its relay. A higher number than before means
    /// that the relay was away, though perhaps for a moment only.
    #[must_use]
    pub fn relay_connects(&self) -> u64 {
        self.endpoints.relay_connects()
    }

    /// Keeps `relay`'s ticket good, as long as this endpoint is there.
    pub fn keep_ticket(&self, relay: &RelayAccess, service: impl RenewTicket) {
        let endpoints = &self.endpoints;
        let ticket = relay.token.clone();
        endpoints.ticket.start(endpoints.current(), ticket, service);
    }

    /// Returns the newest ticket that is kept good; `None` if none is.
    #[must_use]
    pub fn ticket(&self) -> Option<RelayToken> {
        self.endpoints.ticket.newest()
    }
}

impl AgentEndpoint {
    /// Keeps `relay`'s ticket good, as long as this endpoint is there.
    pub fn keep_ticket(&self, relay: &RelayAccess, service: impl RenewTicket) {
        let endpoints = &self.endpoints;
        let ticket = relay.token.clone();
        endpoints.ticket.start(endpoints.current(), ticket, service);
    }

    /// Returns the newest ticket that is kept good; `None` if none is.
    #[must_use]
    pub fn ticket(&self) -> Option<RelayToken> {
        self.endpoints.ticket.newest()
    }
}
