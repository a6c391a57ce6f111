//! A customer's endpoint over a restart of its machine: what a later process needs to be the same
//! end of the same link, and how it becomes that.

use etatuki_protocol::AgentIdentity;
use etatuki_trust::{LinkCredentials, RestartKey};

use super::CustomerEndpoint;
use crate::{
    ending::EndedLink,
    endpoint_key::EndpointKey,
    error::LinkError,
    keys::ResumeKey,
    network::RelayRoute,
    pake::{Parties, Role},
    resume::CustomerResumption,
};

impl CustomerEndpoint {
    /// Returns what another process of this machine needs to resume the last link; `None` if there
    /// was no link, or while a resume is under way. Each resume replaces the key in it.
    pub async fn credentials(&self) -> Option<LinkCredentials> {
        let queue = self.queue.lock().await;
        let kept = queue.resumption.as_ref()?;
        let resume_key = kept.ratchet.only_key()?;
        Some(LinkCredentials {
            endpoint_key: RestartKey::from_bytes(self.endpoints.current().secret_key().to_bytes()),
            resume_key: RestartKey::from_bytes(*resume_key.expose()),
            agent_endpoint: kept.parties.agent,
            card_hash: kept.card_hash,
            agent_name: kept.agent.name.clone(),
            agent_organisation: kept.agent.organisation.clone(),
            nameplate: kept.parties.nameplate,
        })
    }

    /// Opens the endpoint of another process's link again, with the same endpoint id, so that
    /// [`accept_resume`](Self::accept_resume) lets the agent of that link in, and nobody else.
    ///
    /// # Errors
    /// [`LinkError::Relay`] or [`LinkError::Bind`].
    pub async fn bind_again(
        route: Option<RelayRoute<'_>>,
        credentials: &LinkCredentials,
    ) -> Result<Self, LinkError> {
        let key = EndpointKey::restored(credentials);
        let parties = Parties {
            agent: credentials.agent_endpoint,
            customer: *key.secret().public().as_bytes(),
            nameplate: credentials.nameplate,
        };
        let agent = AgentIdentity {
            name: credentials.agent_name.clone(),
            organisation: credentials.agent_organisation.clone(),
        };
        let resume_key = ResumeKey::from_bytes(*credentials.resume_key.expose());
        let mut endpoint = Self::bind_as(&key, route).await?;
        let link = EndedLink::new(parties.clone(), Role::Customer);
        let _ = endpoint.link.set(link);
        endpoint.queue.get_mut().resumption = Some(CustomerResumption::new(
            parties,
            credentials.card_hash,
            agent,
            resume_key,
        ));
        Ok(endpoint)
    }
}
