//! Revoked cards: a list for each vendor key, signed by that key, with a rising number and a time
//! until which it counts. Nobody in between can replay an older list, or withhold a newer one for
//! longer than the last one counts.
//!
//! A list says nothing about cards of another key: [`Revocations`] is keyed by vendor, and only
//! [`SignedRevocations::verify`] makes the [`VerifiedList`] that it takes in.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::{
    card::CardId,
    envelope::{Envelope, signing_input},
    keys::{VendorKey, VendorPublicKey},
    time::UnixTime,
};

const CONTEXT: &str = "etatuki revocations v2";
const PREFIX: &str = "etrevoked2-";

/// The prefix of the form without vendor and date, which isn't taken any more.
const OLD_PREFIX: &str = "etrevoked1-";

/// The most serials of a list.
pub const MAX_REVOKED: usize = 10_000;

/// The most vendor keys that a registry or a service knows at a time: the one in use, its
/// predecessor and its successor, and some to spare. Bounds the number of lists.
pub const MAX_VENDOR_KEYS: usize = 8;

/// The most bytes of a list's text: ten thousand serials of twenty digits, as base64.
const MAX_LIST_TEXT: usize = 300_000;

/// The most bytes of the lists of all vendor keys together, one a line.
pub const MAX_LISTS_TEXT: usize = MAX_VENDOR_KEYS * (MAX_LIST_TEXT + 2);

/// The cards that one vendor key has revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationList {
    /// The list's number; rises with every list that the key signs.
    pub number: u64,
    /// The time until which the list counts, exclusive. Later a newer one has to be there.
    pub until: UnixTime,
    /// The serials of the revoked cards.
    pub serials: BTreeSet<u64>,
}

impl RevocationList {
    /// Returns whether the list still counts.
    #[must_use]
    pub fn is_current(&self, now: UnixTime) -> bool {
        now < self.until
    }
}

/// A list whose signature was checked, with the key that signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedList {
    vendor: VendorPublicKey,
    list: RevocationList,
}

impl VerifiedList {
    /// Returns the key that signed the list.
    #[must_use]
    pub const fn vendor(&self) -> VendorPublicKey {
        self.vendor
    }

    /// Returns the list.
    #[must_use]
    pub const fn list(&self) -> &RevocationList {
        &self.list
    }
}

/// The meaning of a missing or outdated list for the cards of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StaleRevocations {
    /// None of the cards is accepted: any of them may have been revoked meanwhile.
    Refuse,
    /// The cards are accepted, unless the last list known revokes them; people are told.
    Warn,
}

/// The newest list of each vendor key, and what it means if there is none that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocations {
    lists: HashMap<VendorPublicKey, RevocationList>,
    when_stale: StaleRevocations,
}

impl Revocations {
    /// Returns the state in which no list is known.
    #[must_use]
    pub fn new(when_stale: StaleRevocations) -> Self {
        Self {
            lists: HashMap::new(),
            when_stale,
        }
    }

    /// Replaces the newest list of a vendor key by another one of the same key. Lists of other keys
    /// stay as they are.
    ///
    /// # Errors
    /// [`RevocationError::Older`] if `next` is older, or has the same number and another content;
    /// the present list stays.
    pub fn advance(&mut self, next: VerifiedList) -> Result<(), RevocationError> {
        let VerifiedList { vendor, list } = next;
        if let Some(present) = self.lists.get(&vendor)
            && list.number <= present.number
            && list != *present
        {
            return Err(RevocationError::Older {
                seen: present.number,
                found: list.number,
            });
        }
        self.lists.insert(vendor, list);
        Ok(())
    }

    /// Returns the newest list of a vendor key.
    #[must_use]
    pub fn list(&self, vendor: &VendorPublicKey) -> Option<&RevocationList> {
        self.lists.get(vendor)
    }

