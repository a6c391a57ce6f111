//! A customer's machine restarts: the first endpoint is gone, and a second one goes on by the ticket
//! of the first.

use etatuki_protocol::{ToAgent, ToCustomer};
use etatuki_trust::{LinkCredentials, RestartTicket};

use super::{refusals::with_list, *};
use crate::{AgentResumption, AgentStreams, ResumeParams};

/// The most time to reach a customer on this machine.
const REACH_LIMIT: Duration = Duration::from_secs(30);

/// The agent's end, and the text of the ticket that the customer's end left behind.
struct Restarted {
    agent_endpoint: AgentEndpoint,
    resumption: AgentResumption,
    /// Endpoint id of the customer's end that is gone.
    id: iroh::EndpointId,
    ticket: String,
}

impl Restarted {
    /// Links both ends, keeps a ticket, and ends everything of the customer's.
    async fn new() -> Self {
        let customer = customer().await;
        assert_eq!(customer.credentials().await, None);
        let agent_endpoint = AgentEndpoint::bind(None).await.unwrap();
        let (params, agent, address) = (params(), agent(), customer.address());
        let code = &params.code;
        let dial = agent_endpoint.dial(&address, &code.nameplate, &code.secret, &agent);
        let (attempt, dialled) = soon(async { tokio::join!(customer.accept(&params), dial) }).await;
        assert!(matches!(attempt, Attempt::Authenticated(_)), "{attempt:?}");
        let (streams, resumption) = dialled.unwrap().into_parts();
        let credentials = customer.credentials().await.unwrap();
        let ticket = RestartTicket::issue("ecom".into(), credentials, UnixTime(1));
        customer.close().await;
        soon(streams.connection.closed()).await;
        Self {
            agent_endpoint,
            resumption,
            id: endpoint_addr(&address).id,
            ticket: ticket.to_text().to_string(),
        }
    }

    fn credentials(&self) -> LinkCredentials {
        RestartTicket::parse(&self.ticket).unwrap().link
    }

    /// Opens the endpoint of the ticket.
    async fn come_back(&self) -> CustomerEndpoint {
        let credentials = self.credentials();
        let customer = CustomerEndpoint::bind_again(None, &credentials)
            .await
            .unwrap();
        assert_eq!(endpoint_addr(&customer.address()).id, self.id);
        customer
    }

    /// Runs one try of the agent's against `customer`.
    async fn try_resume(
        &mut self,
        customer: &CustomerEndpoint,
        params: AcceptParams,
    ) -> (Attempt, Result<AgentStreams, DialError>) {
        let params = ResumeParams {
            vendors: params.vendors,
            revoked: params.revoked,
        };
        let (address, agent) = (customer.address(), agent());
        let dial = self
            .agent_endpoint
            .resume(&address, &mut self.resumption, &agent, REACH_LIMIT);
        soon(async { tokio::join!(customer.accept_resume(&params), dial) }).await
    }

    async fn check_refused(
        &mut self,
        customer: &CustomerEndpoint,
        params: AcceptParams,
        name: &str,
    ) {
        let (attempt, dialled) = self.try_resume(customer, params).await;
        let Attempt::ResumeRefused { reason } = attempt else {
            panic!("{attempt:?}")
        };
        assert_eq!(reason, name);
        assert_eq!(dialled.err(), Some(DialError::Refused(name.into())));
    }
}

#[tokio::test]
async fn a_customer_that_restarted_goes_on_with_its_ticket() {
    let mut restarted = Restarted::new().await;
    let customer = restarted.come_back().await;
    let (attempt, dialled) = restarted.try_resume(&customer, params()).await;
    let Attempt::Resumed(link) = attempt else {
        panic!("{attempt:?}")
    };
    assert_eq!(link.agent.name, "Aino Agentti");
    assert_eq!(link.agent.organisation, "Tilitoimisto Oy");
    let (mut theirs, mut ours) = (link.split(), dialled.unwrap());
    ours.control_out.send(&ToCustomer::Alive).await.unwrap();
    let heard = soon(theirs.control_in.recv()).await.unwrap();
    assert_eq!(heard, Some(ToCustomer::Alive));
    theirs.control_out.send(&ToAgent::Alive).await.unwrap();
    let heard = soon(ours.control_in.recv()).await.unwrap();
    assert_eq!(heard, Some(ToAgent::Alive));
}

#[tokio::test]
async fn a_ticket_that_was_used_opens_nothing() {
    let mut restarted = Restarted::new().await;
    let customer = restarted.come_back().await;
    let (attempt, dialled) = restarted.try_resume(&customer, params()).await;
    assert!(matches!(attempt, Attempt::Resumed(_)), "{attempt:?}");
    dialled.unwrap();
    assert_ne!(customer.credentials().await, Some(restarted.credentials()));
    customer.close().await;
    let again = restarted.come_back().await;
    restarted
        .check_refused(&again, params(), "resume-refused")
        .await;
}

#[tokio::test]
async fn a_card_that_was_revoked_during_the_restart_is_refused() {
    let mut restarted = Restarted::new().await;
    let customer = restarted.come_back().await;
    restarted
        .check_refused(&customer, with_list(FAR, &[7]), "card-revoked")
        .await;
}

/// Another endpoint than the one that had the link gets no further by the agent's own card and key.
#[tokio::test]
async fn the_agents_card_from_another_endpoint_is_refused() {
    let mut restarted = Restarted::new().await;
    let customer = restarted.come_back().await;
    restarted.agent_endpoint = AgentEndpoint::bind(None).await.unwrap();
    restarted
        .check_refused(&customer, params(), "resume-refused")
        .await;
}

#[tokio::test]
async fn a_code_opens_nothing_at_a_customer_that_restarted() {
    let restarted = Restarted::new().await;
    let customer = restarted.come_back().await;
    let (params, agent, address) = (params(), agent(), customer.address());
    let code = &params.code;
    let dial = restarted
        .agent_endpoint
        .dial(&address, &code.nameplate, &code.secret, &agent);
    let terms = ResumeParams {
        vendors: params.vendors.clone(),
        revoked: params.revoked.clone(),
    };
    let (attempt, dialled) =
        soon(async { tokio::join!(customer.accept_resume(&terms), dial) }).await;
    assert!(matches!(attempt, Attempt::Aborted), "{attempt:?}");
    assert_eq!(dialled.err(), Some(DialError::Refused("busy".into())));
}
