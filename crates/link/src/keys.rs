//! The key schedule of a link: HKDF (RFC 5869) with SHA-256 over the PAKE's key, salted by the TLS
//! exporter (RFC 8446, section 7.5).
//!
//! ```text
//! prk        = HKDF-Extract(salt = TLS exporter, PAKE key)
//! confirm a  = HKDF-Expand(prk, "etatuki/1 confirm agent")
//! confirm c  = HKDF-Expand(prk, "etatuki/1 confirm customer")
//! resume     = HKDF-Expand(prk, "etatuki/1 resume")
//! ```
//!
//! A resume runs the same schedule with the interrupted link's resume key in the PAKE key's place and
//! labels of its own (`etatuki/1 resumed …`): each resume key proves one link and gives the next.
//!
//! The exporter binds the keys to this one TLS connection: whoever terminates TLS in the middle has
//! two exporters, and so two sets of keys.

use etatuki_protocol::CONFIRMATION_LENGTH;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::pake::{Parties, Role};

/// The key by which an interrupted link resumes without a new code. Both ends hold the same key; it
/// never goes over the wire. A restart ticket holds it too.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct ResumeKey([u8; 32]);

impl ResumeKey {
    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for ResumeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResumeKey(<redacted>)")
    }
}

/// The hash of everything that both ends have sent and know so far: the input of a confirmation.
pub(crate) struct Transcript([u8; 32]);

impl Transcript {
    /// Hashes the handshake. `messages` are the PAKE's, the agent's first.
    pub(crate) fn new(parties: &Parties, card_hash: &[u8; 32], messages: [&[u8]; 2]) -> Self {
        let [from_agent, from_customer] = messages;
        Self::of_parts(&[
            b"etatuki/1 transcript",
            &parties.agent,
            &parties.customer,
            parties.nameplate.as_str().as_bytes(),
            card_hash,
            from_agent,
            from_customer,
        ])
    }

    /// Hashes what both ends know in the try with this number to resume a link.
    pub(crate) fn resumed(parties: &Parties, card_hash: &[u8; 32], number: u32) -> Self {
        Self::of_parts(&[
            b"etatuki/1 resumed transcript",
            &parties.agent,
            &parties.customer,
            parties.nameplate.as_str().as_bytes(),
            card_hash,
            &number.to_be_bytes(),
        ])
    }

    /// Hashes that the end `leaving` ends the session for this reason.
    pub(crate) fn ended(parties: &Parties, leaving: &[u8; 32], reason: &str) -> Self {
        Self::of_parts(&[
            b"etatuki/1 ended",
            leaving,
            &parties.agent,
            &parties.customer,
            parties.nameplate.as_str().as_bytes(),
            reason.as_bytes(),
        ])
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// The labels of a link's keys in HKDF.
struct Labels {
    agent: &'static [u8],
    customer: &'static [u8],
    resume: &'static [u8],
}

/// The labels after a PAKE.
const FIRST: Labels = Labels {
    agent: b"etatuki/1 confirm agent",
    customer: b"etatuki/1 confirm customer",
    resume: b"etatuki/1 resume",
};

/// The labels after a resume.
const RESUMED: Labels = Labels {
    agent: b"etatuki/1 resumed confirm agent",
    customer: b"etatuki/1 resumed confirm customer",
    resume: b"etatuki/1 resumed resume",
};

/// The keys of a link.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct LinkKeys {
    /// The agent's confirmation key.
    agent: [u8; 32],
    /// The customer's confirmation key.
    customer: [u8; 32],
    resume: ResumeKey,
}

impl LinkKeys {
    /// Derives the keys from the PAKE's key and the TLS exporter.
    pub(crate) fn derive(pake_key: &Zeroizing<Vec<u8>>, exporter: &[u8; 32]) -> Self {
        Self::expand(pake_key, exporter, &FIRST)
    }

