//! Who may connect to the relay: the bearers of tickets. Pure: the time is passed in.
//!
//! A ticket says by itself who may connect and until when. Only two things are kept here. One is the
//! connections, since there are a few for each endpoint at a time. The other is how long each
//! endpoint's newest ticket is good: iroh's client presents its first ticket at every reconnect, so
//! a renewed one is shown to the relay over HTTP.

use std::collections::HashMap;
use std::hash::Hash;

use etatuki_trust::{CardId, TicketBearer, TicketError, UnixTime, VerifiedTicket};

/// Connections of one endpoint at a time: one, and those that a broken network left behind.
const MAX_CONNECTIONS: usize = 4;

/// The id of an endpoint, proved by the relay's handshake.
pub(crate) type EndpointBytes = [u8; 32];

/// Every endpoint that is connected or has renewed its ticket; `C` identifies a connection.
#[derive(Debug)]
pub(crate) struct RelayAdmissions<C> {
    endpoints: HashMap<EndpointBytes, Endpoint<C>>,
    capacity: usize,
}

#[derive(Debug)]
struct Endpoint<C> {
    /// The end of the newest ticket that was renewed here.
    renewed_until: UnixTime,
    connections: Vec<(C, TicketBearer)>,
}

/// The reason why a connection isn't admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdmissionError {
    Ticket(TicketError),
    /// The endpoint has too many connections, or the relay is full.
    TooMany,
}

