//! The agent's side of the handshake.

use std::time::Duration;

use etatuki_protocol::{HandshakeMessage, Hello, Violation};
use etatuki_trust::{AgentFile, LinkProof, Nameplate, Secret};
use iroh::{Endpoint, endpoint::Connection};

use super::{PAKE_LIMIT, STREAMS_LIMIT, Talk, exporter, opening, within};
use crate::{
    connection::{CloseCode, close, close_for, dial_error},
    error::{DialError, LinkError},
    keys::{LinkKeys, Transcript},
    link::AgentLink,
    pake::{Pake, Parties, Role, Spake},
};

/// How long the customer's side may take for its PAKE message: it handles one guess at a time, so another
/// agent's may have to run out first.
const TURN_LIMIT: Duration = Duration::from_secs(12);

/// Proves who the agent is and that he knows the code, and has the customer's side prove that it does.
pub(crate) async fn introduce(
    connection: Connection,
    endpoint: Endpoint,
    nameplate: &Nameplate,
    secret: &Secret,
    agent: &AgentFile,
) -> Result<AgentLink, DialError> {
    let result = exchange(&connection, endpoint, nameplate, secret, agent).await;
    result.map_err(|failure| match failure {
        Failure::WrongCode => {
            close(&connection, CloseCode::WrongCode, "wrong-code");
            DialError::WrongCode
        }
        Failure::Link(error) => {
            let meaning = dial_error(&connection, error.clone());
            close_for(&connection, &error);
            meaning
        }
    })
}

enum Failure {
    /// The customer's confirmation doesn't fit ours. (That ours doesn't fit, the customer's side says.)
    WrongCode,
    Link(LinkError),
}

impl<E: Into<LinkError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Link(error.into())
    }
}

async fn exchange(
    connection: &Connection,
    endpoint: Endpoint,
    nameplate: &Nameplate,
    secret: &Secret,
    agent: &AgentFile,
) -> Result<AgentLink, Failure> {
    let parties = Parties {
        agent: *endpoint.id().as_bytes(),
        customer: *connection.remote_id().as_bytes(),
        nameplate: *nameplate,
    };
    let exporter = exporter(connection)?;
    let (pake, ours) = Spake::start(Role::Agent, secret, &parties);
    let hello = Hello {
        proof: prove(agent, &parties, &exporter),
        card: agent.card.to_text(),
    };

    let (send, recv) = connection.open_bi().await.map_err(LinkError::from)?;
    let mut talk = Talk::new(connection.clone(), endpoint, opening(send), recv);
    let theirs = within(TURN_LIMIT, async {
        talk.send(&[
            HandshakeMessage::Hello(hello),
            HandshakeMessage::Pake(ours.clone()),
        ])
        .await?;
        talk.recv_pake().await
    })
    .await?;

    let key = pake
        .finish(&theirs)
        .ok_or(LinkError::Violation(Violation::OutOfTurn))?;
    let keys = LinkKeys::derive(&key, &exporter);
    let transcript = Transcript::new(&parties, &agent.card.hash(), [&ours, &theirs]);
    let confirmation = keys.confirmation(Role::Agent, &transcript);
    let theirs = within(PAKE_LIMIT, async {
        talk.send(&[HandshakeMessage::Confirm(confirmation)])
            .await?;
        talk.recv_confirmation().await
    })
    .await?;
    if !keys.confirms(Role::Customer, &transcript, &theirs) {
        return Err(Failure::WrongCode);
    }
    let link = AgentLink::open(talk.into_link(), keys.resume_key());
    Ok(within(STREAMS_LIMIT, link).await?)
}

fn prove(agent: &AgentFile, parties: &Parties, exporter: &[u8; 32]) -> [u8; 64] {
    let proof = LinkProof {
        exporter,
        nameplate: &parties.nameplate,
        agent: &parties.agent,
        customer: &parties.customer,
    };
    agent.key.prove_link(&agent.card, &proof)
}
