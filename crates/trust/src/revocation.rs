//! Cards that the vendor took back: a signed list with a rising number, so that nobody who sits between
//! can answer with an older one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    envelope::{Envelope, message},
    keys::{VendorKey, VendorPublicKey},
};

const CONTEXT: &str = "etatuki revocations v1";
const PREFIX: &str = "etrevoked1-";

/// How many serials a list may hold.
pub const MAX_REVOKED: usize = 10_000;

/// The longest text of a list, in bytes: ten thousand serials of twenty digits, as base64.
const MAX_TEXT: usize = 300_000;

/// A list of revoked cards. The default is the list that every vendor starts with: number 0, empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocations {
    /// Rises with every list that the vendor signs.
    pub number: u64,
    /// Serials of revoked cards.
    pub serials: BTreeSet<u64>,
}

impl Revocations {
    /// Puts a list that was just verified in the place of this one, the newest seen so far.
    ///
    /// # Errors
    /// [`RevocationError::Older`] if `found` is older, or has the same number and says something else;
    /// the list stays as it was.
    pub fn advance(&mut self, found: Self) -> Result<(), RevocationError> {
        let same = found.number == self.number && found.serials == self.serials;
        if found.number <= self.number && !same {
            return Err(RevocationError::Older {
                seen: self.number,
                found: found.number,
            });
        }
        *self = found;
        Ok(())
    }
}

/// Why a list is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// Not a list at all, or one with more than ten thousand serials.
    #[error("the revocation list can't be read")]
    Malformed,
    /// Signed by nobody we know.
    #[error("the revocation list is from an unknown vendor")]
    UnknownVendor,
    /// Names our vendor, but the vendor didn't sign it.
    #[error("the revocation list was forged: its signature is wrong")]
    BadSignature,
    /// A newer list was seen before.
    #[error("the revocation list has number {found}, but number {seen} was seen before")]
    Older {
        /// The newest number seen.
        seen: u64,
        /// The number of the refused list.
        found: u64,
    },
}

impl RevocationError {
    /// The stable name of this error, for JSON and for message files.
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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    vendor: VendorPublicKey,
    revoked: Revocations,
}

/// A list as it travels. Reading one proves nothing; [`verify`](Self::verify) does.
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
        let signature = key.sign(&message(CONTEXT, &bytes));
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

    /// The list as one line of ASCII.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.envelope.to_text(PREFIX)
    }

    /// Reads [`to_text`](Self::to_text)'s line. Checks the shape alone, not the signature.
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

    /// The list, if one of the `vendors` signed it. Whether it is the newest is for
    /// [`Revocations::advance`] to say.
    ///
    /// # Errors
    /// Who signed it isn't known, or didn't.
    pub fn verify(&self, vendors: &[VendorPublicKey]) -> Result<Revocations, RevocationError> {
        if !vendors.contains(&self.vendor) {
            return Err(RevocationError::UnknownVendor);
        }
        let message = message(CONTEXT, &self.envelope.payload);
        if !self.vendor.is_signed(&message, &self.envelope.signature) {
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
