//! Relay tickets: what the service signs so that one endpoint may use a relay for a while. A relay
//! needs the public key and keeps nothing, so a ticket outlives a restart of either.
//!
//! ```text
//! key number  u32   which of the service's keys has signed
//! bearer      u8    1 customer; 2 agent, followed by the card's vendor key (32) and serial (u64)
//! endpoint    32    the endpoint id that may use the ticket; the relay's handshake proves it
//! expires     u64   Unix time; 15 minutes after the issue
//! until       u64   Unix time that no renewal exceeds; a day after the first ticket
//! signature   64    Ed25519 over a context and all of the above
//! ```
//! Integers are big-endian. The text is `etrt1-` and base64url of these bytes.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    card::CardId,
    keys::{TicketKey, TicketPublicKey, VendorPublicKey},
    time::UnixTime,
};

/// Life of a ticket, in seconds. Both ends renew theirs every five minutes, so a service that is
/// away for ten voids none.
pub const TICKET_SECONDS: u64 = 15 * 60;

/// Time after the first ticket until which it can be renewed, in seconds.
pub const MAX_SESSION_SECONDS: u64 = 24 * 60 * 60;

const PREFIX: &str = "etrt1-";
const CONTEXT: &[u8] = b"etatuki relay ticket v1\0";
const SIGNATURE_BYTES: usize = 64;

/// The longest ticket in bytes: an agent's.
const MAX_BYTES: usize = 4 + 1 + 40 + 32 + 8 + 8 + SIGNATURE_BYTES;

const CUSTOMER: u8 = 1;
const AGENT: u8 = 2;

/// The reason why a ticket is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Not the text of a ticket.
    #[error("this isn't a relay ticket")]
    Malformed,
    /// Signed with a key that isn't known, or not any more.
    #[error("the relay ticket is signed with another key")]
    UnknownKey,
    /// Changed after it was signed.
    #[error("the relay ticket's signature is wrong")]
    BadSignature,
    /// Issued for another endpoint.
    #[error("the relay ticket is another endpoint's")]
    WrongEndpoint,
    /// Out of its time.
    #[error("the relay ticket has expired")]
    Expired,
    /// The card that it was issued for is revoked.
    #[error("the card behind the relay ticket is revoked")]
    Revoked,
}

impl TicketError {
    /// Returns the stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "ticket-malformed",
            Self::UnknownKey => "ticket-unknown-key",
            Self::BadSignature => "ticket-bad-signature",
            Self::WrongEndpoint => "ticket-wrong-endpoint",
            Self::Expired => "ticket-expired",
            Self::Revoked => "ticket-revoked",
        }
    }
}

/// The role of the endpoint that a ticket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketBearer {
    /// A customer's machine.
    Customer,
    /// The console of the agent with this card.
    Agent(CardId),
}

/// The contents of a ticket whose signature was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedTicket {
    /// The endpoint that may use it.
    pub endpoint: [u8; 32],
    /// The role of that endpoint.
    pub bearer: TicketBearer,
    /// The end of this ticket.
    pub expires: UnixTime,
    /// The time that no renewal exceeds.
    pub until: UnixTime,
}

impl VerifiedTicket {
    /// Returns the contents of a first ticket, issued at `now`.
    #[must_use]
    pub fn first(endpoint: [u8; 32], bearer: TicketBearer, now: UnixTime) -> Self {
        Self {
            endpoint,
            bearer,
            expires: now.saturating_add(TICKET_SECONDS),
            until: now.saturating_add(MAX_SESSION_SECONDS),
        }
    }

    /// Returns the contents of the ticket that replaces this one at `now`.
    ///
    /// # Errors
    /// This one has expired.
    pub fn renewed(self, now: UnixTime) -> Result<Self, TicketError> {
        self.check_time(now)?;
        let expires = now.saturating_add(TICKET_SECONDS).min(self.until);
        Ok(Self { expires, ..self })
    }

    /// Checks that the ticket is good at `now`.
    ///
    /// # Errors
    /// [`TicketError::Expired`].
    pub fn check_time(&self, now: UnixTime) -> Result<(), TicketError> {
        if now < self.expires.min(self.until) {
            Ok(())
        } else {
            Err(TicketError::Expired)
        }
    }