    /// Returns whether the newest list of the card's own key revokes it. An outdated list counts
    /// here too: a revoked card never becomes valid again.
    #[must_use]
    pub fn is_revoked(&self, card: &CardId) -> bool {
        self.list(&card.vendor)
            .is_some_and(|list| list.serials.contains(&card.serial))
    }

    /// Returns whether there is a list of this vendor key that counts at `now`.
    #[must_use]
    pub fn is_current(&self, vendor: &VendorPublicKey, now: UnixTime) -> bool {
        self.list(vendor).is_some_and(|list| list.is_current(now))
    }

    /// Returns whether no card of this vendor key can be accepted at `now`, because its list is
    /// missing or outdated.
    #[must_use]
    pub fn refuses_all(&self, vendor: &VendorPublicKey, now: UnixTime) -> bool {
        self.when_stale == StaleRevocations::Refuse && !self.is_current(vendor, now)
    }
}

/// The reason why a list is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// Not a list, or one with more than [`MAX_REVOKED`] serials.
    #[error("the revocation list can't be read")]
    Malformed,
    /// A list of the form that had no date.
    #[error(
        "the revocation list has no date until which it counts, as old ones had none: sign it anew with `etatuki-vendor revocations renew`"
    )]
    OldForm,
    /// Issued by an unknown vendor.
    #[error("the revocation list is from an unknown vendor")]
    UnknownVendor,
    /// Names our vendor, but isn't signed by that vendor.
    #[error("the revocation list was forged: its signature is wrong")]
    BadSignature,
    /// Older than a list of the same vendor key that was seen before.
    #[error("the revocation list has number {found}, but number {seen} was seen before")]
    Older {
        /// The newest number seen.
        seen: u64,
        /// The number of the refused list.
        found: u64,
    },
}

impl RevocationError {
    /// Returns the stable name of this error, for JSON and for message files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "revocations-malformed",
            Self::OldForm => "revocations-old-form",
            Self::UnknownVendor => "revocations-unknown-vendor",
            Self::BadSignature => "revocations-bad-signature",
            Self::Older { .. } => "revocations-older",
        }
    }
}

/// The signed part of a list.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    vendor: VendorPublicKey,
    revoked: RevocationList,
}

/// A signed list. Parsing one proves nothing; [`verify`](Self::verify) does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRevocations {
    envelope: Envelope,
    vendor: VendorPublicKey,
    revoked: RevocationList,
}

impl SignedRevocations {
    /// Signs `revoked` with the vendor's key.
    ///
    /// # Errors
    /// [`RevocationError::Malformed`] if there are more than [`MAX_REVOKED`] serials.
    pub fn sign(key: &VendorKey, revoked: RevocationList) -> Result<Self, RevocationError> {
        check_size(&revoked)?;
        let payload = Payload {
            vendor: key.public(),
            revoked,
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
            revoked: payload.revoked,
        })
    }

    /// Returns the list as one line of ASCII.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.envelope.to_text(PREFIX)
    }

    /// Parses the line made by [`to_text`](Self::to_text). Checks the shape, not the signature.
    ///
    /// # Errors
    /// [`RevocationError::Malformed`] or [`RevocationError::OldForm`].
    pub fn from_text(text: &str) -> Result<Self, RevocationError> {
        let malformed = RevocationError::Malformed;
        if text.trim_start().starts_with(OLD_PREFIX) {
            return Err(RevocationError::OldForm);
        }
        let envelope = Envelope::from_text(PREFIX, text, MAX_LIST_TEXT).ok_or(malformed)?;
        let payload: Payload = serde_json::from_slice(&envelope.payload).map_err(|_| malformed)?;
        check_size(&payload.revoked)?;
        Ok(Self {
            envelope,
            vendor: payload.vendor,
            revoked: payload.revoked,
        })
    }

    /// Parses a text with one list a line, as the service hands it out; empty lines are skipped.
    /// Each line is judged by itself, so that whoever can spoil one vendor key's list spoils no
    /// other. Lines beyond [`MAX_VENDOR_KEYS`] are left out.
    pub fn lines(text: &str) -> impl Iterator<Item = Result<Self, RevocationError>> + '_ {
        text.lines()
            .filter(|line| !line.trim().is_empty())
            .take(MAX_VENDOR_KEYS)
            .map(Self::from_text)
    }

    /// Returns the key and the list, unverified. For the vendor's own side, which looks at its own
    /// list; everybody else calls [`verify`](Self::verify).
    #[must_use]
    pub const fn claims(&self) -> (VendorPublicKey, &RevocationList) {
        (self.vendor, &self.revoked)
    }

    /// Returns the list and its key, if one of the `vendors` signed it. [`Revocations::advance`]
    /// then checks that it isn't older than another.
    ///
    /// # Errors
    /// The issuing vendor is unknown, or did not sign the list.
    pub fn verify(&self, vendors: &[VendorPublicKey]) -> Result<VerifiedList, RevocationError> {
        if !vendors.contains(&self.vendor) {
            return Err(RevocationError::UnknownVendor);
        }
        let input = signing_input(CONTEXT, &self.envelope.payload);
        if !self
            .vendor
            .is_signature_of(&input, &self.envelope.signature)
        {
            return Err(RevocationError::BadSignature);
        }
        Ok(VerifiedList {
            vendor: self.vendor,
            list: self.revoked.clone(),
        })
    }
}

