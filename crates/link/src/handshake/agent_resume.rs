//! The agent's side of a resume.

use std::time::Duration;

use etatuki_protocol::{HandshakeMessage, Hello, Resume, StreamKind};
use etatuki_trust::AgentFile;
use iroh::{Endpoint, endpoint::Connection};

use super::{
    HandshakeStream,
    agent::{HandshakeError, close_failed},
    tls_exporter, with_timeout,
};
use crate::{
    close_code::CloseCode,
    connection::{close, round_trip_time},
    error::{DialError, LinkError},
    keys::Transcript,
    link::AgentStreams,
    pake::Role,
    resume::AgentResumption,
    stream::FrameWriter,
};

/// Time-out for the customer's confirmation, and for the streams, besides four round trips. Nothing
/// holds them up but a relay that sends to another connection of this endpoint's, and the next try is
/// sooner then.
const STEP_TIMEOUT: Duration = Duration::from_millis(1200);

/// Proves the agent's identity and the interrupted link's key, and verifies that the customer's
/// side has that key, too.
pub(crate) async fn resume(
    connection: Connection,
    endpoint: Endpoint,
    resumption: &mut AgentResumption,
    agent: &AgentFile,
) -> Result<AgentStreams, DialError> {
    let result = run_resume(&connection, endpoint, resumption, agent).await;
    result.map_err(|failure| match failure {
        HandshakeError::WrongConfirmation => {
            close(&connection, CloseCode::Refused, "wrong-key");
            DialError::WrongKey
        }
        HandshakeError::Link(error) => close_failed(&connection, &error),
    })
}

async fn run_resume(
    connection: &Connection,
    endpoint: Endpoint,
    resumption: &mut AgentResumption,
    agent: &AgentFile,
) -> Result<AgentStreams, HandshakeError> {
    let exporter = tls_exporter(connection)?;
    let number = resumption.begin_try();
    let keys = resumption.derive(&exporter);
    let parties = &resumption.parties;
    let transcript = Transcript::resumed(parties, &agent.card.hash(), number);
    let request = Resume {
        number,
        hello: Hello {
            proof: agent
                .key
                .prove_link(&agent.card, &parties.binding(&exporter)),
            card: agent.card.to_text(),
        },
        confirmation: keys.confirmation(Role::Agent, &transcript),
    };
    let (send, recv) = connection.open_bi().await.map_err(LinkError::from)?;
    let writer = FrameWriter::opened(send, StreamKind::Control);
    let mut stream = HandshakeStream::new(connection.clone(), endpoint, writer, recv);
    let round_trips = 4 * round_trip_time(connection).unwrap_or_default();
    let theirs = with_timeout(STEP_TIMEOUT + round_trips, async {
        stream.send(&[HandshakeMessage::Resume(request)]).await?;
        stream.recv_confirmation().await
    })
    .await?;
    if !keys.is_confirmation(Role::Customer, &transcript, &theirs) {
        return Err(HandshakeError::WrongConfirmation);
    }
    // The customer's side holds the new key. Nothing is sent under it before this.
    resumption.advance(&keys);
    let streams = AgentStreams::open(stream.into_authenticated());
    Ok(with_timeout(STEP_TIMEOUT + round_trips, streams).await?)
}
