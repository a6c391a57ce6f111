//! The restart ticket: what the customer's machine keeps, over one restart, to go on with its
//! session. This module makes and parses the text; where it is kept is the launcher's business.
//!
//! The text is `etr1-` and base64url (RFC 4648) without padding of these fields, numbers
//! big-endian:
//!
//! | bytes | field |
//! |-------|-------|
//! | 8, 8  | issued, expires: Unix time in seconds |
//! | 32    | private key of the customer's endpoint |
//! | 32    | resume key |
//! | 32    | endpoint id of the agent |
//! | 32    | hash of the agent's card |
//! | 1 + n | nameplate |
//! | 2 + n | agent's name |
//! | 2 + n | agent's organisation |
//! | 1 + n | id of the backend |
//!
//! Nothing in it is a permission, and a ticket says nothing about who may use it: its keys prove
//! this customer's end to one agent's end, which must hold the same resume key.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{code::Nameplate, name::check_name, time::UnixTime};

/// Lifetime of a ticket: 15 minutes, in seconds. An accounting update restarts a machine in less.
pub const RESTART_LIFETIME: u64 = 15 * 60;

/// The most bytes of a ticket's text: 2 KiB. The longest names take 1 KiB.
pub const MAX_RESTART_TICKET: usize = 2 << 10;

/// The most bytes of a backend's id.
const MAX_BACKEND_ID: usize = 40;

const PREFIX: &str = "etr1-";

/// A secret key of 32 bytes in a restart ticket. Wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct RestartKey([u8; 32]);

impl RestartKey {
    /// Takes the key's bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the key's bytes, for the one who uses the key.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for RestartKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RestartKey(<redacted>)")
    }
}

/// The customer's end of a link, as a later process needs it to resume that link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkCredentials {
    /// Private key of the endpoint: with it the endpoint id stays the same.
    pub endpoint_key: RestartKey,
    /// Key that both ends hold; the next resume proves it.
    pub resume_key: RestartKey,
    /// Endpoint id of the agent's end.
    pub agent_endpoint: [u8; 32],
    /// Hash of the card that opened the link.
    pub card_hash: [u8; 32],
    /// Agent's name, from the card.
    pub agent_name: String,
    /// Agent's organisation, from the card.
    pub agent_organisation: String,
    /// Nameplate under which the link was opened.
    pub nameplate: Nameplate,
}

/// A restart ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartTicket {
    /// Time at which the customer allowed it, by this machine's clock.
    pub issued: UnixTime,
    /// Time from which it is worthless.
    pub expires: UnixTime,
    /// Id of the registry's entry whose session goes on.
    pub backend: String,
    /// The end of the link.
    pub link: LinkCredentials,
}

/// The reason why a ticket can't be used. Never carries any of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestartTicketError {
    /// The text isn't a ticket.
    #[error("the restart ticket is damaged")]
    Malformed,
    /// The 15 minutes are over.
    #[error("the restart ticket has expired")]
    Expired,
    /// By this machine's clock the ticket isn't made yet: the clock was set back.
    #[error("the restart ticket is from the future: this computer's clock was set back")]
    NotYetValid,
}

impl RestartTicket {
    /// Makes a ticket that is good from `now` for [`RESTART_LIFETIME`].
    #[must_use]
    pub const fn issue(backend: String, link: LinkCredentials, now: UnixTime) -> Self {
        Self {
            issued: now,
            expires: now.saturating_add(RESTART_LIFETIME),
            backend,
            link,
        }
    }

    /// Checks that the ticket is good at `now`.
    ///
    /// # Errors
    /// [`RestartTicketError::Expired`] or [`RestartTicketError::NotYetValid`].
    pub fn check_time(&self, now: UnixTime) -> Result<(), RestartTicketError> {
        if now < self.issued {
            Err(RestartTicketError::NotYetValid)
        } else if now >= self.expires {
            Err(RestartTicketError::Expired)
        } else {
            Ok(())
        }
    }

