//! Ed25519 keys (RFC 8032) of the vendor, the agents and the relay tickets, and their text forms.
//!
//! | key | text |
//! |-----|------|
//! | vendor's public key, agent's public key | `etv1-…`, `eta1-…` |
//! | vendor's private key, agent's private key | `etv1-private-…`, `eta1-private-…` |
//! | public and private key of a service's relay tickets | `etr1-…`, `etr1-private-…` |
//!
//! `…` is base64url (RFC 4648) without padding of 32 bytes: the point, or the seed. Each
//! kind of key is a type of its own, so that one can't be used in place of another.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// The fault in the text of a key. Never carries the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The prefix of no key, or of another kind of key.
    #[error("not a key of this kind: it should begin with {0}")]
    Prefix(&'static str),
    /// Not base64url of 32 bytes after the prefix.
    #[error("the key is damaged: copy all of it again")]
    Damaged,
    /// A weak or non-canonical point, which no honest key has.
    #[error("the key isn't a usable ed25519 public key")]
    Unusable,
}

macro_rules! keys {
    ($private:ident, $public:ident, $owner:literal, $prefix:literal) => {
        #[doc = concat!("The ", $owner, " private key. Wiped when dropped.")]
        #[derive(Clone)]
        pub struct $private(SigningKey);

        impl $private {
            const PREFIX: &'static str = concat!($prefix, "private-");

            /// Makes a key from a seed: 32 bytes of cryptographic randomness.
            #[must_use]
            pub fn from_seed(seed: [u8; 32]) -> Self {
                let seed = Zeroizing::new(seed);
                Self(SigningKey::from_bytes(&seed))
            }

            /// Returns the public key.
            #[must_use]
            pub fn public(&self) -> $public {
                $public(self.0.verifying_key())
            }

            /// Returns the key as text, for a file that only its owner can read.
            #[must_use]
            pub fn to_text(&self) -> Zeroizing<String> {
                let mut text = Zeroizing::new(String::with_capacity(80));
                text.push_str(Self::PREFIX);
                URL_SAFE_NO_PAD.encode_string(self.0.as_bytes(), &mut text);
                text
            }

            /// Parses the text made by [`to_text`](Self::to_text); white space around it is
            /// ignored.
            ///
            /// # Errors
            /// The fault in the text.
            pub fn from_text(text: &str) -> Result<Self, KeyError> {
                let seed = Zeroizing::new(decode(Self::PREFIX, text)?);
                Ok(Self(SigningKey::from_bytes(&seed)))
            }

            pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
                self.0.sign(message).to_bytes()
            }
        }

        impl fmt::Debug for $private {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($private), "(<redacted>)"))
            }
        }

        #[doc = concat!("The ", $owner, " public key; text in files and JSON.")]
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $public(VerifyingKey);

        impl $public {
            const PREFIX: &'static str = $prefix;

            /// Returns the 32 bytes of the point.
            #[must_use]
            pub fn to_bytes(&self) -> [u8; 32] {
                self.0.to_bytes()
            }

            /// Decodes the 32 bytes of the point.
            pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
                let point = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Unusable)?;
                // With two encodings of its point, one key would look like two.
                if point.is_weak() || point.to_edwards().compress().to_bytes() != *bytes {
                    return Err(KeyError::Unusable);
                }
                Ok(Self(point))
            }

            /// Returns whether `signature` is this key's over `message`. Strict: no small-order
            /// points, no second encoding of a signature.
            pub(crate) fn is_signature_of(&self, message: &[u8], signature: &[u8; 64]) -> bool {
                let signature = Signature::from_bytes(signature);
                self.0.verify_strict(message, &signature).is_ok()
            }
        }

        impl FromStr for $public {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                Self::from_bytes(&decode(Self::PREFIX, text)?)
            }
        }

        impl fmt::Display for $public {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Self::PREFIX)?;
                f.write_str(&URL_SAFE_NO_PAD.encode(self.0.as_bytes()))
            }
        }

        impl fmt::Debug for $public {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($public))
            }
        }

        impl Serialize for $public {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $public {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

keys!(VendorKey, VendorPublicKey, "vendor's", "etv1-");
keys!(AgentKey, AgentPublicKey, "agent's", "eta1-");
keys!(TicketKey, TicketPublicKey, "relay tickets'", "etr1-");

/// Decodes the 32 bytes behind `prefix`.
fn decode(prefix: &'static str, text: &str) -> Result<[u8; 32], KeyError> {
    let encoded = text
        .trim()
        .strip_prefix(prefix)
        .ok_or(KeyError::Prefix(prefix))?;
    // Into a wiped buffer on the stack, so that a private key leaves no copy on the heap.
    let mut bytes = Zeroizing::new([0; 33]);
    match URL_SAFE_NO_PAD.decode_slice(encoded, bytes.as_mut_slice()) {
        Ok(32) => Ok(bytes[..32].try_into().expect("32 bytes were just counted")),
        _ => Err(KeyError::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_round_trip() {
        let key = VendorKey::from_seed([7; 32]);
        let public = key.public();
        assert!(public.to_string().starts_with("etv1-"));
        assert_eq!(public.to_string().parse(), Ok(public));
        assert_eq!(
            VendorKey::from_text(&key.to_text()).unwrap().public(),
            public
        );
        let json = serde_json::to_string(&public).unwrap();
        assert_eq!(
            serde_json::from_str::<VendorPublicKey>(&json).unwrap(),
            public
        );
    }

    #[test]
    fn kinds_are_not_mixed_up() {
        let agent = AgentKey::from_seed([7; 32]);
        let text = agent.public().to_string();
        assert_eq!(
            text.parse::<VendorPublicKey>(),
            Err(KeyError::Prefix("etv1-"))
        );
        assert!(VendorKey::from_text(&agent.to_text()).is_err());
        assert_eq!(
            agent.to_text().parse::<AgentPublicKey>(),
            Err(KeyError::Damaged)
        );
    }

    #[test]
    fn weak_and_non_canonical_points_are_refused() {
        let weak = [[0u8; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }];
        for bytes in weak {
            let text = format!("etv1-{}", URL_SAFE_NO_PAD.encode(bytes));
            assert_eq!(text.parse::<VendorPublicKey>(), Err(KeyError::Unusable));
        }
        let text = format!("etv1-{}", URL_SAFE_NO_PAD.encode([0xff; 32]));
        assert_eq!(text.parse::<VendorPublicKey>(), Err(KeyError::Unusable));
    }

    #[test]
    fn debug_hides_private_keys() {
        let (vendor, agent) = (VendorKey::from_seed([1; 32]), AgentKey::from_seed([2; 32]));
        assert_eq!(
            format!("{vendor:?} {agent:?}"),
            "VendorKey(<redacted>) AgentKey(<redacted>)"
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<VendorPublicKey>();
            let _ = AgentKey::from_text(&format!("eta1-private-{text}"));
        }
    }
}
