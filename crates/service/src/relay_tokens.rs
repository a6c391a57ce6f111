//! Relay tokens: they decide who may use the relay. Pure: the time is passed in.
//!
//! A token is good for the lifetime it was issued with; then for as long as a connection made with
//! it is up, and five minutes after, so that a dropped link can come back; but at most a day. So a
//! token that leaks is soon worth nothing, and a long session isn't cut.

use std::{collections::HashMap, hash::Hash, time::Duration};

use crate::tokens::TokenHash;

/// Time for which a token stays good after its last connection has ended.
const RECONNECT_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Longest life of a token.
const MAX_TOKEN_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Connections that one token admits at a time: one, and those that a broken network left behind.
const MAX_CONNECTIONS_PER_TOKEN: u8 = 4;

/// Every relay token; `C` identifies a connection.
#[derive(Debug)]
pub(crate) struct RelayTokens<C> {
    tokens: HashMap<TokenHash, RelayToken>,
    connections: HashMap<C, TokenHash>,
    capacity: usize,
}

#[derive(Debug)]
struct RelayToken {
    /// End of its life if nothing is connected.
    expires: Duration,
    /// End of its life even if something is connected.
    hard_expiry: Duration,
    connections: u8,
}

impl RelayToken {
    fn is_good(&self, now: Duration) -> bool {
        (now < self.expires || self.connections > 0) && now < self.hard_expiry
    }
}

impl<C: Eq + Hash> RelayTokens<C> {
    /// Returns an empty table of at most `capacity` tokens.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            tokens: HashMap::new(),
            connections: HashMap::new(),
            capacity,
        }
    }

    /// Makes `token` good for `lifetime`; returns `false` if the table is full.
    #[must_use]
    pub(crate) fn issue(&mut self, token: TokenHash, lifetime: Duration, now: Duration) -> bool {
        if self.tokens.len() >= self.capacity {
            return false;
        }
        let issued = RelayToken {
            expires: now + lifetime,
            hard_expiry: now + MAX_TOKEN_AGE,
            connections: 0,
        };
        self.tokens.insert(token, issued);
        true
    }

    /// Returns whether the bearer of `token` may connect; if so, `connection` counts until
    /// [`disconnect`](Self::disconnect).
    pub(crate) fn connect(&mut self, token: TokenHash, connection: C, now: Duration) -> bool {
        let issued = self.tokens.get_mut(&token);
        let Some(issued) = issued
            .filter(|issued| issued.is_good(now) && issued.connections < MAX_CONNECTIONS_PER_TOKEN)
        else {
            return false;
        };
        issued.connections += 1;
        self.connections.insert(connection, token);
        true
    }

    /// Stops counting an admitted connection, which has ended.
    pub(crate) fn disconnect(&mut self, connection: &C, now: Duration) {
        let token = self.connections.remove(connection);
        if let Some(issued) = token.and_then(|token| self.tokens.get_mut(&token)) {
            issued.connections = issued.connections.saturating_sub(1);
            issued.expires = issued.expires.max(now + RECONNECT_WINDOW);
        }
    }

    /// Forgets tokens that have expired by `now`.
    pub(crate) fn sweep(&mut self, now: Duration) {
        self.tokens.retain(|_, issued| issued.is_good(now));
    }

    /// Returns the number of connections.
    pub(crate) fn connection_count(&self) -> usize {
        self.connections.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn tokens() -> (RelayTokens<u32>, TokenHash) {
        let mut tokens = RelayTokens::new(10);
        let token = TokenHash::of("token");
        assert!(tokens.issue(token, at(120), at(0)));
        (tokens, token)
    }

    #[test]
    fn a_token_is_good_for_its_first_while() {
        let (mut tokens, token) = tokens();
        assert!(!tokens.connect(TokenHash::of("other"), 1, at(0)));
        assert!(tokens.connect(token, 1, at(119)));
        let (mut tokens, token) = self::tokens();
        assert!(!tokens.connect(token, 1, at(120)));
    }

    #[test]
    fn a_link_that_dropped_can_come_back() {
        let (mut tokens, token) = tokens();
        assert!(tokens.connect(token, 1, at(0)));
        tokens.sweep(at(5000));
        assert!(
            tokens.connect(token, 2, at(5000)),
            "connected, so still good"
        );
        tokens.disconnect(&1, at(5000));
        tokens.disconnect(&2, at(6000));
        assert!(tokens.connect(token, 3, at(6299)));
        tokens.disconnect(&3, at(6299));
        tokens.sweep(at(6600));
        assert!(!tokens.connect(token, 4, at(6600)));
        assert_eq!((tokens.tokens.len(), tokens.connection_count()), (0, 0));
    }

    #[test]
    fn no_token_is_good_for_longer_than_a_day() {
        let (mut tokens, token) = tokens();
        assert!(tokens.connect(token, 1, at(0)));
        assert!(!tokens.connect(token, 2, MAX_TOKEN_AGE));
        tokens.sweep(MAX_TOKEN_AGE);
        // The connection that is up stays up, and its end does no harm.
        tokens.disconnect(&1, MAX_TOKEN_AGE + at(1));
        assert_eq!(tokens.connection_count(), 0);
    }

    #[test]
    fn one_token_is_not_for_everybody() {
        let (mut tokens, token) = tokens();
        for connection in 0..u32::from(MAX_CONNECTIONS_PER_TOKEN) {
            assert!(tokens.connect(token, connection, at(0)));
        }
        assert!(!tokens.connect(token, 100, at(0)));
        tokens.disconnect(&0, at(1));
        assert!(tokens.connect(token, 100, at(1)));
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut tokens = RelayTokens::<u32>::new(2);
        assert!(tokens.issue(TokenHash::of("1"), at(10), at(0)));
        assert!(tokens.issue(TokenHash::of("2"), at(10), at(0)));
        assert!(!tokens.issue(TokenHash::of("3"), at(10), at(0)));
        tokens.sweep(at(10));
        assert!(tokens.issue(TokenHash::of("3"), at(10), at(10)));
    }
}