    /// Returns the ticket's text, for a place that only its owner can read.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_RESTART_TICKET));
        let link = &self.link;
        bytes.extend_from_slice(&self.issued.0.to_be_bytes());
        bytes.extend_from_slice(&self.expires.0.to_be_bytes());
        bytes.extend_from_slice(link.endpoint_key.expose());
        bytes.extend_from_slice(link.resume_key.expose());
        bytes.extend_from_slice(&link.agent_endpoint);
        bytes.extend_from_slice(&link.card_hash);
        put_short_text(&mut bytes, link.nameplate.as_str());
        put_text(&mut bytes, &link.agent_name);
        put_text(&mut bytes, &link.agent_organisation);
        put_short_text(&mut bytes, &self.backend);
        let mut text = Zeroizing::new(String::with_capacity(MAX_RESTART_TICKET));
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(&*bytes, &mut text);
        text
    }

    /// Parses the text made by [`to_text`](Self::to_text); white space around it is ignored.
    /// Doesn't look at the time.
    ///
    /// # Errors
    /// [`RestartTicketError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, RestartTicketError> {
        Self::parse_fields(text).ok_or(RestartTicketError::Malformed)
    }

    fn parse_fields(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > MAX_RESTART_TICKET {
            return None;
        }
        let text = text.strip_prefix(PREFIX)?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let mut reader = Reader(&bytes);
        let (issued, expires) = (reader.time()?, reader.time()?);
        let link = LinkCredentials {
            endpoint_key: RestartKey(*reader.key()?),
            resume_key: RestartKey(*reader.key()?),
            agent_endpoint: *reader.key()?,
            card_hash: *reader.key()?,
            nameplate: reader.short_text()?.parse().ok()?,
            agent_name: reader.name()?,
            agent_organisation: reader.name()?,
        };
        let backend = reader.short_text()?;
        let is_lifetime = issued.saturating_add(RESTART_LIFETIME) == expires && issued < expires;
        let is_id = !backend.is_empty() && backend.len() <= MAX_BACKEND_ID;
        (reader.0.is_empty() && is_lifetime && is_id).then(|| Self {
            issued,
            expires,
            backend: backend.to_owned(),
            link,
        })
    }
}

