//! The agent card: an agent's identity, signed by the vendor.
//!
//! A card is no secret; whoever shows it must also prove that they hold its key (`proof`).

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    envelope::{Envelope, signing_input},
    keys::{AgentPublicKey, VendorKey, VendorPublicKey},
    name::check_name,
    revocation::Revocations,
    time::UnixTime,
};

const CONTEXT: &str = "etatuki agent card v1";
const HASH_CONTEXT: &str = "etatuki agent card hash v1";
const PREFIX: &str = "etcard1-";

/// The most bytes of a card's text; two names of 80 of the longest characters fit.
const MAX_TEXT: usize = 4096;

/// Seconds before `issued` from which a card is valid already: a customer's clock may be this slow.
const CLOCK_SKEW: u64 = 300;

/// The name of a card among all cards of all vendor keys: serials of two keys may be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CardId {
    /// The key that signed the card.
    pub vendor: VendorPublicKey,
    /// The card's serial.
    pub serial: u64,
}

/// The vendor's statement about an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardData {
    /// The card's number, unique among all cards of this vendor key.
    pub serial: u64,
    /// The agent's name, as the customer sees it; obeys [`check_name`].
    pub name: String,
    /// The agent's employer, as the customer sees it; obeys [`check_name`].
    pub organisation: String,
    /// The start of the card's validity.
    pub issued: UnixTime,
    /// The end of the card's validity, exclusive.
    pub expires: UnixTime,
    /// The agent's public key.
    pub key: AgentPublicKey,
}

impl CardData {
    /// Returns the time in which the card is valid.
    #[must_use]
    pub const fn validity(&self) -> CardValidity {
        CardValidity {
            issued: self.issued,
            expires: self.expires,
        }
    }
}

/// The time in which a card is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardValidity {
    /// The start.
    pub issued: UnixTime,
    /// The end, exclusive.
    pub expires: UnixTime,
}

impl CardValidity {
    /// Checks that the card is valid at `now`, by a clock that may be five minutes slow.
    ///
    /// # Errors
    /// [`CardError::NotYetValid`] or [`CardError::Expired`].
    pub fn check(self, now: UnixTime) -> Result<(), CardError> {
        if now.saturating_add(CLOCK_SKEW) < self.issued {
            return Err(CardError::NotYetValid);
        }
        if now >= self.expires {
            return Err(CardError::Expired);
        }
        Ok(())
    }
}

/// The reason why a card, or the proof with it, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// Not a card, or one with names that break the rules of [`check_name`].
    #[error("the agent's card can't be read")]
    Malformed,
    /// Issued by an unknown vendor.
    #[error("the agent's card is from an unknown vendor")]
    UnknownVendor,
    /// Names our vendor, but isn't signed by that vendor.
    #[error("the agent's card was forged: its signature is wrong")]
    BadSignature,
    /// Past its validity.
    #[error("the agent's card has expired")]
    Expired,
    /// Before its validity, or this machine's clock is slow.
    #[error("the agent's card isn't valid yet")]
    NotYetValid,
    /// Revoked by the vendor.
    #[error("the agent's card has been revoked")]
    Revoked,
    /// The list that would say whether the card was revoked is missing or outdated.
    #[error(
        "the vendor's revocation list is missing or outdated, so the agent's card can't be checked"
    )]
    RevocationsStale,
    /// The peer doesn't hold the card's key, or replays an old proof.
    #[error("the agent's proof doesn't fit this connection")]
    BadProof,
}

impl CardError {
    /// Returns the stable name of this error, for JSON and for message files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "card-malformed",
            Self::UnknownVendor => "card-unknown-vendor",
            Self::BadSignature => "card-bad-signature",
            Self::Expired => "card-expired",
            Self::NotYetValid => "card-not-yet-valid",
            Self::Revoked => "card-revoked",
            Self::RevocationsStale => "revocations-stale",
            Self::BadProof => "card-bad-proof",
        }
    }

    /// Returns whether only the time is at fault: the card's, or one of the two clocks.
    #[must_use]
    pub const fn is_of_time(self) -> bool {
        matches!(self, Self::Expired | Self::NotYetValid)
    }
}

