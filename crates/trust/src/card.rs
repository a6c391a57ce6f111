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

/// The vendor's statement about an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardData {
    /// The card's number, unique among all cards of this vendor.
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
    /// and not revoked.
    ///
    /// # Errors
    /// The first fault, in the order signature, revocation, time. So a card that is refused for its
    /// [time](CardError::is_of_time) alone is the vendor's own and not revoked.
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
        if revoked.serials.contains(&self.data.serial) {
            return Err(CardError::Revoked);
        }
        self.data.validity().check(now)?;
        Ok(&self.data)
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
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::AgentKey;
    use crate::name::NameError;

    const NOW: UnixTime = UnixTime(1_700_000_000);

    pub(crate) fn vendor() -> VendorKey {
        VendorKey::from_seed([1; 32])
    }

    pub(crate) fn agent() -> AgentKey {
        AgentKey::from_seed([2; 32])
    }

    pub(crate) fn data() -> CardData {
        CardData {
            serial: 7,
            name: "Maija Mäkelä".into(),
            organisation: "Tilitieto Oy".into(),
            issued: NOW,
            expires: NOW.saturating_add(1000),
            key: agent().public(),
        }
    }

    pub(crate) fn card() -> AgentCard {
        AgentCard::issue(&vendor(), data()).unwrap()
    }

    #[track_caller]
    fn check(card: &AgentCard, now: UnixTime, expected: Result<(), CardError>) {
        let verified = card.verify(&[vendor().public()], &Revocations::default(), now);
        assert_eq!(verified.map(|_| ()), expected);
    }

    /// Returns the card with one part of its payload replaced and the old signature kept.
    fn forged(from: &str, to: &str) -> AgentCard {
        let mut card = card();
        let payload = str::from_utf8(&card.envelope.payload).unwrap();
        assert!(payload.contains(from));
        card.envelope.payload = payload.replace(from, to).into_bytes();
        AgentCard::from_text(&card.to_text()).unwrap()
    }

    #[test]
    fn a_good_card_says_who_it_is() {
        let card = AgentCard::from_text(&card().to_text()).unwrap();
        let vendors = [VendorKey::from_seed([9; 32]).public(), vendor().public()];
        assert_eq!(
            card.verify(&vendors, &Revocations::default(), NOW),
            Ok(&data())
        );
        assert!(!card.to_text().contains('\n'));
    }

    #[test]
    fn a_forged_card_is_refused() {
        check(&forged("Maija", "Saija"), NOW, Err(CardError::BadSignature));
        check(
            &forged("1700001000", "1900001000"),
            NOW,
            Err(CardError::BadSignature),
        );
    }

    #[test]
    fn another_vendor_is_refused() {
        let other = AgentCard::issue(&VendorKey::from_seed([9; 32]), data()).unwrap();
        check(&other, NOW, Err(CardError::UnknownVendor));
        assert_eq!(
            card().verify(&[], &Revocations::default(), NOW),
            Err(CardError::UnknownVendor)
        );
    }

    #[test]
    fn a_card_has_its_time() {
        check(&card(), UnixTime(NOW.0 - CLOCK_SKEW), Ok(()));
        check(
            &card(),
            UnixTime(NOW.0 - CLOCK_SKEW - 1),
            Err(CardError::NotYetValid),
        );
        check(&card(), NOW.saturating_add(999), Ok(()));
        check(&card(), NOW.saturating_add(1000), Err(CardError::Expired));
        check(&card(), UnixTime(u64::MAX), Err(CardError::Expired));
    }

    #[test]
    fn a_revoked_card_is_refused() {
        let revoked = Revocations {
            number: 1,
            serials: [3, 7].into(),
        };
        let card = card();
        // Whatever the clocks say.
        for now in [NOW, UnixTime(0), UnixTime(u64::MAX)] {
            let verified = card.verify(&[vendor().public()], &revoked, now);
            assert_eq!(verified, Err(CardError::Revoked));
        }
    }

    #[test]
    fn a_card_signed_for_another_purpose_is_refused() {
        let mut card = card();
        card.envelope.signature = vendor().sign(&card.envelope.payload);
        check(&card, NOW, Err(CardError::BadSignature));
    }

    #[test]
    fn hostile_names_are_refused() {
        let cases = [
            ("", NameError::Empty),
            (" Maija", NameError::Untrimmed),
            ("Maija\n", NameError::Untrimmed),
            ("Mai\nja", NameError::Invisible),
            ("Mai\u{202e}aj", NameError::Invisible),
            ("Mai\u{200b}ja", NameError::Invisible),
            ("Mai\0ja", NameError::Invisible),
            (&"ä".repeat(81), NameError::TooLong),
        ];
        for (name, expected) in cases {
            assert_eq!(check_name(name), Err(expected), "{name:?}");
            for bad in [
                CardData {
                    name: name.into(),
                    ..data()
                },
                CardData {
                    organisation: name.into(),
                    ..data()
                },
            ] {
                assert_eq!(AgentCard::issue(&vendor(), bad), Err(CardError::Malformed));
            }
        }
        assert_eq!(check_name(&"ä".repeat(80)), Ok(()));
        assert_eq!(check_name("Søren O’Neill-Ødegård, 山田"), Ok(()));
    }

    #[test]
    fn hostile_names_are_refused_even_when_signed() {
        let payload = Payload {
            vendor: vendor().public(),
            card: CardData {
                name: "a\u{202e}b".into(),
                ..data()
            },
        };
        let bytes = serde_json::to_vec(&payload).unwrap();
        let signature = vendor().sign(&signing_input(CONTEXT, &bytes));
        let text = Envelope {
            payload: bytes,
            signature,
        }
        .to_text(PREFIX);
        assert_eq!(AgentCard::from_text(&text), Err(CardError::Malformed));
    }

    #[test]
    fn the_longest_names_fit_in() {
        let name: String = "\u{10FFFD}".repeat(80);
        let long = CardData {
            name: name.clone(),
            organisation: name,
            serial: u64::MAX,
            ..data()
        };
        let card = AgentCard::issue(&vendor(), long).unwrap();
        assert_eq!(AgentCard::from_text(&card.to_text()), Ok(card));
    }

    #[test]
    fn texts_that_are_no_card_are_refused() {
        let good = card().to_text();
        let texts = [
            String::new(),
            "etcard1-".into(),
            "etcard1-.".into(),
            good.replace("etcard1", "etcard2"),
            good[..good.len() - 1].into(),
            format!("{good}A"),
            format!("{good}="),
            "x".repeat(1_000_000),
            format!("etcard1-{}", "A".repeat(1_000_000)),
        ];
        for text in texts {
            assert_eq!(AgentCard::from_text(&text), Err(CardError::Malformed));
        }
    }

    #[test]
    fn the_hash_names_one_card() {
        let other = AgentCard::issue(
            &vendor(),
            CardData {
                serial: 8,
                ..data()
            },
        )
        .unwrap();
        assert_eq!(card().hash(), card().hash());
        assert_ne!(card().hash(), other.hash());
    }

    proptest! {
        #[test]
        fn round_trip(serial: u64, name in "[^\\p{C}\\p{Z}]{1,80}", issued in 0..u64::MAX) {
            let data = CardData { serial, name, issued: UnixTime(issued), expires: UnixTime(u64::MAX), ..data() };
            if let Ok(card) = AgentCard::issue(&vendor(), data.clone()) {
                let read = AgentCard::from_text(&card.to_text()).unwrap();
                prop_assert_eq!(read.claims(), &data);
                prop_assert_eq!(read, card);
            } else {
                prop_assert!(check_name(&data.name).is_err());
            }
        }

        #[test]
        fn no_changed_character_is_accepted(position: proptest::sample::Index, with in "[A-Za-z0-9_-]") {
            let good = card();
            let mut text = good.to_text();
            let position = position.index(text.len());
            text.replace_range(position..=position, &with);
            if let Ok(read) = AgentCard::from_text(&text) {
                let verified = read.verify(&[vendor().public()], &Revocations::default(), NOW);
                prop_assert_eq!(verified.is_ok(), read == good);
            }
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = AgentCard::from_text(&format!("etcard1-{text}"));
        }
    }
}
