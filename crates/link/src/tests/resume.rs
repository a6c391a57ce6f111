//! The agent of an interrupted link goes on with it.

use super::*;
use crate::{AgentResumption, AgentStreams, LinkError, ResumeParams};
use etatuki_protocol::{ToAgent, ToCustomer};

/// The most time to reach a customer on this machine.
const REACH_LIMIT: Duration = Duration::from_secs(30);

/// Both ends of a link that was established and dropped.
struct Interrupted {
    customer: CustomerEndpoint,
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
        let agent_endpoint = AgentEndpoint::bind(None).await.unwrap();
        let (params, agent, address) = (params(), agent(), customer.address());
        let dial = agent_endpoint.dial(
            &address,
            &params.code.nameplate,
            &params.code.secret,
            &agent,
        );
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
        let (mut theirs, mut ours) = (link.split(), dialled.unwrap());
        ours.control_out.send(&ToCustomer::Alive).await.unwrap();
        let heard = soon(theirs.control_in.recv()).await.unwrap();
        assert_eq!(heard, Some(ToCustomer::Alive));
        theirs.control_out.send(&ToAgent::Alive).await.unwrap();
        let heard = soon(ours.control_in.recv()).await.unwrap();
        assert_eq!(heard, Some(ToAgent::Alive));
        let kept = self.customer.resume_keys().await;
        assert_eq!(kept, [*self.resumption.key().expose()]);
    }
}

#[tokio::test]
async fn an_interrupted_link_resumes_again_and_again_with_a_new_key_each_time() {
    let mut interrupted = Interrupted::new().await;
    let mut keys = vec![*interrupted.resumption.key().expose()];
    for _ in 0..3 {
        interrupted.check_resumes().await;
        keys.push(*interrupted.resumption.key().expose());
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
