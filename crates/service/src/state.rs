//! Everything that the parts of a running service share: the pure pieces, each behind its own lock, and
//! the clock and randomness that they are fed with. No lock is held over anything that waits.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use etatuki_trust::VendorPublicKey;
use iroh_base::RelayUrl;
use iroh_relay::server::ConnectionId;
use tracing::debug;

use crate::{
    agents::{AgentQuotas, Agents, UsedChallenges},
    clock::Clock,
    config::{Config, Limits, StartError},
    directory::{Directory, LIFETIME_SECONDS, SessionQuotas},
    rate_limit::{ClientNetwork, KeyedRateLimiter},
    relay_tokens::RelayTokens,
    revocations::{RevocationFile, RevocationSnapshot},
    tokens::{TokenHash, TokenKey, opaque},
};

/// How many addresses each limit remembers.
const MAX_TRACKED_NETWORKS: usize = 65_536;

/// How long a relay token given with a look-up waits for its first connection.
const AGENT_RELAY_TOKEN_LIFETIME: Duration = Duration::from_secs(2 * 60);

/// How many passes there may be for each session that may wait: the customer's, and some agents'.
const RELAY_TOKENS_PER_SESSION: usize = 4;

/// What the parts of a service share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    /// What agents' proofs are bound to.
    pub(crate) origin: String,
    /// Where clients find the relay: the origin, as iroh writes it.
    pub(crate) relay_url: RelayUrl,
    pub(crate) vendors: Vec<VendorPublicKey>,
    pub(crate) key: TokenKey,
    directory: Mutex<Directory>,
    agents: Mutex<Agents>,
    answered: Mutex<UsedChallenges>,
    passes: Mutex<RelayTokens<ConnectionId>>,
    revocations: Mutex<RevocationFile>,
    client_limiters: Mutex<ClientLimiters>,
}

/// What is counted per address.
#[derive(Debug)]
pub(crate) struct ClientLimiters {
    pub(crate) requests: KeyedRateLimiter<ClientNetwork>,
    pub(crate) opening: KeyedRateLimiter<ClientNetwork>,
    pub(crate) proving: KeyedRateLimiter<ClientNetwork>,
    pub(crate) lookups: KeyedRateLimiter<ClientNetwork>,
}

impl State {
    pub(crate) fn new(config: Config, origin: String) -> Result<Self, StartError> {
        let Config {
            vendors,
            revocations,
            limits,
            clock,
            ..
        } = config;
        if vendors.is_empty() {
            return Err(StartError::NoVendor);
        }
        let relay_url = origin.parse().expect("an origin is a URL");
        let key = TokenKey::new(random().map_err(StartError::Randomness)?);
        let rates = SessionQuotas {
            lookups: limits.lookups_per_nameplate,
            addresses: limits.address_changes,
        };
        let agent_rates = AgentQuotas {
            tokens: limits.tokens_per_agent,
            lookups: limits.lookups_per_agent,
        };
        Ok(Self {
            directory: Mutex::new(Directory::new(limits.sessions, rates)),
            agents: Mutex::new(Agents::new(agent_rates)),
            answered: Mutex::default(),
            passes: Mutex::new(RelayTokens::new(
                limits.sessions.saturating_mul(RELAY_TOKENS_PER_SESSION),
            )),
            revocations: Mutex::new(RevocationFile::open(revocations, vendors.clone())?),
            client_limiters: Mutex::new(ClientLimiters::new(&limits)),
            clock,
            limits,
            origin,
            relay_url,
            vendors,
            key,
        })
    }

    pub(crate) fn directory(&self) -> MutexGuard<'_, Directory> {
        lock(&self.directory)
    }

    pub(crate) fn agents(&self) -> MutexGuard<'_, Agents> {
        lock(&self.agents)
    }

    pub(crate) fn answered(&self) -> MutexGuard<'_, UsedChallenges> {
        lock(&self.answered)
    }

    pub(crate) fn passes(&self) -> MutexGuard<'_, RelayTokens<ConnectionId>> {
        lock(&self.passes)
    }

    pub(crate) fn client_limiters(&self) -> MutexGuard<'_, ClientLimiters> {
        lock(&self.client_limiters)
    }

    /// The newest revocation list; agents whom it revokes lose their tokens with it.
    pub(crate) fn revocations(&self) -> RevocationSnapshot {
        let now = self.clock.now();
        let (newest, is_new) = {
            let mut file = lock(&self.revocations);
            let before = file.number();
            let newest = file.newest(now);
            let is_new = newest.list.number != before;
            (newest, is_new)
        };
        if is_new {
            self.agents().sweep(&newest.list, now);
        }
        newest
    }

    /// A relay token for a customer: good as long as the session may wait.
    pub(crate) fn issue_customer_relay_token(&self) -> Option<String> {
        self.pass(Duration::from_secs(LIFETIME_SECONDS))
    }

    /// A relay token for an agent who is about to dial.
    pub(crate) fn issue_agent_relay_token(&self) -> Option<String> {
        self.pass(AGENT_RELAY_TOKEN_LIFETIME)
    }

    fn pass(&self, good_for: Duration) -> Option<String> {
        let token = opaque(random().ok()?);
        let given = self
            .passes()
            .give(TokenHash::of(&token), good_for, self.clock.now());
        given.then_some(token)
    }

    /// Forgets what is over: every few seconds is often enough.
    pub(crate) fn sweep(&self) {
        let now = self.clock.now();
        let waiting = {
            let mut directory = self.directory();
            directory.expire(now);
            directory.len()
        };
        let relayed = {
            let mut passes = self.passes();
            passes.sweep(now);
            passes.connected()
        };
        let revoked = self.revocations().list;
        self.agents().sweep(&revoked, now);
        debug!(waiting, relayed, "swept");
    }
}

impl ClientLimiters {
    fn new(limits: &Limits) -> Self {
        Self {
            requests: KeyedRateLimiter::new(limits.requests, MAX_TRACKED_NETWORKS),
            opening: KeyedRateLimiter::new(limits.opening, MAX_TRACKED_NETWORKS),
            proving: KeyedRateLimiter::new(limits.proving, MAX_TRACKED_NETWORKS),
            lookups: KeyedRateLimiter::new(limits.lookups_per_address, MAX_TRACKED_NETWORKS),
        }
    }
}

/// Good randomness from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// A panic while a lock was held leaves whole values behind: every change is made at once.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What handlers hold.
pub(crate) type SharedState = Arc<State>;
