//! The way in for one code: a nameplate of the service's, a secret of ours, and the endpoint that
//! agents dial. A fresh code is a fresh door.

use std::path::PathBuf;
use std::time::Duration;

use etatuki_link::{AcceptParams, Attempt, CustomerEndpoint};
use etatuki_trust::{CodeForm, SessionCode, ShownCode, VendorPublicKey};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::revocations;
use crate::service_client::{Claim, ServiceClient, ServiceError};
use crate::service_health::{NameplateStatus, ServiceChange, ServiceHealth};
use crate::view::{Failure, FailureName};

/// How often the endpoint's address is compared with what the service was told, and its relay looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// What a door is made from.
#[derive(Clone, Debug)]
pub(crate) struct RendezvousConfig {
    pub(crate) service: String,
    pub(crate) form: CodeForm,
    pub(crate) vendors: Vec<VendorPublicKey>,
    pub(crate) revocations: Option<PathBuf>,
}

/// One code, and who comes by it.
pub(crate) struct Rendezvous {
    service: ServiceClient,
    /// Until it was given back.
    claim: Option<Claim>,
    endpoint: CustomerEndpoint,
    accept_params: AcceptParams,
    published: Value,
    /// The service hasn't confirmed that address.
    needs_publishing: bool,
    next_check: Instant,
    health: ServiceHealth,
    /// The service is being told the address, which also says whether it still knows the nameplate.
    publishing: Option<JoinHandle<Result<(), ServiceError>>>,
}

/// What happens at a door.
pub(crate) enum RendezvousEvent {
    /// Somebody tried to come in.
    Attempt(Attempt),
    /// The service went or came back.
    Service(ServiceChange),
}

impl Rendezvous {
    /// Fetches a nameplate and the revocations, mints the secret, opens the endpoint and says where it
    /// is. Every step has a limit.
    pub(crate) async fn open(config: RendezvousConfig) -> Result<Self, Failure> {
        let service = ServiceClient::new(&config.service)?;
        let (claimed, list) = tokio::join!(service.claim(config.form), service.revocations());
        let (claim, relay) = claimed?;
        let opened = Self::open_claimed(&config, &service, &claim, relay, list).await;
        if opened.is_err() {
            let _ = service.release(&claim).await;
        }
        opened
    }

    async fn open_claimed(
        config: &RendezvousConfig,
        service: &ServiceClient,
        claim: &Claim,
        relay: etatuki_link::RelayAccess,
        list: Result<Option<String>, ServiceError>,
    ) -> Result<Self, Failure> {
        let revoked = revocations::newest(
            config.revocations.as_deref(),
            list?.as_deref(),
            &config.vendors,
        )
        .map_err(|error| Failure {
            name: FailureName::ServiceError,
            detail: error.to_string(),
        })?;
        let mut random = Zeroizing::new([0; 8]);
        getrandom::fill(random.as_mut_slice()).map_err(|error| Failure {
            name: FailureName::Internal,
            detail: format!("this machine gives no random numbers: {error}"),
        })?;
        let code = SessionCode::mint(claim.nameplate, *random);
        let endpoint = CustomerEndpoint::bind(Some(&relay))
            .await
            .map_err(|error| Failure {
                name: FailureName::LinkFailed,
                detail: error.to_string(),
            })?;
        let published = endpoint.address();
        service.publish(claim, &published).await?;
        let accept_params = AcceptParams {
            code,
            vendors: config.vendors.clone(),
            revoked,
        };
        Ok(Self {
            service: service.clone(),
            claim: Some(claim.clone()),
            endpoint,
            accept_params,
            published,
            needs_publishing: false,
            next_check: Instant::now() + CHECK_INTERVAL,
            health: ServiceHealth::default(),
            publishing: None,
        })
    }

    /// The code, to be shown.
    pub(crate) fn shown_code(&self) -> ShownCode {
        self.accept_params.code.shown()
    }

    /// The code, for the plugin.
    pub(crate) fn plain_code(&self) -> Zeroizing<String> {
        self.accept_params.code.to_plain()
    }

    /// One attempt to come in, or news of the service. Meanwhile that hears of every change of address.
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> RendezvousEvent {
        loop {
            let attempt = self.endpoint.accept(&self.accept_params);
            if let Ok(attempt) = tokio::time::timeout_at(self.next_check, attempt).await {
                return RendezvousEvent::Attempt(attempt);
            }
            self.next_check = Instant::now() + CHECK_INTERVAL;
            let address = self.endpoint.address();
            if address != self.published {
                self.published = address;
                self.needs_publishing = true;
            }
            let status = self.status().await;
            let reached = self.endpoint.is_relay_connected();
            let change = self.health.observe(reached, status, Instant::now());
            if self.needs_publishing || self.health.is_lost() {
                self.publish_address();
            }
            if let Some(change) = change {
                return RendezvousEvent::Service(change);
            }
        }
    }

    /// Gives the nameplate back; the door itself stays. The future has a limit.
    pub(crate) fn release(&mut self) -> impl Future<Output = ()> + Send + 'static {
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

    /// Shuts it: nameplate back, endpoint closed with every link of it.
    pub(crate) async fn close(mut self) {
        let release = self.release();
        tokio::join!(release, self.endpoint.close());
    }

    /// One address at a time, so that the newest is the last.
    fn publish_address(&mut self) {
        if let (None, Some(claim)) = (&self.publishing, self.claim.clone()) {
            let (service, address) = (self.service.clone(), self.published.clone());
            self.needs_publishing = false;
            self.publishing = Some(tokio::spawn(async move {
                service.publish(&claim, &address).await
            }));
        }
    }

    /// What the service has said to it. Never waits.
    async fn status(&mut self) -> Option<NameplateStatus> {
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
