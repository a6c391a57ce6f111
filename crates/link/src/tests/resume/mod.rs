//! The agent of an interrupted link goes on with it.

use std::sync::Arc;

use super::*;
use crate::{
    AgentResumption, AgentStreams, CustomerStreams, LinkError, ResumeParams, keys::ResumeKey,
};
use etatuki_protocol::{Resume, ToAgent, ToCustomer};

mod attacks;
mod lost_messages;

/// The most time to reach a customer on this machine.
const REACH_LIMIT: Duration = Duration::from_secs(30);

/// Both ends of a link that was established and dropped.
struct Interrupted {
    customer: Arc<CustomerEndpoint>,
    agent_endpoint: AgentEndpoint,
    resumption: AgentResumption,
    agent: AgentFile,
    params: ResumeParams,
}

impl Interrupted {
    async fn new() -> Self {
        let (interrupted, _, streams) = Self::linked().await;
        streams.connection.interrupt();
        interrupted
    }

    /// Returns the two ends, and the link between them while it works.
    async fn linked() -> (Self, CustomerLink, AgentStreams) {
        let customer = customer().await;
        let address = customer.address();
        Self::linked_at(customer, &address).await
    }

    /// Does the same, with the customer dialled at `address`.
    async fn linked_at(
        customer: CustomerEndpoint,
        address: &Value,
    ) -> (Self, CustomerLink, AgentStreams) {
        let customer = Arc::new(customer);
        let agent_endpoint = AgentEndpoint::bind(None).await.unwrap();
        let (params, agent) = (params(), agent());
        let dial =
            agent_endpoint.dial(address, &params.code.nameplate, &params.code.secret, &agent);
        let (attempt, dialled) = soon(async { tokio::join!(customer.accept(&params), dial) }).await;
        let Attempt::Authenticated(link) = attempt else {
            panic!("{attempt:?}")
        };
        let (streams, resumption) = dialled.unwrap().into_parts();
        let interrupted = Self {
            customer,
            agent_endpoint,
            resumption,
            agent,
            params: ResumeParams {
                vendors: params.vendors,
                revoked: params.revoked,
            },
        };
        (interrupted, *link, streams)
    }

    /// Runs one try of the agent's against the customer's end.
    async fn try_resume(&mut self) -> (Attempt, Result<AgentStreams, DialError>) {
        let address = self.customer.address();
        let dial =
            self.agent_endpoint
                .resume(&address, &mut self.resumption, &self.agent, REACH_LIMIT);
        soon(async { tokio::join!(self.customer.accept_resume(&self.params), dial) }).await
    }

    /// Checks that the true agent goes on: the link carries messages, and both ends hold one key.
    async fn check_resumes(&mut self) {
        let (attempt, dialled) = self.try_resume().await;
        let Attempt::Resumed(link) = attempt else {
            panic!("{attempt:?}")
        };
        assert_eq!(link.agent.name, "Aino Agentti");
        check_alive(&mut link.split(), &mut dialled.unwrap()).await;
        assert_eq!(self.customer.resume_keys().await, [self.key()]);
    }

    /// Returns the agent's key.
    fn key(&self) -> [u8; 32] {
        *self.resumption.key().expose()
    }

    /// Returns what the agent would send next over `peer`'s connection.
    fn honest(&mut self, peer: &RawPeer) -> Request {
        Request {
            agent: self.agent.clone(),
            parties: self.resumption.parties.clone(),
            key: self.resumption.key().clone(),
            exporter: peer.exporter(),
            number: self.resumption.begin_try(),
        }
    }

    /// Dials the customer's end by hand, as the agent's endpoint.
    async fn dial_raw(&self) -> RawPeer {
        let endpoint = self.agent_endpoint.raw().clone();
        RawPeer::dial_from(endpoint, &self.customer.address()).await
    }
}

/// The parts of a message `resume`; each may be wrong.
struct Request {
    agent: AgentFile,
    parties: Parties,
    key: ResumeKey,
    exporter: [u8; 32],
    number: u32,
}

impl Request {
    fn keys(&self) -> LinkKeys {
        LinkKeys::derive_resumed(&self.key, &self.exporter)
    }

    fn transcript(&self) -> Transcript {
        Transcript::resumed(&self.parties, &self.agent.card.hash(), self.number)
    }

    fn resume(&self) -> Resume {
        let binding = self.parties.binding(&self.exporter);
        Resume {
            number: self.number,
            hello: Hello {
                proof: self.agent.key.prove_link(&self.agent.card, &binding),
                card: self.agent.card.to_text(),
            },
            confirmation: self.keys().confirmation(Role::Agent, &self.transcript()),
        }
    }

    fn message(&self) -> HandshakeMessage {
        HandshakeMessage::Resume(self.resume())
    }

    /// Reads the customer's confirmation and checks it.
    async fn check_confirmation(&self, peer: &mut RawPeer) {
        let Some(HandshakeMessage::Confirm(theirs)) = peer.recv().await else {
            panic!("no confirmation")
        };
        let is_theirs = self
            .keys()
            .is_confirmation(Role::Customer, &self.transcript(), &theirs);
        assert!(is_theirs);
    }
}

/// Checks that a link carries messages both ways.
async fn check_alive(theirs: &mut CustomerStreams, ours: &mut AgentStreams) {
    ours.control_out.send(&ToCustomer::Alive).await.unwrap();
    let heard = soon(theirs.control_in.recv()).await.unwrap();
    assert_eq!(heard, Some(ToCustomer::Alive));
    theirs.control_out.send(&ToAgent::Alive).await.unwrap();
    let heard = soon(ours.control_in.recv()).await.unwrap();
    assert_eq!(heard, Some(ToAgent::Alive));
}

#[tokio::test]
async fn an_interrupted_link_resumes_again_and_again_with_a_new_key_each_time() {
    let mut interrupted = Interrupted::new().await;
    let mut keys = vec![interrupted.key()];
    for _ in 0..3 {
        interrupted.check_resumes().await;
        keys.push(interrupted.key());
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 4);
}

#[tokio::test]
async fn the_other_end_hears_that_a_link_is_interrupted() {
    let (_ends, link, streams) = Interrupted::linked().await;
    streams.connection.interrupt();
    assert_eq!(
        soon(link.connection().closed()).await,
        LinkError::Interrupted
    );
    let read = soon(link.split().control_in.recv()).await;
    assert_eq!(read, Err(LinkError::Interrupted));
}

#[tokio::test]
async fn the_agent_may_resume_while_the_customers_end_hears_nothing_of_a_break() {
    let (mut ends, link, _streams) = Interrupted::linked().await;
    ends.check_resumes().await;
    drop(link);
}