fn check_size(revoked: &RevocationList) -> Result<(), RevocationError> {
    if revoked.serials.len() > MAX_REVOKED {
        return Err(RevocationError::Malformed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::card::tests::vendor;

    const UNTIL: UnixTime = UnixTime(1000);

    fn list(number: u64, serials: &[u64]) -> RevocationList {
        RevocationList {
            number,
            until: UNTIL,
            serials: serials.iter().copied().collect(),
        }
    }

    fn signed(number: u64, serials: &[u64]) -> SignedRevocations {
        SignedRevocations::sign(&vendor(), list(number, serials)).unwrap()
    }

    fn verified(key: &VendorKey, number: u64, serials: &[u64]) -> VerifiedList {
        let signed = SignedRevocations::sign(key, list(number, serials)).unwrap();
        signed.verify(&[key.public()]).unwrap()
    }

    fn card_of(key: &VendorKey, serial: u64) -> CardId {
        CardId {
            vendor: key.public(),
            serial,
        }
    }

    #[test]
    fn round_trip() {
        let read = SignedRevocations::from_text(&signed(3, &[7, 9]).to_text()).unwrap();
        let verified = read.verify(&[vendor().public()]).unwrap();
        assert_eq!(verified.vendor(), vendor().public());
        assert_eq!(*verified.list(), list(3, &[7, 9]));
    }

    #[test]
    fn a_forged_list_is_refused() {
        let mut forged = signed(3, &[7, 9]);
        forged.envelope.payload = signed(4, &[]).envelope.payload;
        let read = SignedRevocations::from_text(&forged.to_text()).unwrap();
        assert_eq!(
            read.verify(&[vendor().public()]),
            Err(RevocationError::BadSignature)
        );
        let stranger = VendorKey::from_seed([9; 32]).public();
        assert_eq!(
            signed(3, &[]).verify(&[stranger]),
            Err(RevocationError::UnknownVendor)
        );
    }

    #[test]
    fn a_list_of_the_form_without_a_date_is_named() {
        assert_eq!(
            SignedRevocations::from_text("etrevoked1-eyJ2ZW5kb3Ii.AAAA\n"),
            Err(RevocationError::OldForm)
        );
    }

    #[test]
    fn an_older_list_is_refused() {
        let key = vendor();
        let mut newest = Revocations::new(StaleRevocations::Refuse);
        assert_eq!(newest.advance(verified(&key, 5, &[7])), Ok(()));
        assert_eq!(newest.advance(verified(&key, 5, &[7])), Ok(()));
        let older = RevocationError::Older { seen: 5, found: 4 };
        assert_eq!(newest.advance(verified(&key, 4, &[7, 8])), Err(older));
        let changed = RevocationError::Older { seen: 5, found: 5 };
        assert_eq!(newest.advance(verified(&key, 5, &[])), Err(changed));
        assert_eq!(newest.list(&key.public()), Some(&list(5, &[7])));
        assert_eq!(newest.advance(verified(&key, 6, &[])), Ok(()));
    }

    #[test]
    fn a_list_says_nothing_about_cards_of_another_key() {
        let (old, new) = (vendor(), VendorKey::from_seed([9; 32]));
        let mut newest = Revocations::new(StaleRevocations::Refuse);
        newest.advance(verified(&old, 100, &[7])).unwrap();
        newest.advance(verified(&new, 200, &[9])).unwrap();
        assert!(newest.is_revoked(&card_of(&old, 7)));
        assert!(!newest.is_revoked(&card_of(&old, 9)));
        assert!(newest.is_revoked(&card_of(&new, 9)));
        assert!(!newest.is_revoked(&card_of(&new, 7)));
    }

    #[test]
    fn a_stolen_keys_last_number_shuts_out_no_other_keys_lists() {
        let (stolen, new) = (vendor(), VendorKey::from_seed([9; 32]));
        let mut newest = Revocations::new(StaleRevocations::Refuse);
        newest.advance(verified(&stolen, u64::MAX, &[])).unwrap();
        assert_eq!(newest.advance(verified(&new, 1, &[9])), Ok(()));
        assert_eq!(newest.advance(verified(&new, 2, &[9, 10])), Ok(()));
        assert!(newest.is_revoked(&card_of(&new, 10)));
    }

    #[test]
    fn a_key_without_a_list_that_counts_refuses_all_unless_it_may_warn() {
        let (known, unknown) = (vendor(), VendorKey::from_seed([9; 32]).public());
        let last = UnixTime(UNTIL.0 - 1);
        for (when_stale, refuses) in [
            (StaleRevocations::Refuse, true),
            (StaleRevocations::Warn, false),
        ] {
            let mut newest = Revocations::new(when_stale);
            newest.advance(verified(&known, 5, &[])).unwrap();
            assert!(newest.is_current(&known.public(), last));
            assert!(!newest.refuses_all(&known.public(), last));
            assert!(!newest.is_current(&known.public(), UNTIL));
            assert_eq!(newest.refuses_all(&known.public(), UNTIL), refuses);
            assert!(!newest.is_current(&unknown, last));
            assert_eq!(newest.refuses_all(&unknown, last), refuses);
        }
    }

    #[test]
    fn each_line_is_judged_by_itself() {
        let good = signed(3, &[7]);
        let text = format!("\nnonsense\n{}\r\n\netrevoked1-x.y\n", good.to_text());
        let read: Vec<_> = SignedRevocations::lines(&text).collect();
        assert_eq!(
            read,
            [
                Err(RevocationError::Malformed),
                Ok(good.clone()),
                Err(RevocationError::OldForm)
            ]
        );
        let many = vec![good.to_text(); MAX_VENDOR_KEYS + 1].join("\n");
        assert_eq!(SignedRevocations::lines(&many).count(), MAX_VENDOR_KEYS);
    }

    #[test]
    fn the_longest_list_fits_in_and_no_longer_one() {
        let serials: Vec<u64> = (0..10_000).map(|serial| u64::MAX - serial).collect();
        let mut longest = list(u64::MAX, &serials);
        longest.until = UnixTime(u64::MAX);
        let long = SignedRevocations::sign(&vendor(), longest).unwrap();
        assert_eq!(SignedRevocations::from_text(&long.to_text()), Ok(long));
        let mut too_many = list(1, &serials);
        too_many.serials.insert(1);
        assert_eq!(
            SignedRevocations::sign(&vendor(), too_many),
            Err(RevocationError::Malformed)
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = SignedRevocations::from_text(&text);
            let _ = SignedRevocations::from_text(&format!("etrevoked2-{text}"));
            let _ = SignedRevocations::lines(&text).count();
        }
    }
}
