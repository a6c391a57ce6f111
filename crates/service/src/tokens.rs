//! The texts that the service issues and gets back: owner tokens, agent tokens and challenges.
//! Pure: randomness, time and keys are passed in.
//!
//! Owner tokens and challenges carry their own proof, an HMAC-SHA256 with a key of the key ring. So
//! the service recognises an owner's token after it was restarted, and a stranger who asks for
//! challenges all day costs no memory. Agents' tokens are kept as hashes only.
//!
//! ```text
//! owner token: key number u32, expires u64, owner 16, HMAC 16 (over the nameplate too)
//! challenge:   key number u32, made u32, randomness 8, HMAC 16
//! ```
//! Times are Unix times in seconds; integers are big-endian.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use etatuki_trust::{Nameplate, UnixTime};
use hmac::{Hmac, Mac as _, digest::Output};
use sha2::{Digest as _, Sha256};

use crate::directory::OwnerId;

const OWNER_CONTEXT: &[u8] = b"etatuki owner token v2\0";
const CHALLENGE_CONTEXT: &[u8] = b"etatuki challenge v2\0";
const HASH_CONTEXT: &[u8] = b"etatuki token hash v1\0";

/// Time for which a challenge is good, in seconds.
pub(crate) const CHALLENGE_SECONDS: u64 = 60;

/// Bytes of an owner token before its HMAC.
const OWNER_HEAD_BYTES: usize = 4 + 8 + 16;
/// Bytes of a challenge before its HMAC.
const CHALLENGE_HEAD_BYTES: usize = 16;
const TAG_BYTES: usize = 16;

/// A key for tokens and challenges, with its number in the key ring.
#[derive(Clone)]
pub(crate) struct TokenKey {
    number: u32,
    key: [u8; 32],
}

/// The statement of an owner token: whose session it is, and until when it may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ownership {
    pub(crate) owner: OwnerId,
    pub(crate) expires: UnixTime,
}

impl TokenKey {
    pub(crate) const fn new(number: u32, key: [u8; 32]) -> Self {
        Self { number, key }
    }

    /// Returns the text that proves `ownership` of `nameplate`'s session.
    pub(crate) fn owner_token(&self, nameplate: Nameplate, ownership: &Ownership) -> String {
        let head = [
            self.number.to_be_bytes().as_slice(),
            &ownership.expires.0.to_be_bytes(),
            &ownership.owner,
        ]
        .concat();
        let tag = self.tag(OWNER_CONTEXT, &[&head, nameplate.as_str().as_bytes()]);
        URL_SAFE_NO_PAD.encode([head.as_slice(), &tag].concat())
    }

    /// Returns the ownership that `text` proves, if it was made with this key for `nameplate`.
    pub(crate) fn verify_owner_token(&self, nameplate: Nameplate, text: &str) -> Option<Ownership> {
        let bytes: [u8; OWNER_HEAD_BYTES + TAG_BYTES] = decode_base64url(text)?;
        let (head, tag) = bytes.split_at(OWNER_HEAD_BYTES);
        let parts = [head, nameplate.as_str().as_bytes()];
        if !self.verify_tag(OWNER_CONTEXT, &parts, tag) {
            return None;
        }
        let (_, rest) = head.split_first_chunk::<4>()?;
        let (expires, owner) = rest.split_first_chunk()?;
        Some(Ownership {
            owner: owner.try_into().ok()?,
            expires: UnixTime(u64::from_be_bytes(*expires)),
        })
    }

    /// Returns a challenge that is good from `now` on.
    pub(crate) fn challenge(&self, now: UnixTime, random: [u8; 8]) -> [u8; 32] {
        // Good until 2106.
        let made = u32::try_from(now.0).unwrap_or(u32::MAX);
        let mut challenge = [0; 32];
        challenge[..4].copy_from_slice(&self.number.to_be_bytes());
        challenge[4..8].copy_from_slice(&made.to_be_bytes());
        challenge[8..16].copy_from_slice(&random);
        let tag = self.tag(CHALLENGE_CONTEXT, &[&challenge[..16]]);
        challenge[16..].copy_from_slice(&tag);
        challenge
    }

    /// Returns the expiry of `challenge`, if it was made with this key and is still good at `now`.
    pub(crate) fn challenge_expiry(&self, challenge: &[u8; 32], now: UnixTime) -> Option<UnixTime> {
        let (head, tag) = challenge.split_at(CHALLENGE_HEAD_BYTES);
        if !self.verify_tag(CHALLENGE_CONTEXT, &[head], tag) {
            return None;
        }
        let (_, rest) = head.split_first_chunk::<4>()?;
        let (made, _) = rest.split_first_chunk()?;
        let made = UnixTime(u32::from_be_bytes(*made).into());
        let expires = made.saturating_add(CHALLENGE_SECONDS);
        (now < expires).then_some(expires)
    }

