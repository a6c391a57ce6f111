//! The agent's side of the handshake.

use std::time::Duration;

use etatuki_protocol::{HandshakeMessage, Hello, StreamKind, Violation};
use etatuki_trust::{AgentFile, Nameplate, Secret};
use iroh::{Endpoint, endpoint::Connection};

use super::{HandshakeStream, PAKE_TIMEOUT, STREAMS_TIMEOUT, tls_exporter, with_timeout};
use crate::{
    close_code::CloseCode,
    connection::{close, close_with_error, dial_error},
    error::{DialError, LinkError},
    keys::{LinkKeys, Transcript},
    link::{AgentLink, AgentStreams},
    pake::{Pake, Parties, Role, Spake2Ed25519},
    resume::AgentResumption,
    stream::FrameWriter,
};

/// Time-out for the customer's PAKE message. The customer's side runs one guess at a time, so
/// another agent's guess may have to time out first.
const TURN_TIMEOUT: Duration = Duration::from_secs(12);

/// Proves the agent's identity and that they know the code, and verifies that the customer's side
/// knows it, too.
pub(crate) async fn authenticate(
    connection: Connection,
    endpoint: Endpoint,
    nameplate: &Nameplate,
    secret: &Secret,
    agent: &AgentFile,
) -> Result<AgentLink, DialError> {
    let result = run_handshake(&connection, endpoint, nameplate, secret, agent).await;
    result.map_err(|failure| match failure {
        HandshakeError::WrongConfirmation => {
            close(&connection, CloseCode::WrongCode, "wrong-code");
            DialError::WrongCode
        }
        HandshakeError::Link(error) => close_failed(&connection, &error),
    })
}

/// Closes a connection whose handshake failed. Returns the reason for the agent.
pub(super) fn close_failed(connection: &Connection, error: &LinkError) -> DialError {
    let reason = dial_error(connection, error.clone());
    close_with_error(connection, error);
    reason
}

pub(super) enum HandshakeError {
    /// The customer's confirmation doesn't match. (If ours doesn't match, the customer's side
    /// closes the connection.)
    WrongConfirmation,
    Link(LinkError),
}

impl<E: Into<LinkError>> From<E> for HandshakeError {
    fn from(error: E) -> Self {
        Self::Link(error.into())
    }
}

async fn run_handshake(
    connection: &Connection,
    endpoint: Endpoint,
    nameplate: &Nameplate,
    secret: &Secret,
    agent: &AgentFile,
) -> Result<AgentLink, HandshakeError> {
    let parties = Parties {
        agent: *endpoint.id().as_bytes(),
        customer: *connection.remote_id().as_bytes(),
        nameplate: *nameplate,
    };
    let exporter = tls_exporter(connection)?;
    let (pake, ours) = Spake2Ed25519::start(Role::Agent, secret, &parties);
    let hello = Hello {
        proof: agent
            .key
            .prove_link(&agent.card, &parties.binding(&exporter)),
        card: agent.card.to_text(),
    };

    let (send, recv) = connection.open_bi().await.map_err(LinkError::from)?;
    let writer = FrameWriter::opened(send, StreamKind::Control);
    let mut stream = HandshakeStream::new(connection.clone(), endpoint, writer, recv);
    let theirs = with_timeout(TURN_TIMEOUT, async {
        stream
            .send(&[
                HandshakeMessage::Hello(hello),
                HandshakeMessage::Pake(ours.clone()),
            ])
            .await?;
        stream.recv_pake().await
    })
    .await?;

    let key = pake
        .finish(&theirs)
        .ok_or(LinkError::Violation(Violation::OutOfTurn))?;
    let keys = LinkKeys::derive(&key, &exporter);
    let transcript = Transcript::new(&parties, &agent.card.hash(), [&ours, &theirs]);
    let confirmation = keys.confirmation(Role::Agent, &transcript);
    let theirs = with_timeout(PAKE_TIMEOUT, async {
        stream
            .send(&[HandshakeMessage::Confirm(confirmation)])
            .await?;
        stream.recv_confirmation().await
    })
    .await?;
    if !keys.is_confirmation(Role::Customer, &transcript, &theirs) {
        return Err(HandshakeError::WrongConfirmation);
    }
    let streams = AgentStreams::open(stream.into_authenticated());
    let streams = with_timeout(STREAMS_TIMEOUT, streams).await?;
    let resumption = AgentResumption::new(parties, keys.resume_key());
    Ok(AgentLink::new(streams, resumption))
}