    /// Derives the keys of a resumed link from the interrupted one's resume key and the new TLS
    /// exporter.
    pub(crate) fn derive_resumed(key: &ResumeKey, exporter: &[u8; 32]) -> Self {
        Self::expand(&key.0, exporter, &RESUMED)
    }

    fn expand(key: &[u8], exporter: &[u8; 32], labels: &Labels) -> Self {
        let prk = Hkdf::<Sha256>::new(Some(exporter), key);
        let expand = |info: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            prk.expand(info, key.as_mut_slice())
                .expect("HKDF expands to 32 bytes");
            key
        };
        Self {
            agent: *expand(labels.agent),
            customer: *expand(labels.customer),
            resume: ResumeKey(*expand(labels.resume)),
        }
    }

    /// Returns the HMAC that `role` sends to prove that it has these keys.
    pub(crate) fn confirmation(
        &self,
        role: Role,
        transcript: &Transcript,
    ) -> [u8; CONFIRMATION_LENGTH] {
        let key = match role {
            Role::Agent => &self.agent,
            Role::Customer => &self.customer,
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
        mac.update(&transcript.0);
        mac.finalize().into_bytes().into()
    }

    /// Returns whether `received` is `role`'s confirmation. Takes a time that doesn't depend on its
    /// content.
    pub(crate) fn is_confirmation(
        &self,
        role: Role,
        transcript: &Transcript,
        received: &[u8],
    ) -> bool {
        self.confirmation(role, transcript).ct_eq(received).into()
    }

    pub(crate) fn resume_key(&self) -> ResumeKey {
        self.resume.clone()
    }
}

#[cfg(test)]
mod tests {
    use etatuki_trust::{CodeForm, Nameplate};

    use super::*;

    fn parties() -> Parties {
        let nameplate = Nameplate::new(CodeForm::IdAndPassword, "12345678").unwrap();
        Parties {
            agent: [1; 32],
            customer: [2; 32],
            nameplate,
        }
    }

    fn keys(pake: u8, exporter: u8) -> LinkKeys {
        LinkKeys::derive(&Zeroizing::new(vec![pake; 32]), &[exporter; 32])
    }

    #[test]
    fn a_confirmation_is_of_one_role_key_and_transcript() {
        let transcript = Transcript::new(&parties(), &[3; 32], [b"x", b"y"]);
        let ours = keys(1, 1).confirmation(Role::Agent, &transcript);
        assert!(keys(1, 1).is_confirmation(Role::Agent, &transcript, &ours));
        assert!(!keys(1, 1).is_confirmation(Role::Customer, &transcript, &ours));
        assert!(!keys(2, 1).is_confirmation(Role::Agent, &transcript, &ours));
        assert!(!keys(1, 2).is_confirmation(Role::Agent, &transcript, &ours));
        assert!(!keys(1, 1).is_confirmation(Role::Agent, &transcript, &ours[1..]));
        assert!(!keys(1, 1).is_confirmation(Role::Agent, &transcript, b""));
        for other in [
            Transcript::new(&parties(), &[4; 32], [b"x", b"y"]),
            Transcript::new(&parties(), &[3; 32], [b"xy", b""]),
            Transcript::new(
                &Parties {
                    agent: [5; 32],
                    ..parties()
                },
                &[3; 32],
                [b"x", b"y"],
            ),
        ] {
            assert!(!keys(1, 1).is_confirmation(Role::Agent, &other, &ours));
        }
    }

    #[test]
    fn the_resume_key_is_shared_and_hidden() {
        assert_eq!(
            keys(1, 1).resume_key().expose(),
            keys(1, 1).resume_key().expose()
        );
        assert_ne!(
            keys(1, 1).resume_key().expose(),
            keys(1, 2).resume_key().expose()
        );
        assert_eq!(
            format!("{:?}", keys(1, 1).resume_key()),
            "ResumeKey(<redacted>)"
        );
    }
}
