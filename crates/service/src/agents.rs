//! Agents that have shown their card: their tokens, how often they may look up, and which challenges
//! were answered. Pure: the time is passed in.
//!
//! Limits count per card, not per token, or a second token would be a second allowance.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use etatuki_trust::Revocations;

use crate::{
    rate_limit::{Gcra, Quota, RateLimited},
    tokens::TokenHash,
};

/// How many tokens of one card are good at a time; the oldest gives way.
const MAX_TOKENS_PER_CARD: usize = 8;

/// How often an agent may do what it may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AgentQuotas {
    pub(crate) tokens: Quota,
    pub(crate) lookups: Quota,
}

/// Every agent with a good token.
#[derive(Debug)]
pub(crate) struct Agents {
    agents: HashMap<u64, Agent>,
    serials: HashMap<TokenHash, u64>,
    rates: AgentQuotas,
}

#[derive(Debug, Default)]
struct Agent {
    /// When each expires, and its hash; oldest first.
    tokens: VecDeque<(Duration, TokenHash)>,
    issuing: Gcra,
    lookups: Gcra,
}

/// Why a look-up isn't allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthError {
    /// No such token, or not any more.
    Unauthorised,
    /// Too often.
    RateLimited(RateLimited),
}

impl Agents {
    pub(crate) fn new(rates: AgentQuotas) -> Self {
        Self {
            agents: HashMap::new(),
            serials: HashMap::new(),
            rates,
        }
    }

    /// Makes `token` good for the card of `serial` until `expires`.
    pub(crate) fn admit(
        &mut self,
        serial: u64,
        token: TokenHash,
        expires: Duration,
        now: Duration,
    ) -> Result<(), RateLimited> {
        let agent = self.agents.entry(serial).or_default();
        agent.issuing.count(self.rates.tokens, now)?;
        if agent.tokens.len() >= MAX_TOKENS_PER_CARD
            && let Some((_, oldest)) = agent.tokens.pop_front()
        {
            self.serials.remove(&oldest);
        }
        agent.tokens.push_back((expires, token));
        self.serials.insert(token, serial);
        Ok(())
    }

    /// The serial of the card that `token` is for, after counting one look-up.
    pub(crate) fn count_lookup(
        &mut self,
        token: TokenHash,
        now: Duration,
    ) -> Result<u64, AuthError> {
        let serial = *self.serials.get(&token).ok_or(AuthError::Unauthorised)?;
        let agent = self
            .agents
            .get_mut(&serial)
            .ok_or(AuthError::Unauthorised)?;
        if !agent
            .tokens
            .iter()
            .any(|(expires, hash)| *hash == token && now < *expires)
        {
            return Err(AuthError::Unauthorised);
        }
        agent
            .lookups
            .count(self.rates.lookups, now)
            .map_err(AuthError::RateLimited)?;
        Ok(serial)
    }

    /// Forgets tokens that are over by `now` and those of revoked cards.
    pub(crate) fn sweep(&mut self, revoked: &Revocations, now: Duration) {
        let Self {
            agents, serials, ..
        } = self;
        agents.retain(|serial, agent| {
            if revoked.serials.contains(serial) {
                agent.tokens.clear();
            }
            agent.tokens.retain(|(expires, _)| now < *expires);
            !agent.tokens.is_empty()
        });
        serials.retain(|token, serial| {
            let agent = agents.get(serial);
            agent.is_some_and(|agent| agent.tokens.iter().any(|(_, hash)| hash == token))
        });
    }
}

/// Challenges that were answered and could be replayed: none for longer than a challenge is good.
#[derive(Debug, Default)]
pub(crate) struct UsedChallenges {
    challenges: HashSet<[u8; 32]>,
    expiring: VecDeque<(Duration, [u8; 32])>,
}

