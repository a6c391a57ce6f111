//! A restart ticket from a file or a secret store that anybody may have written.

use etatuki_trust::{MAX_RESTART_TICKET, RestartTicket};

pub(crate) fn restart_ticket(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(ticket) = RestartTicket::parse(text) {
        let again = ticket.to_text();
        assert_eq!(&*again, text.trim());
        assert!(again.len() <= MAX_RESTART_TICKET);
        assert!(ticket.check_time(ticket.issued).is_ok());
        assert!(ticket.check_time(ticket.expires).is_err());
    }
}
