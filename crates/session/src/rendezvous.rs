//! The rendezvous of one code: a nameplate of the service's, a secret made here, and the endpoint
//! that agents dial. A fresh code is a fresh rendezvous.

use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use etatuki_link::{AcceptParams, Attempt, CustomerEndpoint, EndpointKey, RelayAccess, RelayRoute};
use etatuki_session_core::service_health::{NameplateStatus, ServiceChange, ServiceHealth};
use etatuki_session_core::{Failure, FailureName};
use etatuki_trust::{
    CodeForm, LinkCredentials, Nameplate, SessionCode, ShownCode, StaleRevocations, UnixTime,
    VendorPublicKey,
};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::config::ComeBack;
use crate::endings::Endings;
use crate::fresh_revocations::FreshRevocations;
use crate::revocations;
use crate::service_client::{self, Claim, ServiceClient, ServiceError};

/// Interval at which the endpoint's address is compared with the published one, and the relay's
/// connection is looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two tries to come back after a restart.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Parameters of a rendezvous.
#[derive(Clone, Debug)]
pub(crate) struct RendezvousConfig {
    /// URL of the service.
    pub(crate) service: String,
    /// Form of the code.
    pub(crate) form: CodeForm,
    /// Keys that may have signed an agent's card.
    pub(crate) vendors: Vec<VendorPublicKey>,
    /// File of the newest revocation lists; `None` keeps none.
    pub(crate) revocations: Option<PathBuf>,
    /// Meaning of a revocation list that is missing or outdated.
    pub(crate) stale_revocations: StaleRevocations,
    /// The link of a process before a restart of the machine, which goes on here.
    pub(crate) come_back: Option<ComeBack>,
}

/// An event at the rendezvous.
pub(crate) enum RendezvousEvent {
    /// The rendezvous is open, and this is its code; or it couldn't be opened.
    Opened(Result<Zeroizing<String>, Failure>),
    /// Somebody tried the code.
    Attempt(Attempt),
    /// The service's health changed.
    Service(ServiceChange),
    /// The endpoint has another address from now on; while a link can be resumed.
    AddressChanged(Value),
    /// The agent's end has left while the link was interrupted.
    PeerLeft,
}

/// Attempts that an open rendezvous takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepts {
    /// None.
    Nothing,
    /// The next one with the code.
    Code,
    /// All by the agent of the link, to resume it.
    Resume,
}

type RendezvousFuture = Pin<Box<dyn Future<Output = Result<Rendezvous, Failure>> + Send>>;

/// The place of a session's rendezvous: empty, being opened, or open.
#[derive(Default)]
pub(crate) enum RendezvousSlot {
    /// There is no rendezvous.
    #[default]
    Empty,
    /// A nameplate is being fetched.
    Pending(RendezvousFuture),
    /// The code can be tried, by one agent after [`accept_attempt`](Self::accept_attempt).
    Open {
        /// The rendezvous.
        rendezvous: Box<Rendezvous>,
        /// Attempts that are taken.
        accepts: Accepts,
    },
}

impl RendezvousSlot {
    /// Begins to open a rendezvous; [`RendezvousEvent::Opened`] follows.
    pub(crate) fn open(&mut self, config: RendezvousConfig) {
        *self = Self::Pending(Box::pin(Rendezvous::open(config)));
    }

    /// Takes one attempt with the present code; [`RendezvousEvent::Attempt`] follows.
    pub(crate) fn accept_attempt(&mut self) {
        if let Self::Open { accepts, .. } = self {
            *accepts = Accepts::Code;
        }
    }

    /// Takes every attempt to resume the link from now on; [`RendezvousEvent::Attempt`] follows
    /// each.
    pub(crate) fn accept_resume(&mut self) {
        if let Self::Open { accepts, .. } = self {
            *accepts = Accepts::Resume;
        }
    }

    /// Notes that the link is interrupted: the relay is connected anew, and the agent will be judged by
    /// fresh revocation lists.
    pub(crate) fn link_interrupted(&mut self) {
        if let Self::Open { rendezvous, .. } = self {
            rendezvous.revocations.link_interrupted();
            rendezvous.endpoint.link_interrupted();
            rendezvous.endings.link_interrupted();
        }
    }