impl<C: Copy + Eq + Hash> RelayAdmissions<C> {
    /// Returns an empty table of at most `capacity` endpoints.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            endpoints: HashMap::new(),
            capacity,
        }
    }

    /// Admits the bearer of `ticket`, whose signature is good, as `endpoint`. `connection` counts
    /// until [`disconnect`](Self::disconnect).
    pub(crate) fn connect(
        &mut self,
        ticket: &VerifiedTicket,
        endpoint: &EndpointBytes,
        connection: C,
        now: UnixTime,
    ) -> Result<(), AdmissionError> {
        ticket
            .check_endpoint(endpoint)
            .and_then(|()| self.check_time(ticket, now))
            .map_err(AdmissionError::Ticket)?;
        let known = self.entry(endpoint).ok_or(AdmissionError::TooMany)?;
        if known.connections.len() >= MAX_CONNECTIONS {
            return Err(AdmissionError::TooMany);
        }
        known.connections.push((connection, ticket.bearer));
        Ok(())
    }

    /// Remembers until when an endpoint's renewed ticket is good. A full table forgets it; then a
    /// lost connection needs the first ticket to be good.
    pub(crate) fn renewed(&mut self, ticket: &VerifiedTicket) {
        if let Some(known) = self.entry(&ticket.endpoint) {
            known.renewed_until = known.renewed_until.max(ticket.expires);
        }
    }

    /// Stops counting an admitted connection, which has ended.
    pub(crate) fn disconnect(&mut self, endpoint: &EndpointBytes, connection: &C) {
        if let Some(known) = self.endpoints.get_mut(endpoint) {
            known.connections.retain(|(open, _)| open != connection);
        }
    }

    /// Forgets endpoints without a connection whose ticket has expired by `now`.
    pub(crate) fn sweep(&mut self, now: UnixTime) {
        self.endpoints
            .retain(|_, known| !known.connections.is_empty() || now < known.renewed_until);
    }

    /// Returns the connections of agents whose card isn't good any more.
    pub(crate) fn revoked(&self, is_revoked: impl Fn(&CardId) -> bool) -> Vec<(EndpointBytes, C)> {
        let is_out = |bearer: &TicketBearer| match bearer {
            TicketBearer::Customer => false,
            TicketBearer::Agent(card) => is_revoked(card),
        };
        let endpoints = self.endpoints.iter();
        endpoints
            .flat_map(|(endpoint, known)| {
                let open = known.connections.iter();
                open.filter(|(_, bearer)| is_out(bearer))
                    .map(|(connection, _)| (*endpoint, *connection))
            })
            .collect()
    }

    /// Returns the number of connections.
    pub(crate) fn connection_count(&self) -> usize {
        let endpoints = self.endpoints.values();
        endpoints.map(|known| known.connections.len()).sum()
    }

    /// An expired ticket is good while a later one is that was renewed here, but never longer than
    /// it may be renewed.
    fn check_time(&self, ticket: &VerifiedTicket, now: UnixTime) -> Result<(), TicketError> {
        let renewed = self.endpoints.get(&ticket.endpoint);
        let is_renewed = renewed.is_some_and(|known| now < known.renewed_until);
        if is_renewed && now < ticket.until {
            return Ok(());
        }
        ticket.check_time(now)
    }

    fn entry(&mut self, endpoint: &EndpointBytes) -> Option<&mut Endpoint<C>> {
        if self.endpoints.len() >= self.capacity && !self.endpoints.contains_key(endpoint) {
            return None;
        }
        Some(self.endpoints.entry(*endpoint).or_insert_with(|| Endpoint {
            renewed_until: UnixTime(0),
            connections: Vec::new(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use etatuki_trust::{MAX_SESSION_SECONDS, VendorKey};

    use super::*;

    const ENDPOINT: EndpointBytes = [3; 32];

    fn at(seconds: u64) -> UnixTime {
        UnixTime(1_700_000_000 + seconds)
    }

    fn agent() -> TicketBearer {
        TicketBearer::Agent(CardId {
            vendor: VendorKey::from_seed([1; 32]).public(),
            serial: 7,
        })
    }

    fn ticket() -> VerifiedTicket {
        VerifiedTicket::first(ENDPOINT, agent(), at(0))
    }

    fn admissions() -> RelayAdmissions<u32> {
        RelayAdmissions::new(10)
    }

    const EXPIRED: Result<(), AdmissionError> = Err(AdmissionError::Ticket(TicketError::Expired));

    #[test]
    fn a_ticket_is_good_for_its_endpoint_and_its_time() {
        let mut admissions = admissions();
        let other = admissions.connect(&ticket(), &[4; 32], 1, at(0));
        let expected = AdmissionError::Ticket(TicketError::WrongEndpoint);
        assert_eq!(other, Err(expected));
        let connect = |admissions: &mut RelayAdmissions<u32>, now| {
            admissions.connect(&ticket(), &ENDPOINT, 1, now)
        };
        assert_eq!(connect(&mut admissions, at(899)), Ok(()));
        assert_eq!(connect(&mut admissions, at(900)), EXPIRED);
    }

    #[test]
    fn the_first_ticket_is_good_as_long_as_the_newest_one() {
        let mut admissions = admissions();
        admissions.renewed(&ticket().renewed(at(600)).unwrap());
        assert_eq!(
            admissions.connect(&ticket(), &ENDPOINT, 1, at(1499)),
            Ok(())
        );
        assert_eq!(
            admissions.connect(&ticket(), &ENDPOINT, 2, at(1500)),
            EXPIRED
        );
        // Another endpoint's renewal helps nobody.
        let other = VerifiedTicket {
            endpoint: [4; 32],
            ..ticket()
        };
        assert_eq!(admissions.connect(&other, &[4; 32], 3, at(1499)), EXPIRED);
    }

    #[test]
    fn no_ticket_is_good_for_longer_than_a_day() {
        let mut admissions = admissions();
        let far = VerifiedTicket {
            until: at(MAX_SESSION_SECONDS * 9),
            ..VerifiedTicket::first(ENDPOINT, agent(), at(MAX_SESSION_SECONDS))
        };
        admissions.renewed(&far);
        let late = admissions.connect(&ticket(), &ENDPOINT, 1, at(MAX_SESSION_SECONDS));
        assert_eq!(late, EXPIRED);
    }

    #[test]
    fn an_endpoint_has_a_few_connections() {
        let mut admissions = admissions();
        let mut connect = |number| admissions.connect(&ticket(), &ENDPOINT, number, at(0));
        for number in 0..4 {
            assert_eq!(connect(number), Ok(()));
        }
        assert_eq!(connect(100), Err(AdmissionError::TooMany));
        admissions.disconnect(&ENDPOINT, &0);
        assert_eq!(admissions.connection_count(), 3);
        assert_eq!(admissions.connect(&ticket(), &ENDPOINT, 100, at(0)), Ok(()));
    }

    #[test]
    fn the_revoked_are_found_and_the_gone_forgotten() {
        let mut admissions = admissions();
        let customer = VerifiedTicket::first([4; 32], TicketBearer::Customer, at(0));
        admissions.connect(&ticket(), &ENDPOINT, 1, at(0)).unwrap();
        admissions.connect(&customer, &[4; 32], 2, at(0)).unwrap();
        let revoked = admissions.revoked(|card| card.serial == 7);
        assert_eq!(revoked, [(ENDPOINT, 1)]);
        assert_eq!(admissions.revoked(|card| card.serial == 8), []);
        admissions.disconnect(&ENDPOINT, &1);
        admissions.sweep(at(0));
        assert_eq!(admissions.endpoints.len(), 1);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut admissions = RelayAdmissions::new(1);
        let customer = VerifiedTicket::first([4; 32], TicketBearer::Customer, at(0));
        assert_eq!(admissions.connect(&ticket(), &ENDPOINT, 1, at(0)), Ok(()));
        let full = admissions.connect(&customer, &[4; 32], 2, at(0));
        assert_eq!(full, Err(AdmissionError::TooMany));
        admissions.renewed(&customer);
        assert_eq!(admissions.endpoints.len(), 1);
    }
}
