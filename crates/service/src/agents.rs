//! Agents that have shown their card: their tokens and their look-up quota. Pure: the time is
//! passed in.
//!
//! Quotas count per card, not per token, or a second token would be a second allowance.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use etatuki_trust::CardId;

use crate::{
    rate_limit::{Gcra, Quota, RateLimited},
    revocations::TrustSnapshot,
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

/// Every agent with a good token, by the card.
#[derive(Debug)]
pub(crate) struct Agents {
    agents: HashMap<CardId, Agent>,
    cards: HashMap<TokenHash, CardId>,
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
            cards: HashMap::new(),
            quotas,
        }
    }

    /// Makes `token` good for `card` until `expires`.
    pub(crate) fn issue_token(
        &mut self,
        card: CardId,
        token: TokenHash,
        expires: Duration,
        now: Duration,
    ) -> Result<(), RateLimited> {
        let agent = self.agents.entry(card).or_default();
        agent.issued_tokens.try_acquire(self.quotas.tokens, now)?;
        if agent.tokens.len() >= MAX_TOKENS_PER_CARD
            && let Some((_, oldest)) = agent.tokens.pop_front()
        {
            self.cards.remove(&oldest);
        }
        agent.tokens.push_back((expires, token));
        self.cards.insert(token, card);
        Ok(())
    }

    /// Counts one look-up and returns the card that `token` was issued for.
    pub(crate) fn authorize_lookup(
        &mut self,
        token: TokenHash,
        now: Duration,
    ) -> Result<CardId, AuthError> {
        let card = *self.cards.get(&token).ok_or(AuthError::Unauthorized)?;
        let agent = self.agents.get_mut(&card).ok_or(AuthError::Unauthorized)?;
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
        Ok(card)
    }

    /// Forgets tokens that have expired by `now`, and those of cards that are revoked or of a
    /// vendor key that isn't known any more.
    pub(crate) fn sweep(&mut self, trust: &TrustSnapshot, now: Duration) {
        let Self { agents, cards, .. } = self;
        agents.retain(|card, agent| {
            if trust.is_out(card) {
                agent.tokens.clear();
            }
            agent.tokens.retain(|(expires, _)| now < *expires);
            !agent.tokens.is_empty()
        });
        cards.retain(|token, card| {
            let agent = agents.get(card);
            agent.is_some_and(|agent| agent.tokens.iter().any(|(_, hash)| hash == token))
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use etatuki_trust::{
        RevocationList, Revocations, SignedRevocations, StaleRevocations, UnixTime, VendorKey,
    };

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

    fn vendor() -> VendorKey {
        VendorKey::from_seed([1; 32])
    }

    fn card(serial: u64) -> CardId {
        CardId {
            vendor: vendor().public(),
            serial,
        }
    }

    /// Returns the vendor's key, and its list of these serials.
    fn revoked(serials: &[u64]) -> TrustSnapshot {
        let list = RevocationList {
            number: 1,
            until: UnixTime(u64::MAX),
            serials: serials.iter().copied().collect(),
        };
        let vendors = [vendor().public()];
        let signed = SignedRevocations::sign(&vendor(), list).unwrap();
        let mut revoked = Revocations::new(StaleRevocations::Refuse);
        revoked.advance(signed.verify(&vendors).unwrap()).unwrap();
        TrustSnapshot {
            vendors: vendors.into(),
            revoked: Arc::new(revoked),
            text: None,
            generation: 1,
        }
    }

    #[test]
    fn a_token_is_good_until_it_expires() {
        let mut agents = agents(Quota::UNLIMITED, Quota::UNLIMITED);
        agents
            .issue_token(card(7), token(1), at(10), at(0))
            .unwrap();
        assert_eq!(agents.authorize_lookup(token(1), at(9)), Ok(card(7)));
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
        agents
            .issue_token(card(7), token(1), at(1000), at(0))
            .unwrap();
        agents
            .issue_token(card(7), token(2), at(1000), at(0))
            .unwrap();
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
                .issue_token(card(7), token(number), at(100), at(0))
                .unwrap();
        }
        assert_eq!(
            agents.authorize_lookup(token(0), at(1)),
            Err(AuthError::Unauthorized)
        );
        assert!(agents.authorize_lookup(token(1), at(1)).is_ok());
        assert_eq!(agents.cards.len(), MAX_TOKENS_PER_CARD);
    }

    #[test]
    fn tokens_are_given_out_only_so_often() {
        let mut agents = agents(Quota::new(1, at(6)), Quota::UNLIMITED);
        assert!(
            agents
                .issue_token(card(7), token(1), at(100), at(0))
                .is_ok()
        );
        assert_eq!(
            agents.issue_token(card(7), token(2), at(100), at(1)),
            Err(RateLimited(at(5)))
        );
        assert!(
            agents
                .issue_token(card(8), token(3), at(100), at(1))
                .is_ok()
        );
    }

    #[test]
    fn sweeping_forgets_the_revoked_and_the_expired() {
        let mut agents = agents(Quota::UNLIMITED, Quota::UNLIMITED);
        agents
            .issue_token(card(7), token(1), at(10), at(0))
            .unwrap();
        agents
            .issue_token(card(7), token(2), at(20), at(0))
            .unwrap();
        agents
            .issue_token(card(8), token(3), at(20), at(0))
            .unwrap();
        agents.sweep(&revoked(&[8]), at(10));
        assert_eq!(agents.authorize_lookup(token(2), at(10)), Ok(card(7)));
        assert_eq!(
            agents.authorize_lookup(token(3), at(10)),
            Err(AuthError::Unauthorized)
        );
        assert_eq!((agents.agents.len(), agents.cards.len()), (1, 1));
    }

    #[test]
    fn cards_of_two_keys_with_one_serial_are_two_cards() {
        let mut agents = agents(Quota::new(1, at(60)), Quota::UNLIMITED);
        let other = CardId {
            vendor: VendorKey::from_seed([9; 32]).public(),
            serial: 7,
        };
        agents
            .issue_token(card(7), token(1), at(100), at(0))
            .unwrap();
        agents.issue_token(other, token(2), at(100), at(0)).unwrap();
        let mut trust = revoked(&[7]);
        trust.vendors = [vendor().public(), other.vendor].into();
        agents.sweep(&trust, at(1));
        assert_eq!(
            agents.authorize_lookup(token(1), at(1)),
            Err(AuthError::Unauthorized)
        );
        assert_eq!(agents.authorize_lookup(token(2), at(1)), Ok(other));
        // A key that the service doesn't know any more takes its agents with it.
        trust.vendors = [vendor().public()].into();
        agents.sweep(&trust, at(2));
        assert_eq!(
            agents.authorize_lookup(token(2), at(2)),
            Err(AuthError::Unauthorized)
        );
    }
}
