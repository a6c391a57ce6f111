//! The state that all parts of a running service share: the pure parts, each behind its own lock,
//! and the clock and the randomness for them. No lock is held across an await.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use etatuki_trust::{MAX_VENDOR_KEYS, TicketBearer, TicketError, VendorPublicKey, VerifiedTicket};
use iroh_relay::server::ConnectionId;
use tracing::{debug, warn};

use crate::{
    agents::{AgentQuotas, Agents},
    clock::Clock,
    config::{Config, Limits, StartError},
    directory::{Directory, SessionQuotas},
    endings::Endings,
    key_ring::KeyRing,
    metrics::Metrics,
    rate_limit::{ClientNetwork, KeyedRateLimiter},
    relay_admissions::{EndpointBytes, RelayAdmissions},
    relays::KnownRelays,
    revocations::{RevocationFiles, TrustSnapshot},
    used_challenges::UsedChallenges,
};

/// Networks that each limiter remembers.
const MAX_TRACKED_NETWORKS: usize = 65_536;

/// Endpoints at the relay for each session that may wait: the customer's, and some agents'.
const ENDPOINTS_PER_SESSION: usize = 4;

/// The shared state of a service.
#[derive(Debug)]
pub(crate) struct ServiceState {
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    /// The service's own origin, to which agents' proofs are bound.
    pub(crate) origin: String,
    /// The relays that sessions name.
    pub(crate) relays: KnownRelays,
    pub(crate) metrics: Metrics,
    key_ring_file: Option<PathBuf>,
    keys: Mutex<Arc<KeyRing>>,
    directory: Mutex<Directory>,
    agents: Mutex<Agents>,
    used_challenges: Mutex<UsedChallenges>,
    relay_admissions: Mutex<RelayAdmissions<ConnectionId>>,
    endings: Mutex<Endings>,
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
    pub(crate) fn new(
        config: Config,
        origin: String,
        quic_port: Option<u16>,
    ) -> Result<Self, StartError> {
        let relays = KnownRelays::new(&config, &origin, quic_port)?;
        let Config {
            vendors,
            revocations,
            limits,
            clock,
            key_ring,
            ..
        } = config;
        check_vendors(&vendors)?;
        let mut trust = RevocationFiles::open(revocations, vendors)?;
        trust.log_freshness(clock.unix_time());
        let keys = open_key_ring(key_ring.as_deref())?;
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
            relay_admissions: Mutex::new(RelayAdmissions::new(
                limits.sessions.saturating_mul(ENDPOINTS_PER_SESSION),
            )),
            endings: Mutex::new(Endings::new(limits.sessions)),
            trust: Mutex::new(trust),
            client_limiters: Mutex::new(ClientLimiters::new(&limits)),
            clock,
            limits,
            origin,
            relays,
            metrics: Metrics::new(),
            key_ring_file: key_ring,
            keys: Mutex::new(Arc::new(keys)),
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

    pub(crate) fn relay_admissions(&self) -> MutexGuard<'_, RelayAdmissions<ConnectionId>> {
        lock(&self.relay_admissions)
    }

    pub(crate) fn endings(&self) -> MutexGuard<'_, Endings> {
        lock(&self.endings)
    }

    /// Returns the number of vendor keys, and of those whose revocation list doesn't count.
    pub(crate) fn vendor_keys(&self) -> (usize, usize) {
        let keys = self.trust().vendors.len();
        let without = lock(&self.trust).keys_without_list(self.clock.unix_time());
        (keys, without.len())
    }

    /// Returns the keys that sign, as they are now.
    pub(crate) fn keys(&self) -> Arc<KeyRing> {
        lock(&self.keys).clone()
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

    /// Takes other vendor keys, and reads the revocation lists and the key ring again. Agents of
    /// keys that are gone lose their tokens.
    ///
    /// # Errors
    /// There is no key, or a file is bad; everything stays as it was.
    pub(crate) fn reload(&self, vendors: Vec<VendorPublicKey>) -> Result<(), StartError> {
        check_vendors(&vendors)?;
        let keys = self.key_ring_file.as_deref().map(KeyRing::read);
        let keys = keys.transpose()?;
        let now = self.clock.now();
        let current = {
            let mut files = lock(&self.trust);
            files.reload(vendors)?;
            files.current(now)
        };
        if let Some(keys) = keys {
            *lock(&self.keys) = Arc::new(keys);
        }
        self.agents().sweep(&current, now);
        Ok(())
    }

    /// Issues the first relay ticket of an endpoint.
    pub(crate) fn issue_ticket(&self, endpoint: EndpointBytes, bearer: TicketBearer) -> String {
        let ticket = VerifiedTicket::first(endpoint, bearer, self.clock.unix_time());
        self.keys().sign_ticket(ticket)
    }

    /// Verifies a relay ticket's signature, and that its agent's card is good. The time and the
    /// endpoint are for the caller to check.
    pub(crate) fn verify_ticket(&self, text: &str) -> Result<VerifiedTicket, TicketError> {
        let ticket = self.keys().verify_ticket(text)?;
        match ticket.bearer {
            TicketBearer::Agent(card) if self.trust().is_out(&card) => Err(TicketError::Revoked),
            _ => Ok(ticket),
        }
    }

    /// Returns the endpoint of a ticket that is good now.
    pub(crate) fn ticket_endpoint(&self, text: &str) -> Result<EndpointBytes, TicketError> {
        let ticket = self.verify_ticket(text)?;
        ticket.check_time(self.clock.unix_time())?;
        Ok(ticket.endpoint)
    }

    /// Issues the ticket that follows a good one.
    pub(crate) fn renew_ticket(&self, text: &str) -> Result<String, TicketError> {
        let ticket = self.verify_ticket(text)?;
        let renewed = ticket.renewed(self.clock.unix_time())?;
        self.relay_admissions().renewed(&renewed);
        Ok(self.keys().sign_ticket(renewed))
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
            let mut admissions = self.relay_admissions();
            admissions.sweep(self.clock.unix_time());
            admissions.connection_count()
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

fn open_key_ring(file: Option<&Path>) -> Result<KeyRing, StartError> {
    let seed = random().map_err(StartError::Randomness)?;
    match file {
        Some(file) => KeyRing::open(file, seed),
        None => {
            warn!("no key ring was given: a restart voids waiting codes and relay tickets");
            Ok(KeyRing::in_memory(seed))
        }
    }
}

/// Checks the number of vendor keys.
///
/// # Errors
/// [`StartError::NoVendor`] or [`StartError::TooManyVendors`].
pub(crate) fn check_vendors(vendors: &[VendorPublicKey]) -> Result<(), StartError> {
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
