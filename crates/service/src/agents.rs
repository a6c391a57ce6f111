//! Agents that have shown their card: their tokens and their look-up quota. Pure: the time is
//! passed in.
//!
//! Quotas count per card, not per token, or a second token would be a second allowance.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use etatuki_trust::Revocations;

use crate::{
    rate_limit::{Gcra, Quota, RateLimited},
    tokens::TokenHash,
};

/// Good tokens of one card at a time; the oldest gives way.
const MAX_TOKENS_PER_CARD: usize = 8;

/// The quotas of each card.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AgentQuotas {
    pub(crate) tokens: Quota,
    pub(crate) lookups: Quota,
}

/// Every agent with a good token, by the card's serial.
#[derive(Debug)]
pub(crate) struct Agents {
    agents: HashMap<u64, Agent>,
    serials: HashMap<TokenHash, u64>,
    quotas: AgentQuotas,
}

#[derive(Debug, Default)]
struct Agent {
    /// Each token's expiry and hash; oldest first.
    tokens: VecDeque<(Duration, TokenHash)>,
    issued_tokens: Gcra,
    lookups: Gcra,
}

/// The reason why a look-up isn't allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthError {
    /// The token is unknown or has expired.
    Unauthorized,
    /// The card has used up its quota.
    RateLimited(RateLimited),
}

impl Agents {
    pub(crate) fn new(quotas: AgentQuotas) -> Self {
        Self {
            agents: HashMap::new(),
            serials: HashMap::new(),
            quotas,
        }
    }

    /// Makes `token` good for the card of `serial` until `expires`.
    pub(crate) fn issue_token(
        &mut self,
        serial: u64,
        token: TokenHash,
        expires: Duration,
        now: Duration,
    ) -> Result<(), RateLimited> {
        let agent = self.agents.entry(serial).or_default();
        agent.issued_tokens.try_acquire(self.quotas.tokens, now)?;
        if agent.tokens.len() >= MAX_TOKENS_PER_CARD
            && let Some((_, oldest)) = agent.tokens.pop_front()
        {
            self.serials.remove(&oldest);
        }
        agent.tokens.push_back((expires, token));
        self.serials.insert(token, serial);
        Ok(())
    }

    /// Counts one look-up and returns the serial of the card that `token` was issued for.
    pub(crate) fn authorize_lookup(
        &mut self,
        token: TokenHash,
        now: Duration,
    ) -> Result<u64, AuthError> {
        let serial = *self.serials.get(&token).ok_or(AuthError::Unauthorized)?;
        let agent = self
            .agents
            .get_mut(&serial)
            .ok_or(AuthError::Unauthorized)?;
        if !agent
            .tokens
            .iter()
            .any(|(expires, hash)| *hash == token && now < *expires)
        {
            return Err(AuthError::Unauthorized);
        }
        agent
            .lookups
            .try_acquire(self.quotas.lookups, now)
            .map_err(AuthError::RateLimited)?;
        Ok(serial)
    }

    /// Forgets tokens that have expired by `now`, and those of revoked cards.
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
        agents.issue_token(7, token(1), at(10), at(0)).unwrap();
        assert_eq!(agents.authorize_lookup(token(1), at(9)), Ok(7));
        assert_eq!(
            agents.authorize_lookup(token(1), at(10)),
            Err(AuthError::Unauthorized)
        );
        assert_eq!(
            agents.authorize_lookup(token(2), at(9)),
            Err(AuthError::Unauthorized)
        );
    }

    #[test]
    fn a_second_token_is_no_second_allowance() {
        let quota = Quota::new(2, at(30));
        let mut agents = agents(Quota::UNLIMITED, quota);
        agents.issue_token(7, token(1), at(1000), at(0)).unwrap();
        agents.issue_token(7, token(2), at(1000), at(0)).unwrap();
        assert!(agents.authorize_lookup(token(1), at(0)).is_ok());
        assert!(agents.authorize_lookup(token(2), at(0)).is_ok());
        let refused = Err(AuthError::RateLimited(RateLimited(at(30))));
        assert_eq!(agents.authorize_lookup(token(1), at(0)), refused);
        assert_eq!(agents.authorize_lookup(token(2), at(0)), refused);
        assert!(agents.authorize_lookup(token(2), at(30)).is_ok());
    }

    #[test]
    fn the_oldest_of_too_many_tokens_gives_way() {
        let mut agents = agents(Quota::UNLIMITED, Quota::UNLIMITED);
        for number in 0..=MAX_TOKENS_PER_CARD {
            agents
                .issue_token(7, token(number), at(100), at(0))
                .unwrap();
        }
        assert_eq!(
            agents.authorize_lookup(token(0), at(1)),
            Err(AuthError::Unauthorized)
        );
        assert!(agents.authorize_lookup(token(1), at(1)).is_ok());
        assert_eq!(agents.serials.len(), MAX_TOKENS_PER_CARD);
    }

    #[test]
    fn tokens_are_given_out_only_so_often() {
        let mut agents = agents(Quota::new(1, at(6)), Quota::UNLIMITED);
        assert!(agents.issue_token(7, token(1), at(100), at(0)).is_ok());
        assert_eq!(
            agents.issue_token(7, token(2), at(100), at(1)),
            Err(RateLimited(at(5)))
        );
        assert!(agents.issue_token(8, token(3), at(100), at(1)).is_ok());
    }

    #[test]
    fn sweeping_forgets_the_revoked_and_the_expired() {
        let mut agents = agents(Quota::UNLIMITED, Quota::UNLIMITED);
        agents.issue_token(7, token(1), at(10), at(0)).unwrap();
        agents.issue_token(7, token(2), at(20), at(0)).unwrap();
        agents.issue_token(8, token(3), at(20), at(0)).unwrap();
        agents.sweep(
            &Revocations {
                number: 1,
                serials: [8].into(),
            },
            at(10),
        );
        assert_eq!(agents.authorize_lookup(token(2), at(10)), Ok(7));
        assert_eq!(
            agents.authorize_lookup(token(3), at(10)),
            Err(AuthError::Unauthorized)
        );
        assert_eq!((agents.agents.len(), agents.serials.len()), (1, 1));
    }
}
