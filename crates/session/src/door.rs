//! The way in for one code: a nameplate of the service's, a secret of ours, and the endpoint that
//! agents dial. A fresh code is a fresh door.

use std::path::PathBuf;
use std::time::Duration;

use etatuki_link::{Attempt, CustomerEndpoint, Offer};
use etatuki_trust::{CodeForm, SessionCode, ShownCode, VendorPublicKey};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::reach::{Answer, Reach, ServiceChange};
use crate::revocations;
use crate::service_client::{Claim, ServiceClient, ServiceError};
use crate::view::{FailureName, FailureView};

/// How often the endpoint's address is compared with what the service was told, and its relay looked at.
const CHECK: Duration = Duration::from_secs(1);

/// What a door is made from.
#[derive(Clone, Debug)]
pub(crate) struct DoorPlan {
    pub(crate) service: String,
    pub(crate) form: CodeForm,
    pub(crate) vendors: Vec<VendorPublicKey>,
    pub(crate) revocations: Option<PathBuf>,
}

/// One code, and who comes by it.
pub(crate) struct Door {
    service: ServiceClient,
    /// Until it was given back.
    claim: Option<Claim>,
    endpoint: CustomerEndpoint,
    offer: Offer,
    published: Value,
    /// The service hasn't confirmed that address.
    unconfirmed: bool,
    check_at: Instant,
    reach: Reach,
    /// The service is being told the address, which also says whether it still knows the nameplate.
    telling: Option<JoinHandle<Result<(), ServiceError>>>,
}

/// What happens at a door.
pub(crate) enum DoorEvent {
    /// Somebody tried to come in.
    Attempt(Attempt),
    /// The service went or came back.
    Service(ServiceChange),
}

impl Door {
    /// Fetches a nameplate and the revocations, mints the secret, opens the endpoint and says where it
    /// is. Every step has a limit.
    pub(crate) async fn open(plan: DoorPlan) -> Result<Self, FailureView> {
        let service = ServiceClient::new(&plan.service)?;
        let (claimed, list) = tokio::join!(service.claim(plan.form), service.revocations());
        let (claim, relay) = claimed?;
        let opened = Self::behind(&plan, &service, &claim, relay, list).await;
        if opened.is_err() {
            let _ = service.release(&claim).await;
        }
        opened
    }

    async fn behind(
        plan: &DoorPlan,
        service: &ServiceClient,
        claim: &Claim,
        relay: etatuki_link::RelayAccess,
        list: Result<Option<String>, ServiceError>,
    ) -> Result<Self, FailureView> {
        let revoked =
            revocations::newest(plan.revocations.as_deref(), list?.as_deref(), &plan.vendors)
                .map_err(|error| FailureView {
                    name: FailureName::ServiceError,
                    detail: error.to_string(),
                })?;
        let mut random = Zeroizing::new([0; 8]);
        getrandom::fill(random.as_mut_slice()).map_err(|error| FailureView {
            name: FailureName::Internal,
            detail: format!("this machine gives no random numbers: {error}"),
        })?;
        let code = SessionCode::mint(claim.nameplate, *random);
        let endpoint = CustomerEndpoint::bind(Some(&relay))
            .await
            .map_err(|error| FailureView {
                name: FailureName::LinkFailed,
                detail: error.to_string(),
            })?;
        let published = endpoint.address();
        service.publish(claim, &published).await?;
        let offer = Offer {
            code,
            vendors: plan.vendors.clone(),
            revoked,
        };
        Ok(Self {
            service: service.clone(),
            claim: Some(claim.clone()),
            endpoint,
            offer,
            published,
            unconfirmed: false,
            check_at: Instant::now() + CHECK,
            reach: Reach::default(),
            telling: None,
        })
    }

    /// The code, to be shown.
    pub(crate) fn shown(&self) -> ShownCode {
        self.offer.code.shown()
    }

    /// The code, for the plugin.
    pub(crate) fn plain(&self) -> Zeroizing<String> {
        self.offer.code.to_plain()
    }

    /// One attempt to come in, or news of the service. Meanwhile that hears of every change of address.
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> DoorEvent {
        loop {
            let attempt = self.endpoint.accept(&self.offer);
            if let Ok(attempt) = tokio::time::timeout_at(self.check_at, attempt).await {
                return DoorEvent::Attempt(attempt);
            }
            self.check_at = Instant::now() + CHECK;
            let address = self.endpoint.address();
            if address != self.published {
                self.published = address;
                self.unconfirmed = true;
            }
            let answer = self.answer().await;
            let reached = self.endpoint.relay_is_reached();
            let change = self.reach.look(reached, answer, Instant::now());
            if self.unconfirmed || self.reach.is_lost() {
                self.tell_address();
            }
            if let Some(change) = change {
                return DoorEvent::Service(change);
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
    fn tell_address(&mut self) {
        if let (None, Some(claim)) = (&self.telling, self.claim.clone()) {
            let (service, address) = (self.service.clone(), self.published.clone());
            self.unconfirmed = false;
            self.telling = Some(tokio::spawn(async move {
                service.publish(&claim, &address).await
            }));
        }
    }

    /// What the service has said to it. Never waits.
    async fn answer(&mut self) -> Option<Answer> {
        let telling = self.telling.take_if(|telling| telling.is_finished())?;
        let answer = match telling.await {
            Ok(Ok(())) => Answer::Known,
            Ok(Err(ServiceError::Refused {
                status: 401 | 403 | 404,
                ..
            })) => Answer::Unknown,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the address was not published");
                self.unconfirmed = true;
                Answer::None
            }
            Err(_) => Answer::None,
        };
        Some(answer)
    }
}