fn put_short_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(u8::try_from(text.len()).expect("nameplates and ids are short"));
    bytes.extend_from_slice(text.as_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("names have 80 characters at most");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// Reader of a ticket's fields; borrows, so that no secret is copied more often than needed.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn time(&mut self) -> Option<UnixTime> {
        let bytes = self.take(8)?.try_into().ok()?;
        Some(UnixTime(u64::from_be_bytes(bytes)))
    }

    fn key(&mut self) -> Option<&'a [u8; 32]> {
        self.take(32)?.try_into().ok()
    }

    fn short_text(&mut self) -> Option<&'a str> {
        let [length] = *self.take(1)? else {
            return None;
        };
        std::str::from_utf8(self.take(length.into())?).ok()
    }

    fn name(&mut self) -> Option<String> {
        let length = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        let name = std::str::from_utf8(self.take(length.into())?).ok()?;
        check_name(name).ok()?;
        Some(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticket() -> RestartTicket {
        let link = LinkCredentials {
            endpoint_key: RestartKey([11; 32]),
            resume_key: RestartKey([22; 32]),
            agent_endpoint: [33; 32],
            card_hash: [44; 32],
            agent_name: "Maija Virtanen".into(),
            agent_organisation: "Tilitoimisto Öhman Oy".into(),
            nameplate: "123456".parse().unwrap(),
        };
        RestartTicket::issue("ecom".into(), link, UnixTime(1_000_000))
    }

    #[test]
    fn a_ticket_is_good_for_fifteen_minutes() {
        let check = |now, expected| {
            let checked = ticket().check_time(UnixTime(now));
            assert_eq!(checked, expected, "{now}");
        };
        check(999_999, Err(RestartTicketError::NotYetValid));
        check(1_000_000, Ok(()));
        check(1_000_899, Ok(()));
        check(1_000_900, Err(RestartTicketError::Expired));
        check(0, Err(RestartTicketError::NotYetValid));
    }

    #[test]
    fn a_tickets_keys_are_in_no_debug_text() {
        let shown = format!("{:?}", ticket());
        assert!(
            shown.contains("endpoint_key: RestartKey(<redacted>)"),
            "{shown}"
        );
        assert!(
            shown.contains("resume_key: RestartKey(<redacted>)"),
            "{shown}"
        );
        assert!(
            !shown.contains("11, 11") && !shown.contains("22, 22"),
            "{shown}"
        );
    }

    /// A longer life than 15 minutes can't be written into a ticket, nor one that never ends.
    #[test]
    fn a_ticket_of_another_lifetime_is_malformed() {
        for expires in [0, 999_999, 1_000_000, 1_000_901, u64::MAX] {
            let longer = RestartTicket {
                expires: UnixTime(expires),
                ..ticket()
            };
            let parsed = RestartTicket::parse(&longer.to_text());
            assert_eq!(parsed, Err(RestartTicketError::Malformed), "{expires}");
        }
        let endless = RestartTicket::issue("ecom".into(), ticket().link, UnixTime(u64::MAX));
        let parsed = RestartTicket::parse(&endless.to_text());
        assert_eq!(parsed, Err(RestartTicketError::Malformed));
    }

    #[test]
    fn a_ticket_without_a_proper_name_or_backend_is_malformed() {
        let changed = |change: fn(&mut RestartTicket)| {
            let mut ticket = ticket();
            change(&mut ticket);
            assert_eq!(
                RestartTicket::parse(&ticket.to_text()),
                Err(RestartTicketError::Malformed),
                "{ticket:?}"
            );
        };
        changed(|ticket| ticket.backend.clear());
        changed(|ticket| ticket.backend = "x".repeat(41));
        changed(|ticket| ticket.link.agent_name.clear());
        changed(|ticket| ticket.link.agent_name = "Support\u{202E}".into());
        changed(|ticket| ticket.link.agent_organisation = "x".repeat(81));
    }

    #[test]
    fn the_longest_ticket_fits() {
        let mut longest = ticket();
        longest.backend = "x".repeat(MAX_BACKEND_ID);
        longest.link.agent_name = "\u{1F600}".repeat(80);
        longest.link.agent_organisation = "\u{1F600}".repeat(80);
        let text = longest.to_text();
        assert!(text.len() <= MAX_RESTART_TICKET);
        assert_eq!(RestartTicket::parse(&text), Ok(longest));
    }

    proptest! {
        #[test]
        fn a_ticket_comes_back_as_it_was(
            endpoint_key: [u8; 32],
            resume_key: [u8; 32],
            agent_endpoint: [u8; 32],
            card_hash: [u8; 32],
            name in "[A-ZÅÄÖa-zåäö]{1,80}",
            digits in "[0-9]{6}|[0-9]{8}",
            backend in "[a-z0-9-]{1,40}",
            now in 0..u64::MAX - RESTART_LIFETIME,
        ) {
            let link = LinkCredentials {
                endpoint_key: RestartKey(endpoint_key),
                resume_key: RestartKey(resume_key),
                agent_endpoint,
                card_hash,
                agent_name: name.clone(),
                agent_organisation: name,
                nameplate: digits.parse().unwrap(),
            };
            let ticket = RestartTicket::issue(backend, link, UnixTime(now));
            let text = ticket.to_text();
            prop_assert_eq!(RestartTicket::parse(&text), Ok(ticket));
        }

        #[test]
        fn a_cut_or_longer_ticket_is_malformed(cut in 0_usize..300, more in "[A-Za-z0-9_-]{1,8}") {
            let text = ticket().to_text();
            let cut = &text[..cut.min(text.len() - 1)];
            prop_assert_eq!(RestartTicket::parse(cut), Err(RestartTicketError::Malformed));
            let longer = format!("{}{more}", *text);
            prop_assert_eq!(RestartTicket::parse(&longer), Err(RestartTicketError::Malformed));
        }

        #[test]
        fn any_text_is_a_ticket_or_malformed(text in "(etr1-)?[ -~]{0,400}") {
            if let Ok(ticket) = RestartTicket::parse(&text) {
                prop_assert_eq!(&*ticket.to_text(), text.trim());
            }
        }
    }
}