    /// Notes that the link is resumed. Returns the endpoint's address, which the agent's end may
    /// have missed.
    pub(crate) fn link_resumed(&mut self) -> Option<Value> {
        let Self::Open { rendezvous, .. } = self else {
            return None;
        };
        rendezvous.revocations.link_resumed();
        rendezvous.endings.link_resumed();
        rendezvous.published = rendezvous.endpoint.address();
        Some(rendezvous.published.clone())
    }

    /// Notes that this end leaves, for the reason of this name.
    pub(crate) fn leave(&mut self, reason: &str) {
        if let Self::Open { rendezvous, .. } = self {
            rendezvous.endings.leave(&rendezvous.endpoint, reason);
        }
    }

    /// Returns what a later process needs to resume the link; `None` while a resume isn't complete.
    pub(crate) fn credentials(&self) -> Option<LinkCredentials> {
        let Self::Open { rendezvous, .. } = self else {
            return None;
        };
        // Nobody else waits for the endpoint meanwhile.
        let credentials = pin!(rendezvous.endpoint.credentials());
        match credentials.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(credentials) => credentials,
            Poll::Pending => None,
        }
    }

    /// Returns the code, to be shown.
    pub(crate) fn shown_code(&self) -> Option<ShownCode> {
        match self {
            Self::Open { rendezvous, .. } => Some(rendezvous.accept_params.code.shown()),
            Self::Empty | Self::Pending(_) => None,
        }
    }

    /// Returns the time by the service's clock, if the service has told it.
    pub(crate) fn service_time(&self) -> Option<UnixTime> {
        match self {
            Self::Open { rendezvous, .. } => rendezvous.service.time(),
            Self::Empty | Self::Pending(_) => None,
        }
    }

    /// Returns whether the revocation list of one of the vendor's keys is missing or outdated, so
    /// that a revoked agent could be let in.
    pub(crate) fn has_stale_revocations(&self) -> bool {
        let Self::Open { rendezvous, .. } = self else {
            return false;
        };
        let AcceptParams {
            vendors, revoked, ..
        } = &rendezvous.accept_params;
        let now = revocations::unix_time();
        vendors
            .iter()
            .any(|vendor| !revoked.is_current(vendor, now) && !revoked.refuses_all(vendor, now))
    }

    /// Waits for the next event. Events of an open rendezvous come only while an attempt is
    /// accepted. Cancel safe.
    pub(crate) async fn next(&mut self) -> RendezvousEvent {
        match self {
            Self::Pending(opening) => {
                let opened = opening.await;
                *self = Self::Empty;
                RendezvousEvent::Opened(opened.map(|rendezvous| {
                    let code = rendezvous.accept_params.code.to_plain();
                    *self = Self::Open {
                        rendezvous: Box::new(rendezvous),
                        accepts: Accepts::Nothing,
                    };
                    code
                }))
            }
            Self::Open {
                rendezvous,
                accepts,
            } => match *accepts {
                Accepts::Nothing => std::future::pending().await,
                Accepts::Code => {
                    let event = rendezvous.next().await;
                    if matches!(event, RendezvousEvent::Attempt(_)) {
                        *accepts = Accepts::Nothing;
                    }
                    event
                }
                Accepts::Resume => rendezvous.next_resume().await,
            },
            Self::Empty => std::future::pending().await,
        }
    }

    /// Gives the nameplate back; the rendezvous itself stays open. The future has a time-out.
    pub(crate) fn release_nameplate(&mut self) -> impl Future<Output = ()> + Send + 'static {
        let release = match self {
            Self::Open { rendezvous, .. } => Some(rendezvous.release()),
            Self::Empty | Self::Pending(_) => None,
        };
        async move {
            if let Some(release) = release {
                release.await;
            }
        }
    }

    /// Empties the slot. The future gives the nameplate back, also one that is still being fetched,
    /// and closes the endpoint with every link of it.
    pub(crate) fn close(&mut self) -> impl Future<Output = ()> + Send + 'static {
        let closing = std::mem::take(self);
        async move {
            match closing {
                Self::Empty => {}
                Self::Pending(opening) => {
                    if let Ok(rendezvous) = opening.await {
                        rendezvous.close().await;
                    }
                }
                Self::Open { rendezvous, .. } => rendezvous.close().await,
            }
        }
    }
}