impl UsedChallenges {
    /// Whether `challenge`, good until `expires`, is answered for the first time.
    pub(crate) fn first(&mut self, challenge: [u8; 32], expires: Duration, now: Duration) -> bool {
        // Not quite in order, since challenges may be answered late: what stays too long does no harm.
        while let Some((_, over)) = self.expiring.pop_front_if(|entry| entry.0 <= now) {
            self.challenges.remove(&over);
        }
        let first = self.challenges.insert(challenge);
        if first {
            self.expiring.push_back((expires, challenge));
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn agents(tokens: Quota, lookups: Quota) -> Agents {
        Agents::new(AgentQuotas { tokens, lookups })
    }

    fn token(number: usize) -> TokenHash {
        TokenHash::of(&number.to_string())
    }

    #[test]
    fn a_token_is_good_until_it_expires() {
        let mut agents = agents(Quota::UNLIMITED, Quota::UNLIMITED);
        agents.admit(7, token(1), at(10), at(0)).unwrap();
        assert_eq!(agents.count_lookup(token(1), at(9)), Ok(7));
        assert_eq!(
            agents.count_lookup(token(1), at(10)),
            Err(AuthError::Unauthorised)
        );
        assert_eq!(
            agents.count_lookup(token(2), at(9)),
            Err(AuthError::Unauthorised)
        );
    }

    #[test]
    fn a_second_token_is_no_second_allowance() {
        let rate = Quota::new(2, at(30));
        let mut agents = agents(Quota::UNLIMITED, rate);
        agents.admit(7, token(1), at(1000), at(0)).unwrap();
        agents.admit(7, token(2), at(1000), at(0)).unwrap();
        assert!(agents.count_lookup(token(1), at(0)).is_ok());
        assert!(agents.count_lookup(token(2), at(0)).is_ok());
        let refused = Err(AuthError::RateLimited(RateLimited(at(30))));
        assert_eq!(agents.count_lookup(token(1), at(0)), refused);
        assert_eq!(agents.count_lookup(token(2), at(0)), refused);
        assert!(agents.count_lookup(token(2), at(30)).is_ok());
    }

    #[test]
    fn the_oldest_of_too_many_tokens_gives_way() {
        let mut agents = agents(Quota::UNLIMITED, Quota::UNLIMITED);
        for number in 0..=MAX_TOKENS_PER_CARD {
            agents.admit(7, token(number), at(100), at(0)).unwrap();
        }
        assert_eq!(
            agents.count_lookup(token(0), at(1)),
            Err(AuthError::Unauthorised)
        );
        assert!(agents.count_lookup(token(1), at(1)).is_ok());
        assert_eq!(agents.serials.len(), MAX_TOKENS_PER_CARD);
    }

    #[test]
    fn tokens_are_given_out_only_so_often() {
        let mut agents = agents(Quota::new(1, at(6)), Quota::UNLIMITED);
        assert!(agents.admit(7, token(1), at(100), at(0)).is_ok());
        assert_eq!(
            agents.admit(7, token(2), at(100), at(1)),
            Err(RateLimited(at(5)))
        );
        assert!(agents.admit(8, token(3), at(100), at(1)).is_ok());
    }

    #[test]
    fn sweeping_forgets_the_revoked_and_the_expired() {
        let mut agents = agents(Quota::UNLIMITED, Quota::UNLIMITED);
        agents.admit(7, token(1), at(10), at(0)).unwrap();
        agents.admit(7, token(2), at(20), at(0)).unwrap();
        agents.admit(8, token(3), at(20), at(0)).unwrap();
        agents.sweep(
            &Revocations {
                number: 1,
                serials: [8].into(),
            },
            at(10),
        );
        assert_eq!(agents.count_lookup(token(2), at(10)), Ok(7));
        assert_eq!(
            agents.count_lookup(token(3), at(10)),
            Err(AuthError::Unauthorised)
        );
        assert_eq!((agents.agents.len(), agents.serials.len()), (1, 1));
    }

    #[test]
    fn a_challenge_is_answered_once() {
        let mut answered = UsedChallenges::default();
        assert!(answered.first([1; 32], at(60), at(0)));
        assert!(!answered.first([1; 32], at(60), at(59)));
        assert!(answered.first([2; 32], at(120), at(60)));
        assert_eq!((answered.challenges.len(), answered.expiring.len()), (1, 1));
    }
}
