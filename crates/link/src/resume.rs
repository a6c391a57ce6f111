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
//! Whatever is lost or late, the agent holds a key that the customer's end holds too. The agent runs
//! one try at a time and numbers them. So a try that is proved with a key shows that the agent has
//! given up every earlier one that didn't lead to that key; and one that arrives after a later one
//! is refused, since the agent may hold the later one's key by now.

use std::fmt;

use etatuki_protocol::{AgentIdentity, Resume};

use crate::{
    ending::EndedLink,
    keys::{LinkKeys, ResumeKey, Transcript},
    pake::{Parties, Role},
};

/// State of the agent's end to resume a link: a key and the two ends. Zeroized on drop.
///
/// Not `Clone`, and a resume borrows it mutably: two resumes at once would tear the ratchet.
pub struct AgentResumption {
    pub(crate) parties: Parties,
    key: ResumeKey,
    /// The number of the last try.
    tries: u32,
}

impl AgentResumption {
    pub(crate) const fn new(parties: Parties, key: ResumeKey) -> Self {
        Self {
            parties,
            key,
            tries: 0,
        }
    }

    /// Returns the link, to end it or to read the other end's ending.
    #[must_use]
    pub fn link(&self) -> EndedLink {
        EndedLink::new(self.parties.clone(), Role::Agent)
    }

    /// Gives up the last try and returns the number of the next one. There are never 2^32.
    pub(crate) const fn begin_try(&mut self) -> u32 {
        self.tries = self.tries.saturating_add(1);
        self.tries
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
    /// The highest number of a proved try.
    last_try: u32,
}

/// A try that the agent has proved: the new link's keys, and the key behind them.
pub(crate) struct ProvedResume {
    pub(crate) keys: LinkKeys,
    old: ResumeKey,
    number: u32,
}

impl Ratchet {
    pub(crate) const fn new(key: ResumeKey) -> Self {
        Self {
            key,
            unconfirmed: None,
            last_try: 0,
        }
    }

    /// Verifies the agent's confirmation under either key, and that no later try was proved.
    /// Changes nothing.
    pub(crate) fn verify(
        &self,
        exporter: &[u8; 32],
        transcript: &Transcript,
        request: &Resume,
    ) -> Option<ProvedResume> {
        if request.number <= self.last_try {
            return None;
        }
        [Some(&self.key), self.unconfirmed.as_ref()]
            .into_iter()
            .flatten()
            .map(|old| ProvedResume {
                keys: LinkKeys::derive_resumed(old, exporter),
                old: old.clone(),
                number: request.number,
            })
            .find(|proved| {
                proved
                    .keys
                    .is_confirmation(Role::Agent, transcript, &request.confirmation)
            })
    }

    /// Begins a proved resume: keeps the key that the agent holds, and the new link's beside it.
    pub(crate) fn begin(&mut self, proved: &ProvedResume) {
        self.last_try = proved.number;
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

#[cfg(test)]
mod tests {
    use etatuki_protocol::Hello;
    use etatuki_trust::{CodeForm, Nameplate};
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;

    const CARD_HASH: [u8; 32] = [3; 32];

    fn parties() -> Parties {
        Parties {
            agent: [1; 32],
            customer: [2; 32],
            nameplate: Nameplate::new(CodeForm::IdAndPassword, "12345678").unwrap(),
        }
    }

    /// Both ends without a network: every message arrives late, early or never, as a test wants.
    struct Ends {
        agent: AgentResumption,
        ratchet: Ratchet,
        /// Requests on their way, with the exporter of their connection. They outlive their try.
        requests: Vec<([u8; 32], Resume)>,
        /// The keys of the agent's present try, until the customer's confirmation has arrived.
        waiting: Option<LinkKeys>,
        /// The number of the try that the customer's end has begun last.
        begun: Option<u32>,
    }

    impl Ends {
        fn new() -> Self {
            let key = LinkKeys::derive(&Zeroizing::new(vec![7; 32]), &[7; 32]).resume_key();
            Self {
                agent: AgentResumption::new(parties(), key.clone()),
                ratchet: Ratchet::new(key),
                requests: Vec::new(),
                waiting: None,
                begun: None,
            }
        }

        /// The agent gives up what it has and tries anew.
        fn begin_try(&mut self) {
            let number = self.agent.begin_try();
            let mut exporter = [0; 32];
            exporter[..4].copy_from_slice(&number.to_be_bytes());
            let keys = self.agent.derive(&exporter);
            let transcript = Transcript::resumed(&self.agent.parties, &CARD_HASH, number);
            let request = Resume {
                number,
                hello: Hello {
                    proof: [0; 64],
                    card: String::new(),
                },
                confirmation: keys.confirmation(Role::Agent, &transcript),
            };
            self.requests.push((exporter, request));
            self.waiting = Some(keys);
        }

        /// Delivers one of the requests on their way, once.
        fn deliver_request(&mut self, which: usize) {
            if self.requests.is_empty() {
                return;
            }
            let (exporter, request) = self.requests.remove(which % self.requests.len());
            let transcript = Transcript::resumed(&parties(), &CARD_HASH, request.number);
            if let Some(proved) = self.ratchet.verify(&exporter, &transcript, &request) {
                self.ratchet.begin(&proved);
                self.begun = Some(request.number);
            }
        }

        /// Delivers the customer's confirmation, if the agent's present try has got one.
        fn deliver_confirmation(&mut self) {
            if self.begun == Some(self.agent.tries)
                && let Some(keys) = self.waiting.take()
            {
                self.agent.advance(&keys);
            }
        }

        /// Delivers the agent's streams, if they are open.
        fn deliver_streams(&mut self) {
            if self.begun == Some(self.agent.tries) && self.waiting.is_none() {
                self.begun = None;
                self.ratchet.confirm();
            }
        }

        fn check(&self) {
            let key = self.agent.key.expose();
            assert!(self.ratchet.keys().any(|kept| kept.expose() == key));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_lost_or_late_the_agents_key_is_one_of_the_customers(
            steps in prop::collection::vec((0..4_u8, any::<usize>()), 0..60)
        ) {
            let mut ends = Ends::new();
            for (step, which) in steps {
                match step {
                    0 => ends.begin_try(),
                    1 => ends.deliver_request(which),
                    2 => ends.deliver_confirmation(),
                    _ => ends.deliver_streams(),
                }
                ends.check();
            }
            ends.begin_try();
            ends.deliver_request(ends.requests.len() - 1);
            ends.deliver_confirmation();
            ends.deliver_streams();
            let kept: Vec<_> = ends.ratchet.keys().map(ResumeKey::expose).collect();
            prop_assert_eq!(kept, vec![ends.agent.key.expose()]);
        }
    }
}