/// One code, open to agents.
pub(crate) struct Rendezvous {
    service: ServiceClient,
    /// The nameplate, until it was given back.
    claim: Option<Claim>,
    endpoint: CustomerEndpoint,
    accept_params: AcceptParams,
    /// The lists by which an agent who resumes the link is judged.
    revocations: FreshRevocations,
    endings: Endings,
    /// The endpoint's address as it was last sent to the service.
    published: Value,
    /// Whether the service hasn't confirmed that address.
    needs_publishing: bool,
    opened: Instant,
    next_check: Instant,
    health: ServiceHealth,
    /// Connects to the relay when the address was last published. A service that was away for a
    /// moment has forgotten the nameplate, and restores it when it is told the address again.
    relay_connects: u64,
    /// A call that publishes the address. Its answer also says whether the service knows the
    /// nameplate.
    publishing: Option<JoinHandle<Result<(), ServiceError>>>,
}

impl Rendezvous {
    /// Fetches a nameplate and the revocations, mints the secret, opens the endpoint and publishes
    /// its address. Every step has a time-out.
    async fn open(config: RendezvousConfig) -> Result<Self, Failure> {
        let limit = config.come_back.as_ref().map(|come_back| come_back.limit);
        let give_up = Instant::now() + limit.unwrap_or_default();
        loop {
            match Self::try_open(&config).await {
                // The desktop starts us before the network is up.
                Err(failure) if Instant::now() + RETRY_INTERVAL < give_up => {
                    tracing::info!(name = failure.name.as_str(), "not back yet");
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                opened => return opened,
            }
        }
    }

    async fn try_open(config: &RendezvousConfig) -> Result<Self, Failure> {
        let network = service_client::network().await?;
        let service = ServiceClient::new(&config.service, network)?;
        let key = match &config.come_back {
            Some(come_back) => EndpointKey::restored(&come_back.link),
            None => EndpointKey::generate(),
        };
        let claiming = service.claim(config.form, &key);
        let (claimed, list) = tokio::join!(claiming, service.revocations());
        let (claim, relay) = claimed?;
        let opened = Self::open_claimed(config, &service, &claim, (key, relay), list).await;
        if opened.is_err() {
            let _ = service.release(&claim).await;
        }
        opened
    }

    /// Opens the rendezvous behind a nameplate. On an error the caller gives the nameplate back.
    async fn open_claimed(
        config: &RendezvousConfig,
        service: &ServiceClient,
        claim: &Claim,
        (key, relay): (EndpointKey, RelayAccess),
        list: Result<Option<String>, ServiceError>,
    ) -> Result<Self, Failure> {
        let revoked = revocations::newest(
            config.revocations.as_deref(),
            list?.as_deref(),
            &config.vendors,
            config.stale_revocations,
        );
        revocations::check_freshness(&config.vendors, &revoked, service.time())?;
        let code = mint_code(claim.nameplate)?;
        let route = RelayRoute {
            relay: &relay,
            network: service.network(),
        };
        let bound = match &config.come_back {
            Some(come_back) => CustomerEndpoint::bind_again(Some(route), &come_back.link).await,
            None => CustomerEndpoint::bind_as(&key, Some(route)).await,
        };
        let endpoint =
            bound.map_err(|error| Failure::new(FailureName::LinkFailed, error.to_string()))?;
        let published = endpoint.address();
        service.publish(claim, &published).await?;
        let accept_params = AcceptParams {
            code,
            vendors: config.vendors.clone(),
            revoked,
        };
        endpoint.keep_ticket(&relay, service.clone());
        let revocations = FreshRevocations::new(
            &accept_params,
            service.clone(),
            config.revocations.clone(),
            config.stale_revocations,
        );
        let now = Instant::now();
        Ok(Self {
            service: service.clone(),
            claim: Some(claim.clone()),
            endpoint,
            accept_params,
            revocations,
            endings: Endings::new(service.clone()),
            published,
            needs_publishing: false,
            opened: now,
            next_check: now + CHECK_INTERVAL,
            health: ServiceHealth::default(),
            relay_connects: 0,
            publishing: None,
        })
    }

    /// Waits for an attempt or for a change of the service's health; meanwhile publishes every
    /// change of the endpoint's address. Cancel safe.
    async fn next(&mut self) -> RendezvousEvent {
        loop {
            let attempt = self.endpoint.accept(&self.accept_params);
            if let Ok(attempt) = tokio::time::timeout_at(self.next_check, attempt).await {
                return RendezvousEvent::Attempt(attempt);
            }
            self.next_check = Instant::now() + CHECK_INTERVAL;
            self.endpoint.look_after_relay().await;
            let address = self.endpoint.address();
            if address != self.published {
                self.published = address;
                self.needs_publishing = true;
            }
            let connects = self.endpoint.relay_connects();
            if connects != self.relay_connects {
                // The first connect tells nothing: the address was published a moment ago.
                self.needs_publishing |= self.relay_connects > 0;
                self.relay_connects = connects;
            }
            let status = self.published_status().await;
            let relay_reached = self.endpoint.is_relay_connected();
            let now = self.opened.elapsed();
            let change = self.health.observe(relay_reached, status, now);
            if self.needs_publishing || self.health.is_lost() {
                self.publish_address();
            }
            if let Some(change) = change {
                return RendezvousEvent::Service(change);
            }
        }
    }

    /// Waits for an attempt to resume the link, or for a change of the endpoint's address. Cancel
    /// safe.
    async fn next_resume(&mut self) -> RendezvousEvent {
        loop {
            let params = self.revocations.params().cloned();
            let attempt = async {
                match &params {
                    Some(params) => Some(self.endpoint.accept_resume(params).await),
                    None => {
                        self.endpoint.hold_resume().await;
                        None
                    }
                }
            };
            tokio::select! {
                Some(attempt) = attempt => return RendezvousEvent::Attempt(attempt),
                () = self.endings.left(&self.endpoint) => return RendezvousEvent::PeerLeft,
                () = self.revocations.changed() => {}
                () = tokio::time::sleep_until(self.next_check) => {
                    self.next_check = Instant::now() + CHECK_INTERVAL;
                    self.endpoint.look_after_relay().await;
                    let address = self.endpoint.address();
                    if address != self.published {
                        self.published = address.clone();
                        return RendezvousEvent::AddressChanged(address);
                    }
                }
            }
        }
    }

    fn release(&mut self) -> impl Future<Output = ()> + Send + 'static {
        let claim = self.claim.take();
        let service = self.service.clone();
        async move {
            if let Some(claim) = claim
                && let Err(error) = service.release(&claim).await
            {
                tracing::warn!(%error, "the nameplate was not given back; it expires by itself");
            }
        }
    }

