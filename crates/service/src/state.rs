//! The state that all parts of a running service share: the pure parts, each behind its own lock,
//! and the clock and the randomness for them. No lock is held across an await.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use etatuki_trust::{MAX_VENDOR_KEYS, VendorPublicKey};
use iroh_base::RelayUrl;
use iroh_relay::server::ConnectionId;
use tracing::debug;

use crate::{
    agents::{AgentQuotas, Agents},
    clock::Clock,
    config::{Config, Limits, StartError},
    directory::{Directory, LIFETIME_SECONDS, SessionQuotas},
    rate_limit::{ClientNetwork, KeyedRateLimiter},
    relay_tokens::RelayTokens,
    revocations::{RevocationFiles, TrustSnapshot},
    tokens::{TokenHash, TokenKey, opaque_token},
    used_challenges::UsedChallenges,
};

/// Networks that each limiter remembers.
const MAX_TRACKED_NETWORKS: usize = 65_536;

/// Time within which an agent must connect with a relay token that came with a look-up.
const AGENT_RELAY_TOKEN_LIFETIME: Duration = Duration::from_secs(2 * 60);

/// Relay tokens for each session that may wait: the customer's, and some agents'.
const RELAY_TOKENS_PER_SESSION: usize = 4;

/// The shared state of a service.
#[derive(Debug)]
pub(crate) struct ServiceState {
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    /// The service's own origin, to which agents' proofs are bound.
    pub(crate) origin: String,
    /// The relay's URL: the origin, as iroh writes it.
    pub(crate) relay_url: RelayUrl,
    pub(crate) key: TokenKey,
    directory: Mutex<Directory>,
    agents: Mutex<Agents>,
    used_challenges: Mutex<UsedChallenges>,
    relay_tokens: Mutex<RelayTokens<ConnectionId>>,
    trust: Mutex<RevocationFiles>,
    client_limiters: Mutex<ClientLimiters>,
}

/// The limiters that count per client network.
#[derive(Debug)]
pub(crate) struct ClientLimiters {
    pub(crate) requests: KeyedRateLimiter<ClientNetwork>,
    pub(crate) session_opens: KeyedRateLimiter<ClientNetwork>,
    pub(crate) agent_auth: KeyedRateLimiter<ClientNetwork>,
    pub(crate) lookups: KeyedRateLimiter<ClientNetwork>,
}

impl ServiceState {
    pub(crate) fn new(config: Config, origin: String) -> Result<Self, StartError> {
        let Config {
            vendors,
            revocations,
            limits,
            clock,
            ..
        } = config;
        check_vendors(&vendors)?;
        let mut trust = RevocationFiles::open(revocations, vendors)?;
        trust.log_freshness(clock.unix_time());
        let relay_url = origin.parse().expect("an origin is a URL");
        let key = TokenKey::new(random().map_err(StartError::Randomness)?);
        let session_quotas = SessionQuotas {
            lookups: limits.lookups_per_nameplate,
            address_changes: limits.address_changes,
        };
        let agent_quotas = AgentQuotas {
            tokens: limits.tokens_per_agent,
            lookups: limits.lookups_per_agent,
        };
        Ok(Self {
            directory: Mutex::new(Directory::new(limits.sessions, session_quotas)),
            agents: Mutex::new(Agents::new(agent_quotas)),
            used_challenges: Mutex::default(),
            relay_tokens: Mutex::new(RelayTokens::new(
                limits.sessions.saturating_mul(RELAY_TOKENS_PER_SESSION),
            )),
            trust: Mutex::new(trust),
            client_limiters: Mutex::new(ClientLimiters::new(&limits)),
            clock,
            limits,
            origin,
            relay_url,
            key,
        })
    }

