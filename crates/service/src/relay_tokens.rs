//! Who may use the relay: a pass for every relay token. Pure: the time is passed in.
//!
//! A pass is good for its first while; then for as long as something is connected with it, and for five
//! minutes after, so that a dropped link can come back; but a day at most. So a token that leaks is soon
//! worth nothing, and a long session isn't cut.

use std::{collections::HashMap, hash::Hash, time::Duration};

use crate::tokens::TokenHash;

/// How long a pass is good after the last connection with it ended.
const RECONNECT_WINDOW: Duration = Duration::from_secs(5 * 60);

/// How long a pass is good at most.
const MAX_TOKEN_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// How many connections one pass admits at a time: one, and those that a broken network left behind.
const MAX_CONNECTIONS_PER_TOKEN: u8 = 4;

/// Every pass; `C` names a connection.
#[derive(Debug)]
pub(crate) struct RelayTokens<C> {
    passes: HashMap<TokenHash, RelayToken>,
    connections: HashMap<C, TokenHash>,
    most: usize,
}

#[derive(Debug)]
struct RelayToken {
    good_until: Duration,
    at_most_until: Duration,
    connected: u8,
}

impl RelayToken {
    fn is_good(&self, now: Duration) -> bool {
        (now < self.good_until || self.connected > 0) && now < self.at_most_until
    }
}

impl<C: Eq + Hash> RelayTokens<C> {
    /// Room for `most` passes.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            passes: HashMap::new(),
            connections: HashMap::new(),
            most,
        }
    }

    /// Gives out a pass whose first while is `good_for`; `false` if there is no room.
    #[must_use]
    pub(crate) fn give(&mut self, token: TokenHash, good_for: Duration, now: Duration) -> bool {
        if self.passes.len() >= self.most {
            return false;
        }
        let pass = RelayToken {
            good_until: now + good_for,
            at_most_until: now + MAX_TOKEN_AGE,
            connected: 0,
        };
        self.passes.insert(token, pass);
        true
    }

    /// Whether the bearer of `token` may connect; if so, `connection` counts until it [ends](Self::end).
    pub(crate) fn admit(&mut self, token: TokenHash, connection: C, now: Duration) -> bool {
        let pass = self.passes.get_mut(&token).filter(|pass| pass.is_good(now));
        let Some(pass) = pass.filter(|pass| pass.connected < MAX_CONNECTIONS_PER_TOKEN) else {
            return false;
        };
        pass.connected += 1;
        self.connections.insert(connection, token);
        true
    }

    /// A connection that was admitted has ended.
    pub(crate) fn end(&mut self, connection: &C, now: Duration) {
        let token = self.connections.remove(connection);
        if let Some(pass) = token.and_then(|token| self.passes.get_mut(&token)) {
            pass.connected = pass.connected.saturating_sub(1);
            pass.good_until = pass.good_until.max(now + RECONNECT_WINDOW);
        }
    }

    /// Forgets passes that are over by `now`.
    pub(crate) fn sweep(&mut self, now: Duration) {
        self.passes.retain(|_, pass| pass.is_good(now));
    }

    /// How many connections there are.
    pub(crate) fn connected(&self) -> usize {
        self.connections.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn passes() -> (RelayTokens<u32>, TokenHash) {
        let mut passes = RelayTokens::new(10);
        let token = TokenHash::of("token");
        assert!(passes.give(token, at(120), at(0)));
        (passes, token)
    }

    #[test]
    fn a_pass_is_good_for_its_first_while() {
        let (mut passes, token) = passes();
        assert!(!passes.admit(TokenHash::of("other"), 1, at(0)));
        assert!(passes.admit(token, 1, at(119)));
        let (mut passes, token) = self::passes();
        assert!(!passes.admit(token, 1, at(120)));
    }

    #[test]
    fn a_link_that_dropped_can_come_back() {
        let (mut passes, token) = passes();
        assert!(passes.admit(token, 1, at(0)));
        passes.sweep(at(5000));
        assert!(passes.admit(token, 2, at(5000)), "connected, so still good");
        passes.end(&1, at(5000));
        passes.end(&2, at(6000));
        assert!(passes.admit(token, 3, at(6299)));
        passes.end(&3, at(6299));
        passes.sweep(at(6600));
        assert!(!passes.admit(token, 4, at(6600)));
        assert_eq!((passes.passes.len(), passes.connected()), (0, 0));
    }

    #[test]
    fn no_pass_is_good_for_longer_than_a_day() {
        let (mut passes, token) = passes();
        assert!(passes.admit(token, 1, at(0)));
        assert!(!passes.admit(token, 2, MAX_TOKEN_AGE));
        passes.sweep(MAX_TOKEN_AGE);
        // The connection that is up stays up, and its end does no harm.
        passes.end(&1, MAX_TOKEN_AGE + at(1));
        assert_eq!(passes.connected(), 0);
    }

    #[test]
    fn one_pass_is_not_for_everybody() {
        let (mut passes, token) = passes();
        for connection in 0..u32::from(MAX_CONNECTIONS_PER_TOKEN) {
            assert!(passes.admit(token, connection, at(0)));
        }
        assert!(!passes.admit(token, 100, at(0)));
        passes.end(&0, at(1));
        assert!(passes.admit(token, 100, at(1)));
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut passes = RelayTokens::<u32>::new(2);
        assert!(passes.give(TokenHash::of("1"), at(10), at(0)));
        assert!(passes.give(TokenHash::of("2"), at(10), at(0)));
        assert!(!passes.give(TokenHash::of("3"), at(10), at(0)));
        passes.sweep(at(10));
        assert!(passes.give(TokenHash::of("3"), at(10), at(10)));
    }
}