    async fn close(mut self) {
        let release = self.release();
        let leave = self.endings.close(self.endpoint.ticket());
        tokio::join!(release, leave, self.endpoint.close());
    }

    /// Publishes the address, unless a call is already under way: one at a time, so that the newest
    /// address is the last.
    fn publish_address(&mut self) {
        if let (None, Some(claim)) = (&self.publishing, self.claim.clone()) {
            let (service, address) = (self.service.clone(), self.published.clone());
            self.needs_publishing = false;
            self.publishing = Some(tokio::spawn(async move {
                service.publish(&claim, &address).await
            }));
        }
    }

    /// Returns what a finished publishing call said of the nameplate. Never waits for one that
    /// isn't finished.
    async fn published_status(&mut self) -> Option<NameplateStatus> {
        let publishing = self
            .publishing
            .take_if(|publishing| publishing.is_finished())?;
        let status = match publishing.await {
            Ok(Ok(())) => NameplateStatus::Known,
            Ok(Err(ServiceError::Refused {
                status: 401 | 403 | 404,
                ..
            })) => NameplateStatus::Unknown,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the address was not published");
                self.needs_publishing = true;
                NameplateStatus::NoAnswer
            }
            Err(_) => NameplateStatus::NoAnswer,
        };
        Some(status)
    }
}

/// Makes a code behind this nameplate, with a secret that is told nobody.
fn mint_code(nameplate: Nameplate) -> Result<SessionCode, Failure> {
    let mut random = Zeroizing::new([0; 8]);
    getrandom::fill(random.as_mut_slice()).map_err(|error| {
        let detail = format!("this machine gives no random numbers: {error}");
        Failure::new(FailureName::Internal, detail)
    })?;
    Ok(SessionCode::mint(nameplate, *random))
}