    fn tag(&self, context: &[u8], parts: &[&[u8]]) -> [u8; TAG_BYTES] {
        let tag = hmac(&self.key, context, parts);
        *tag.first_chunk().expect("an HMAC-SHA256 has 32 bytes")
    }

    fn verify_tag(&self, context: &[u8], parts: &[&[u8]], tag: &[u8]) -> bool {
        mac(&self.key, context, parts)
            .verify_truncated_left(tag)
            .is_ok()
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(<redacted>)")
    }
}

/// Returns the HMAC-SHA256 of `context` and `parts`.
pub(crate) fn hmac(key: &[u8; 32], context: &[u8], parts: &[&[u8]]) -> Output<Sha256> {
    mac(key, context, parts).finalize().into_bytes()
}

fn mac(key: &[u8; 32], context: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(context);
    // One part at most varies in length, and it comes last.
    parts.iter().for_each(|part| mac.update(part));
    mac
}

/// The hash of an agent's token, which is kept instead of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash([u8; 16]);

impl TokenHash {
    /// Hashes the text as it comes in; any text has a hash.
    pub(crate) fn of(text: &str) -> Self {
        let hash = Sha256::new()
            .chain_update(HASH_CONTEXT)
            .chain_update(text)
            .finalize();
        Self(*hash.first_chunk().expect("a SHA-256 has 32 bytes"))
    }
}

/// Returns the text of a token that is nothing but randomness.
pub(crate) fn opaque_token(random: [u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(random)
}

/// Decodes `text` if it is base64url (RFC 4648, section 5) of `N` bytes.
pub(crate) fn decode_base64url<const N: usize>(text: &str) -> Option<[u8; N]> {
    // A longer text isn't worth the decoding.
    if text.len() > N * 2 {
        return None;
    }
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_700_000_000);

    fn key() -> TokenKey {
        TokenKey::new(2, [3; 32])
    }

    fn nameplate(text: &str) -> Nameplate {
        text.parse().unwrap()
    }

    #[test]
    fn an_owner_token_is_for_one_nameplate() {
        let ownership = Ownership {
            owner: [7; 16],
            expires: NOW,
        };
        let token = key().owner_token(nameplate("123456"), &ownership);
        let verify = |key: TokenKey, plate, text| key.verify_owner_token(nameplate(plate), text);
        assert_eq!(verify(key(), "123456", &token), Some(ownership));
        assert_eq!(verify(key(), "123457", &token), None);
        assert_eq!(verify(TokenKey::new(2, [4; 32]), "123456", &token), None);
        for bad in [
            "",
            "x",
            &token[1..],
            &token.replace('B', "C"),
            &"A".repeat(10_000),
        ] {
            assert_eq!(verify(key(), "123456", bad), None);
        }
    }

    #[test]
    fn an_owner_cant_make_a_token_last_longer() {
        let ownership = Ownership {
            owner: [7; 16],
            expires: NOW,
        };
        let token = key().owner_token(nameplate("123456"), &ownership);
        let mut bytes: [u8; 44] = decode_base64url(&token).unwrap();
        bytes[9] ^= 1;
        let longer = URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(key().verify_owner_token(nameplate("123456"), &longer), None);
    }

    #[test]
    fn a_challenge_is_good_for_a_minute() {
        let challenge = key().challenge(NOW, [1; 8]);
        let expires = NOW.saturating_add(CHALLENGE_SECONDS);
        assert_eq!(key().challenge_expiry(&challenge, NOW), Some(expires));
        let last = UnixTime(expires.0 - 1);
        assert_eq!(key().challenge_expiry(&challenge, last), Some(expires));
        assert_eq!(key().challenge_expiry(&challenge, expires), None);
    }

    #[test]
    fn a_made_up_challenge_is_none() {
        assert_eq!(key().challenge_expiry(&[0; 32], NOW), None);
        let mut younger = key().challenge(NOW, [1; 8]);
        younger[7] ^= 1;
        assert_eq!(key().challenge_expiry(&younger, NOW), None);
        let foreign = TokenKey::new(2, [4; 32]).challenge(NOW, [1; 8]);
        assert_eq!(key().challenge_expiry(&foreign, NOW), None);
    }

    #[test]
    fn what_is_kept_says_nothing() {
        assert_eq!(format!("{:?}", key()), "TokenKey(<redacted>)");
        assert_ne!(TokenHash::of("a"), TokenHash::of("b"));
        assert_eq!(TokenHash::of("a"), TokenHash::of("a"));
    }
}
