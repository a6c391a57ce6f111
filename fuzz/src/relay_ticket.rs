//! Relay tickets, which anybody can send to a relay.

use etatuki_trust::{RelayTicket, TicketError, TicketKey};

pub(crate) fn relay_ticket(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Ok(ticket) = text.parse::<RelayTicket>() else {
        return;
    };
    // One text alone is a ticket's own, and nobody but the key's holder has signed one.
    assert_eq!(ticket.to_string(), text);
    let key = TicketKey::from_seed([5; 32]).public();
    let refused = ticket.verify([(1, key)]).expect_err("nobody has signed it");
    assert!(matches!(
        refused,
        TicketError::UnknownKey | TicketError::BadSignature
    ));
}