/// The signed part of a card.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    vendor: VendorPublicKey,
    card: CardData,
}

/// A signed card. Parsing one proves nothing; [`verify`](Self::verify) does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentCard {
    envelope: Envelope,
    vendor: VendorPublicKey,
    data: CardData,
}

impl AgentCard {
    /// Issues a card: signs `data` with the vendor's key.
    ///
    /// # Errors
    /// [`CardError::Malformed`] if a name breaks the rules of [`check_name`], or the card would
    /// expire before it is issued.
    pub fn issue(key: &VendorKey, data: CardData) -> Result<Self, CardError> {
        check_data(&data)?;
        let payload = Payload {
            vendor: key.public(),
            card: data,
        };
        let bytes = serde_json::to_vec(&payload).expect("numbers and texts always become JSON");
        let signature = key.sign(&signing_input(CONTEXT, &bytes));
        let envelope = Envelope {
            payload: bytes,
            signature,
        };
        Ok(Self {
            envelope,
            vendor: payload.vendor,
            data: payload.card,
        })
    }

    /// Returns the card as one line of ASCII, at most 4096 bytes.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.envelope.to_text(PREFIX)
    }

    /// Parses the line made by [`to_text`](Self::to_text). Checks the shape, not the signature.
    ///
    /// # Errors
    /// [`CardError::Malformed`].
    pub fn from_text(text: &str) -> Result<Self, CardError> {
        let envelope = Envelope::from_text(PREFIX, text, MAX_TEXT).ok_or(CardError::Malformed)?;
        let payload: Payload =
            serde_json::from_slice(&envelope.payload).map_err(|_| CardError::Malformed)?;
        check_data(&payload.card)?;
        Ok(Self {
            envelope,
            vendor: payload.vendor,
            data: payload.card,
        })
    }

    /// Returns the card's data, if one of the `vendors` signed the card, and it is valid at `now`
    /// and not revoked by the list of the key that signed it.
    ///
    /// # Errors
    /// The first fault, in the order signature, revocation, time, age of the list. So a card that is
    /// refused for its [time](CardError::is_of_time) alone is the vendor's own, and no list known
    /// revokes it.
    pub fn verify(
        &self,
        vendors: &[VendorPublicKey],
        revoked: &Revocations,
        now: UnixTime,
    ) -> Result<&CardData, CardError> {
        if !vendors.contains(&self.vendor) {
            return Err(CardError::UnknownVendor);
        }
        if !self.vendor.is_signature_of(
            &signing_input(CONTEXT, &self.envelope.payload),
            &self.envelope.signature,
        ) {
            return Err(CardError::BadSignature);
        }
        if revoked.is_revoked(&self.id()) {
            return Err(CardError::Revoked);
        }
        self.data.validity().check(now)?;
        if revoked.refuses_all(&self.vendor, now) {
            return Err(CardError::RevocationsStale);
        }
        Ok(&self.data)
    }

    /// Returns the key that the card claims to be signed by, and its serial.
    #[must_use]
    pub const fn id(&self) -> CardId {
        CardId {
            vendor: self.vendor,
            serial: self.data.serial,
        }
    }

    /// Returns the card's data, unverified. For the agent's own side, which shows its own card, and
    /// after [`verify`](Self::verify) has found nothing but the time at fault.
    #[must_use]
    pub const fn claims(&self) -> &CardData {
        &self.data
    }

    /// Returns the SHA-256 of the whole card, signature included. The proofs name the card by it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(signing_input(HASH_CONTEXT, &self.envelope.signature));
        hash.update(&self.envelope.payload);
        hash.finalize().into()
    }
}

fn check_data(data: &CardData) -> Result<(), CardError> {
    let named = check_name(&data.name).is_ok() && check_name(&data.organisation).is_ok();
    if named && data.issued < data.expires {
        Ok(())
    } else {
        Err(CardError::Malformed)
    }
}

#[cfg(test)]
pub(crate) mod tests;
