use proptest::prelude::*;

use super::*;
use crate::VendorKey;

const NOW: UnixTime = UnixTime(1_700_000_000);
const KEY_NUMBER: u32 = 7;

fn key() -> TicketKey {
    TicketKey::from_seed([5; 32])
}

fn agent() -> TicketBearer {
    TicketBearer::Agent(CardId {
        vendor: VendorKey::from_seed([1; 32]).public(),
        serial: 99,
    })
}

fn signed(bearer: TicketBearer) -> RelayTicket {
    let contents = VerifiedTicket::first([3; 32], bearer, NOW);
    RelayTicket::sign(contents, KEY_NUMBER, &key())
}

/// Parses and verifies `text` with the one known key.
fn read(text: &str) -> Result<VerifiedTicket, TicketError> {
    text.parse::<RelayTicket>()?
        .verify([(KEY_NUMBER, key().public())])
}

#[test]
fn a_ticket_is_read_as_it_was_signed() {
    for bearer in [TicketBearer::Customer, agent()] {
        let ticket = read(&signed(bearer).to_string()).unwrap();
        assert_eq!(ticket, VerifiedTicket::first([3; 32], bearer, NOW));
        assert_eq!(ticket.check_endpoint(&[3; 32]), Ok(()));
    }
    let debugged = format!("{:?}", signed(agent()));
    assert_eq!(debugged, "RelayTicket(<redacted>)");
}

#[test]
fn a_ticket_is_one_endpoints_and_one_keys() {
    let ticket = signed(agent());
    let verified = ticket.verify([(KEY_NUMBER, key().public())]).unwrap();
    let other = verified.check_endpoint(&[4; 32]).unwrap_err();
    assert_eq!(other.name(), "ticket-wrong-endpoint");
    let other = ticket.verify([(KEY_NUMBER + 1, key().public())]);
    assert_eq!(other.unwrap_err().name(), "ticket-unknown-key");
    let stranger = TicketKey::from_seed([6; 32]).public();
    let forged = ticket.verify([(KEY_NUMBER, stranger)]);
    assert_eq!(forged.unwrap_err().name(), "ticket-bad-signature");
    // Two services may have a key of the same number.
    let both = [(KEY_NUMBER, stranger), (KEY_NUMBER, key().public())];
    assert_eq!(ticket.verify(both), Ok(verified));
}

#[test]
fn a_customers_ticket_is_no_agents() {
    let text = signed(TicketBearer::Customer).to_string();
    let mut bytes = URL_SAFE_NO_PAD.decode(&text[PREFIX.len()..]).unwrap();
    bytes[4] = AGENT;
    let other = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&bytes));
    assert_eq!(read(&other).unwrap_err().name(), "ticket-malformed");
    let mut bytes = signed(agent()).contents.to_bytes(KEY_NUMBER);
    bytes.drain(5..45);
    bytes[4] = CUSTOMER;
    bytes.extend(signed(agent()).signature);
    let other = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&bytes));
    assert_eq!(read(&other).unwrap_err().name(), "ticket-bad-signature");
}

#[test]
fn renewing_goes_on_for_a_day() {
    let mut ticket = VerifiedTicket::first([3; 32], agent(), NOW);
    let mut now = NOW;
    assert_eq!(ticket.check_time(NOW.saturating_add(899)), Ok(()));
    let late = ticket.renewed(NOW.saturating_add(900)).unwrap_err();
    assert_eq!(late.name(), "ticket-expired");
    while let Ok(renewed) = ticket.renewed(now) {
        assert_eq!(renewed.until, ticket.until);
        ticket = renewed;
        now = now.saturating_add(300);
    }
    assert_eq!(now, NOW.saturating_add(MAX_SESSION_SECONDS));
}

proptest! {
    #[test]
    fn a_changed_ticket_is_refused(at in 0usize..157, bit in 0u8..8, is_agent: bool) {
        let bearer = if is_agent { agent() } else { TicketBearer::Customer };
        let text = signed(bearer).to_string();
        let mut bytes = URL_SAFE_NO_PAD.decode(&text[PREFIX.len()..]).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let changed = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&bytes));
        let error = read(&changed).unwrap_err();
        let expected = [TicketError::Malformed, TicketError::UnknownKey, TicketError::BadSignature];
        prop_assert!(expected.contains(&error), "{error:?}");
        prop_assert_eq!(error == TicketError::UnknownKey, at < 4);
    }

    #[test]
    fn no_text_panics(text: String, bytes: Vec<u8>) {
        prop_assert!(read(&text).is_err());
        let encoded = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        prop_assert!(read(&encoded).is_err());
    }

    #[test]
    fn a_ticket_is_good_for_its_time_alone(after in 0u64..2_000) {
        let ticket = VerifiedTicket::first([3; 32], TicketBearer::Customer, NOW);
        let good = ticket.check_time(NOW.saturating_add(after)).is_ok();
        prop_assert_eq!(good, after < TICKET_SECONDS);
    }
}
