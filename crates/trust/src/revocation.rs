//! Revoked cards: a list signed by the vendor, with a rising number, so that nobody in between can
//! replay an older list.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    envelope::{Envelope, signing_input},
    keys::{VendorKey, VendorPublicKey},
};

const CONTEXT: &str = "etatuki revocations v1";
const PREFIX: &str = "etrevoked1-";

/// The most serials of a list.
pub const MAX_REVOKED: usize = 10_000;

/// The most bytes of a list's text: ten thousand serials of twenty digits, as base64.
const MAX_TEXT: usize = 300_000;

/// A list of revoked cards. The default is the list with which every vendor starts: number 0,
/// empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocations {
    /// The list's number; rises with every list that the vendor signs.
    pub number: u64,
    /// The serials of the revoked cards.
    pub serials: BTreeSet<u64>,
}

impl Revocations {
    /// Replaces this list, the newest seen so far, by a list that has just been verified.
    ///
    /// # Errors
    /// [`RevocationError::Older`] if `next` is older, or has the same number and another content;
    /// this list stays as it was.
    pub fn advance(&mut self, next: Self) -> Result<(), RevocationError> {
        if next.number <= self.number && next != *self {
            return Err(RevocationError::Older {
                seen: self.number,
                found: next.number,
            });
        }
        *self = next;
        Ok(())
    }
}

/// The reason why a list is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// Not a list, or one with more than [`MAX_REVOKED`] serials.
    #[error("the revocation list can't be read")]
    Malformed,
    /// Issued by an unknown vendor.
    #[error("the revocation list is from an unknown vendor")]
    UnknownVendor,
    /// Names our vendor, but isn't signed by that vendor.
    #[error("the revocation list was forged: its signature is wrong")]
    BadSignature,
    /// Older than a list seen before.
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
    revoked: Revocations,
}

/// A signed list. Parsing one proves nothing; [`verify`](Self::verify) does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRevocations {
    envelope: Envelope,
    vendor: VendorPublicKey,
    revoked: Revocations,
}

impl SignedRevocations {
    /// Signs `revoked` with the vendor's key.
    ///
    /// # Errors
    /// [`RevocationError::Malformed`] if there are more than [`MAX_REVOKED`] serials.
    pub fn sign(key: &VendorKey, revoked: Revocations) -> Result<Self, RevocationError> {
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
    /// [`RevocationError::Malformed`].
    pub fn from_text(text: &str) -> Result<Self, RevocationError> {
        let malformed = RevocationError::Malformed;
        let envelope = Envelope::from_text(PREFIX, text, MAX_TEXT).ok_or(malformed)?;
        let payload: Payload = serde_json::from_slice(&envelope.payload).map_err(|_| malformed)?;
        check_size(&payload.revoked)?;
        Ok(Self {
            envelope,
            vendor: payload.vendor,
            revoked: payload.revoked,
        })
    }

    /// Returns the list, if one of the `vendors` signed it. [`Revocations::advance`] then checks
    /// that it isn't older than another.
    ///
    /// # Errors
    /// The issuing vendor is unknown, or did not sign the list.
    pub fn verify(&self, vendors: &[VendorPublicKey]) -> Result<Revocations, RevocationError> {
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
        Ok(self.revoked.clone())
    }
}

fn check_size(revoked: &Revocations) -> Result<(), RevocationError> {
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

    fn list(number: u64, serials: &[u64]) -> Revocations {
        Revocations {
            number,
            serials: serials.iter().copied().collect(),
        }
    }

    fn signed(number: u64, serials: &[u64]) -> SignedRevocations {
        SignedRevocations::sign(&vendor(), list(number, serials)).unwrap()
    }

    #[test]
    fn round_trip() {
        let read = SignedRevocations::from_text(&signed(3, &[7, 9]).to_text()).unwrap();
        assert_eq!(read.verify(&[vendor().public()]), Ok(list(3, &[7, 9])));
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
    fn an_older_list_is_refused() {
        let mut newest = Revocations::default();
        assert_eq!(newest.advance(Revocations::default()), Ok(()));
        assert_eq!(newest.advance(list(5, &[7])), Ok(()));
        assert_eq!(newest.advance(list(5, &[7])), Ok(()));
        let older = RevocationError::Older { seen: 5, found: 4 };
        assert_eq!(newest.advance(list(4, &[7, 8])), Err(older));
        let changed = RevocationError::Older { seen: 5, found: 5 };
        assert_eq!(newest.advance(list(5, &[])), Err(changed));
        assert_eq!(newest, list(5, &[7]));
        assert_eq!(newest.advance(list(6, &[])), Ok(()));
    }

    #[test]
    fn the_longest_list_fits_in_and_no_longer_one() {
        let serials: Vec<u64> = (0..10_000).map(|serial| u64::MAX - serial).collect();
        let long = signed(u64::MAX, &serials);
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
            let _ = SignedRevocations::from_text(&format!("etrevoked1-{text}"));
        }
    }
}
