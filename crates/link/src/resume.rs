//! State that each end keeps of a link to resume it, and the ratchet of its keys.
//!
//! ```text
//! agent: K0                                  customer: K0
//!   ── resume, proved with K0 ────────────▶    K0 proved: holds K0 and K1, derived from K0
//!   ◀──────────── confirm, proved with K0 ──
//! K1 (K0 is gone)
//!   ── the streams ───────────────────────▶    K1 (K0 is gone)
//! ```
//!
//! Whatever is lost, the agent holds a key that the customer's end holds too. The agent runs one
//! resume at a time. So a resume that is proved with a key shows that the agent has given up every
//! earlier one that didn't lead to that key.

use std::fmt;

use etatuki_protocol::{AgentIdentity, CONFIRMATION_LENGTH};

use crate::{
    keys::{LinkKeys, ResumeKey, Transcript},
    pake::{Parties, Role},
};

/// State of the agent's end to resume a link: a key and the two ends. Zeroized on drop.
///
/// Not `Clone`, and a resume borrows it mutably: two resumes at once would tear the ratchet.
pub struct AgentResumption {
    pub(crate) parties: Parties,
    key: ResumeKey,
}

impl AgentResumption {
    pub(crate) const fn new(parties: Parties, key: ResumeKey) -> Self {
        Self { parties, key }
    }

    /// Derives the keys of a new connection with this TLS exporter.
    pub(crate) fn derive(&self, exporter: &[u8; 32]) -> LinkKeys {
        LinkKeys::derive_resumed(&self.key, exporter)
    }

    /// Moves to the new link's key: the customer's end has proved that it holds that too.
    pub(crate) fn advance(&mut self, keys: &LinkKeys) {
        self.key = keys.resume_key();
    }

    #[cfg(test)]
    pub(crate) const fn key(&self) -> &ResumeKey {
        &self.key
    }
}

impl fmt::Debug for AgentResumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgentResumption(<redacted>)")
    }
}

/// State of the customer's end to resume a link.
pub(crate) struct CustomerResumption {
    pub(crate) parties: Parties,
    /// The hash of the card that opened the link; another card doesn't resume it.
    pub(crate) card_hash: [u8; 32],
    pub(crate) agent: AgentIdentity,
    pub(crate) ratchet: Ratchet,
}

impl CustomerResumption {
    pub(crate) const fn new(
        parties: Parties,
        card_hash: [u8; 32],
        agent: AgentIdentity,
        key: ResumeKey,
    ) -> Self {
        Self {
            parties,
            card_hash,
            agent,
            ratchet: Ratchet::new(key),
        }
    }
}

/// The resume keys of the customer's end: one or two. Zeroized on drop.
pub(crate) struct Ratchet {
    /// A key that the agent has held; it may hold the other one by now.
    key: ResumeKey,
    /// The key of a resumed link of which nothing has arrived yet.
    unconfirmed: Option<ResumeKey>,
}

/// A resume that the agent has proved: the new link's keys, and the key behind them.
pub(crate) struct ProvedResume {
    pub(crate) keys: LinkKeys,
    old: ResumeKey,
}

impl Ratchet {
    pub(crate) const fn new(key: ResumeKey) -> Self {
        Self {
            key,
            unconfirmed: None,
        }
    }

    /// Verifies the agent's confirmation under either key. Changes nothing.
    pub(crate) fn verify(
        &self,
        exporter: &[u8; 32],
        transcript: &Transcript,
        confirmation: &[u8; CONFIRMATION_LENGTH],
    ) -> Option<ProvedResume> {
        [Some(&self.key), self.unconfirmed.as_ref()]
            .into_iter()
            .flatten()
            .map(|old| ProvedResume {
                keys: LinkKeys::derive_resumed(old, exporter),
                old: old.clone(),
            })
            .find(|proved| {
                proved
                    .keys
                    .is_confirmation(Role::Agent, transcript, confirmation)
            })
    }

    /// Begins a proved resume: keeps the key that the agent holds, and the new link's beside it.
    pub(crate) fn begin(&mut self, proved: &ProvedResume) {
        self.key = proved.old.clone();
        self.unconfirmed = Some(proved.keys.resume_key());
    }

    /// Ends the resume: something has arrived over the new link, so the agent holds its key alone.
    pub(crate) fn confirm(&mut self) {
        if let Some(key) = self.unconfirmed.take() {
            self.key = key;
        }
    }

    /// Returns the only key; `None` while the agent may hold either of two.
    pub(crate) fn only_key(&self) -> Option<&ResumeKey> {
        self.unconfirmed.is_none().then_some(&self.key)
    }

    #[cfg(test)]
    pub(crate) fn keys(&self) -> impl Iterator<Item = &ResumeKey> {
        [Some(&self.key), self.unconfirmed.as_ref()]
            .into_iter()
            .flatten()
    }
}