    pub(crate) fn directory(&self) -> MutexGuard<'_, Directory> {
        lock(&self.directory)
    }

    pub(crate) fn agents(&self) -> MutexGuard<'_, Agents> {
        lock(&self.agents)
    }

    pub(crate) fn used_challenges(&self) -> MutexGuard<'_, UsedChallenges> {
        lock(&self.used_challenges)
    }

    pub(crate) fn relay_tokens(&self) -> MutexGuard<'_, RelayTokens<ConnectionId>> {
        lock(&self.relay_tokens)
    }

    pub(crate) fn client_limiters(&self) -> MutexGuard<'_, ClientLimiters> {
        lock(&self.client_limiters)
    }

    /// Returns the vendor keys and their newest revocation lists. When a new list is there, agents
    /// whom it revokes lose their tokens.
    pub(crate) fn trust(&self) -> TrustSnapshot {
        let now = self.clock.now();
        let (current, is_new) = {
            let mut files = lock(&self.trust);
            let before = files.generation();
            let current = files.current(now);
            let is_new = current.generation != before;
            (current, is_new)
        };
        if is_new {
            self.agents().sweep(&current, now);
        }
        current
    }

    /// Takes other vendor keys, and reads the revocation lists again. Agents of keys that are gone
    /// lose their tokens.
    ///
    /// # Errors
    /// There is no key, or a list is bad; everything stays as it was.
    pub(crate) fn reload_trust(&self, vendors: Vec<VendorPublicKey>) -> Result<(), StartError> {
        check_vendors(&vendors)?;
        let now = self.clock.now();
        let current = {
            let mut files = lock(&self.trust);
            files.reload(vendors)?;
            files.current(now)
        };
        self.agents().sweep(&current, now);
        Ok(())
    }

    /// Issues a relay token for a customer, good as long as the session may wait. `None` if there
    /// are too many.
    pub(crate) fn issue_customer_relay_token(&self) -> Option<String> {
        self.issue_relay_token(Duration::from_secs(LIFETIME_SECONDS))
    }

    /// Issues a relay token for an agent who is about to dial. `None` if there are too many.
    pub(crate) fn issue_agent_relay_token(&self) -> Option<String> {
        self.issue_relay_token(AGENT_RELAY_TOKEN_LIFETIME)
    }

    fn issue_relay_token(&self, lifetime: Duration) -> Option<String> {
        let token = opaque_token(random().ok()?);
        let issued = self
            .relay_tokens()
            .issue(TokenHash::of(&token), lifetime, self.clock.now());
        issued.then_some(token)
    }

    /// Removes expired state; to be called every few seconds.
    pub(crate) fn sweep(&self) {
        let now = self.clock.now();
        let waiting = {
            let mut directory = self.directory();
            directory.expire(now);
            directory.len()
        };
        let relayed = {
            let mut tokens = self.relay_tokens();
            tokens.sweep(now);
            tokens.connection_count()
        };
        let trust = self.trust();
        self.agents().sweep(&trust, now);
        lock(&self.trust).log_freshness(self.clock.unix_time());
        debug!(waiting, relayed, "swept");
    }
}

impl ClientLimiters {
    fn new(limits: &Limits) -> Self {
        Self {
            requests: KeyedRateLimiter::new(limits.requests, MAX_TRACKED_NETWORKS),
            session_opens: KeyedRateLimiter::new(limits.session_opens, MAX_TRACKED_NETWORKS),
            agent_auth: KeyedRateLimiter::new(limits.agent_auth, MAX_TRACKED_NETWORKS),
            lookups: KeyedRateLimiter::new(limits.lookups_per_address, MAX_TRACKED_NETWORKS),
        }
    }
}

fn check_vendors(vendors: &[VendorPublicKey]) -> Result<(), StartError> {
    match vendors.len() {
        0 => Err(StartError::NoVendor),
        1..=MAX_VENDOR_KEYS => Ok(()),
        _ => Err(StartError::TooManyVendors),
    }
}

/// Returns randomness from the system, good enough for keys.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Locks `mutex`, also after a panic while it was held: every change is made at once, so the value
/// is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The state as request handlers hold it.
pub(crate) type SharedState = Arc<ServiceState>;