    /// Checks that the ticket is `endpoint`'s.
    ///
    /// # Errors
    /// [`TicketError::WrongEndpoint`].
    pub fn check_endpoint(&self, endpoint: &[u8; 32]) -> Result<(), TicketError> {
        if self.endpoint == *endpoint {
            Ok(())
        } else {
            Err(TicketError::WrongEndpoint)
        }
    }

    fn to_bytes(self, key_number: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MAX_BYTES);
        bytes.extend(key_number.to_be_bytes());
        match self.bearer {
            TicketBearer::Customer => bytes.push(CUSTOMER),
            TicketBearer::Agent(card) => {
                bytes.push(AGENT);
                bytes.extend(card.vendor.to_bytes());
                bytes.extend(card.serial.to_be_bytes());
            }
        }
        bytes.extend(self.endpoint);
        bytes.extend(self.expires.0.to_be_bytes());
        bytes.extend(self.until.0.to_be_bytes());
        bytes
    }
}

/// A parsed ticket, with a signature that is not verified yet.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayTicket {
    key_number: u32,
    contents: VerifiedTicket,
    signature: [u8; SIGNATURE_BYTES],
}

impl RelayTicket {
    /// Signs a ticket with the key of this number.
    #[must_use]
    pub fn sign(contents: VerifiedTicket, key_number: u32, key: &TicketKey) -> Self {
        Self {
            key_number,
            contents,
            signature: key.sign(&signed_message(&contents.to_bytes(key_number))),
        }
    }

    /// Verifies the signature with the key that `keys` has under the ticket's number. Time, endpoint
    /// and revocation are for the caller to check.
    ///
    /// # Errors
    /// The key is unknown, or the signature isn't its own.
    pub fn verify(
        &self,
        keys: impl IntoIterator<Item = (u32, TicketPublicKey)>,
    ) -> Result<VerifiedTicket, TicketError> {
        let message = signed_message(&self.contents.to_bytes(self.key_number));
        let mut refused = TicketError::UnknownKey;
        for (number, key) in keys {
            if number == self.key_number {
                if key.is_signature_of(&message, &self.signature) {
                    return Ok(self.contents);
                }
                refused = TicketError::BadSignature;
            }
        }
        Err(refused)
    }
}

/// Parses the bytes of a ticket.
fn parse(bytes: &[u8]) -> Option<RelayTicket> {
    let (number, rest) = bytes.split_first_chunk()?;
    let (bearer, rest) = rest.split_first()?;
    let (bearer, rest) = match *bearer {
        CUSTOMER => (TicketBearer::Customer, rest),
        AGENT => {
            let (vendor, rest) = rest.split_first_chunk()?;
            let (serial, rest) = rest.split_first_chunk()?;
            let card = CardId {
                vendor: VendorPublicKey::from_bytes(vendor).ok()?,
                serial: u64::from_be_bytes(*serial),
            };
            (TicketBearer::Agent(card), rest)
        }
        _ => return None,
    };
    let (endpoint, rest) = rest.split_first_chunk()?;
    let (expires, rest) = rest.split_first_chunk()?;
    let (until, rest) = rest.split_first_chunk()?;
    Some(RelayTicket {
        key_number: u32::from_be_bytes(*number),
        contents: VerifiedTicket {
            endpoint: *endpoint,
            bearer,
            expires: UnixTime(u64::from_be_bytes(*expires)),
            until: UnixTime(u64::from_be_bytes(*until)),
        },
        signature: rest.try_into().ok()?,
    })
}

fn signed_message(bytes: &[u8]) -> Vec<u8> {
    [CONTEXT, bytes].concat()
}

impl FromStr for RelayTicket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(TicketError::Malformed)?;
        // A longer text isn't worth the decoding.
        if encoded.len() > MAX_BYTES * 2 {
            return Err(TicketError::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(encoded)
            .map_err(|_| TicketError::Malformed)?;
        parse(&bytes).ok_or(TicketError::Malformed)
    }
}

impl fmt::Display for RelayTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.contents.to_bytes(self.key_number);
        bytes.extend(self.signature);
        f.write_str(PREFIX)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for RelayTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayTicket(<redacted>)")
    }
}

#[cfg(test)]
mod tests;
