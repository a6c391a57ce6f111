//! The texts that the service issues and gets back: owner tokens, agent tokens, relay tokens and
//! challenges. Pure: randomness and keys are passed in.
//!
//! Owner tokens and challenges carry their own proof, an HMAC-SHA256 with a key that lives as long
//! as the service. So the service recognises an owner's token after its session is gone, and a
//! stranger who asks for challenges all day costs no memory. Agent and relay tokens are kept as
//! hashes only.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use etatuki_trust::Nameplate;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::directory::OwnerId;

const OWNER_CONTEXT: &[u8] = b"etatuki owner token v1\0";
const CHALLENGE_CONTEXT: &[u8] = b"etatuki challenge v1\0";
const HASH_CONTEXT: &[u8] = b"etatuki token hash v1\0";

/// Time for which a challenge is good.
pub(crate) const CHALLENGE_LIFETIME: Duration = Duration::from_secs(60);

/// The key of one run of the service.
pub(crate) struct TokenKey([u8; 32]);

impl TokenKey {
    pub(crate) const fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// Returns the text that proves that `nameplate`'s session is `owner`'s.
    pub(crate) fn owner_token(&self, nameplate: Nameplate, owner: &OwnerId) -> String {
        let tag = self.tag(OWNER_CONTEXT, &[owner, nameplate.as_str().as_bytes()]);
        URL_SAFE_NO_PAD.encode([*owner, tag].concat())
    }

    /// Returns the owner whose token `text` is, if the service issued it for `nameplate`.
    pub(crate) fn verify_owner_token(&self, nameplate: Nameplate, text: &str) -> Option<OwnerId> {
        let (owner, tag) = halves(&decode_base64url::<32>(text)?);
        let parts = [owner.as_slice(), nameplate.as_str().as_bytes()];
        self.verify_tag(OWNER_CONTEXT, &parts, &tag)
            .then_some(owner)
    }

    /// Returns a challenge that is good from `now` on: 8 bytes of time, 8 of randomness, 16 of
    /// HMAC.
    pub(crate) fn challenge(&self, now: Duration, random: [u8; 8]) -> [u8; 32] {
        let head = [milliseconds(now).to_be_bytes(), random].concat();
        let mut challenge = [0; 32];
        challenge[..16].copy_from_slice(&head);
        challenge[16..].copy_from_slice(&self.tag(CHALLENGE_CONTEXT, &[&head]));
        challenge
    }

    /// Returns the expiry of `challenge`, if the service made it and it is still good at `now`.
    pub(crate) fn challenge_expiry(&self, challenge: &[u8; 32], now: Duration) -> Option<Duration> {
        let (head, tag) = halves(challenge);
        if !self.verify_tag(CHALLENGE_CONTEXT, &[&head], &tag) {
            return None;
        }
        let (made, _) = head.split_first_chunk().expect("a half has 16 bytes");
        let expires = Duration::from_millis(u64::from_be_bytes(*made)) + CHALLENGE_LIFETIME;
        (now < expires).then_some(expires)
    }

    fn tag(&self, context: &[u8], parts: &[&[u8]]) -> [u8; 16] {
        let tag = self.mac(context, parts).finalize().into_bytes();
        *tag.first_chunk().expect("an HMAC-SHA256 has 32 bytes")
    }

    fn verify_tag(&self, context: &[u8], parts: &[&[u8]], tag: &[u8; 16]) -> bool {
        self.mac(context, parts).verify_truncated_left(tag).is_ok()
    }

    fn mac(&self, context: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(context);
        // One part at most varies in length, and it comes last.
        parts.iter().for_each(|part| mac.update(part));
        mac
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(<redacted>)")
    }
}

/// The hash of an agent's or a relay token, which is kept instead of the token.
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

fn halves(bytes: &[u8; 32]) -> ([u8; 16], [u8; 16]) {
    let (first, second) = bytes.split_at(16);
    let half = |bytes: &[u8]| bytes.try_into().expect("half of 32 is 16");
    (half(first), half(second))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> TokenKey {
        TokenKey::new([3; 32])
    }

    fn nameplate(text: &str) -> Nameplate {
        text.parse().unwrap()
    }

    #[test]
    fn an_owner_token_is_for_one_nameplate() {
        let token = key().owner_token(nameplate("123456"), &[7; 16]);
        assert_eq!(
            key().verify_owner_token(nameplate("123456"), &token),
            Some([7; 16])
        );
        assert_eq!(key().verify_owner_token(nameplate("123457"), &token), None);
        assert_eq!(
            TokenKey::new([4; 32]).verify_owner_token(nameplate("123456"), &token),
            None
        );
        for bad in [
            "",
            "x",
            &token[1..],
            &token.replace('B', "C"),
            &"A".repeat(10_000),
        ] {
            assert_eq!(key().verify_owner_token(nameplate("123456"), bad), None);
        }
    }

    #[test]
    fn a_challenge_is_good_for_a_minute() {
        let made = Duration::from_millis(12_345);
        let challenge = key().challenge(made, [1; 8]);
        let expires = made + CHALLENGE_LIFETIME;
        assert_eq!(key().challenge_expiry(&challenge, made), Some(expires));
        let last = expires - Duration::from_millis(1);
        assert_eq!(key().challenge_expiry(&challenge, last), Some(expires));
        assert_eq!(key().challenge_expiry(&challenge, expires), None);
    }

    #[test]
    fn a_made_up_challenge_is_none() {
        assert_eq!(key().challenge_expiry(&[0; 32], Duration::ZERO), None);
        let mut younger = key().challenge(Duration::ZERO, [1; 8]);
        younger[7] ^= 1;
        assert_eq!(key().challenge_expiry(&younger, Duration::ZERO), None);
        assert_eq!(
            TokenKey::new([4; 32])
                .challenge_expiry(&key().challenge(Duration::ZERO, [1; 8]), Duration::ZERO),
            None
        );
    }

    #[test]
    fn what_is_kept_says_nothing() {
        assert_eq!(format!("{:?}", key()), "TokenKey(<redacted>)");
        assert_ne!(TokenHash::of("a"), TokenHash::of("b"));
        assert_eq!(TokenHash::of("a"), TokenHash::of("a"));
    }
}
