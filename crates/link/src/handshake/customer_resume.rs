//! The customer's side of a resume.
//!
//! Everything that the agent must prove is in their first message, so a request is verified at
//! once, without a wait in between. A refused one changes nothing: no key, no count, no link.

use etatuki_protocol::{AgentIdentity, HandshakeMessage};
use tracing::debug;

use super::{
    Attempt, HandshakeStream, ResumeParams, STREAMS_TIMEOUT,
    customer::{CardCheck, Checks, Opening, UnverifiedPeer},
    with_timeout,
};
use crate::{
    close_code::CloseCode,
    connection::{close, close_with_error},
    keys::{LinkKeys, Transcript},
    link::CustomerLink,
    pake::Role,
    resume::{CustomerResumption, ProvedResume},
};

/// The stable name for a peer that has no link here to resume, or doesn't prove it.
pub(super) const RESUME_REFUSED: &str = "resume-refused";

/// The stable name for a peer with a code that another agent has used.
const BUSY: &str = "busy";

/// A resume by the agent of the interrupted link, proved.
pub(crate) struct VerifiedResume {
    pub(crate) stream: HandshakeStream,
    keys: LinkKeys,
    transcript: Transcript,
    agent: AgentIdentity,
}

/// Verifies that the peer is the agent of `resumption`, by endpoint, card, proof and key, and
/// begins the resume with the ratchet.
///
/// # Errors
/// The attempt that this was. The peer gets the stable name of the reason.
pub(crate) fn verify_resume(
    peer: UnverifiedPeer,
    params: &ResumeParams,
    resumption: Option<&mut CustomerResumption>,
    checks: Checks,
) -> Result<VerifiedResume, Attempt> {
    let refuse = |stream: &HandshakeStream, reason| {
        close(&stream.connection, CloseCode::Refused, reason);
        Attempt::ResumeRefused { reason }
    };
    if matches!(peer.opening, Opening::Hello(_)) {
        refuse(&peer.stream, BUSY);
        return Err(Attempt::Aborted);
    }
    match check_resume(&peer, params, resumption, checks) {
        Ok((proved, transcript, agent)) => Ok(VerifiedResume {
            stream: peer.stream,
            keys: proved.keys,
            transcript,
            agent,
        }),
        Err(reason) => Err(refuse(&peer.stream, reason)),
    }
}

/// Checks a request.
///
/// # Errors
/// The stable name of the reason for the refusal.
fn check_resume(
    peer: &UnverifiedPeer,
    params: &ResumeParams,
    resumption: Option<&mut CustomerResumption>,
    checks: Checks,
) -> Result<(ProvedResume, Transcript, AgentIdentity), &'static str> {
    let (Opening::Resume(request), Some(resumption)) = (&peer.opening, resumption) else {
        return Err(RESUME_REFUSED);
    };
    let parties = &resumption.parties;
    if !checks.is_endpoint(&peer.stream.connection, &parties.agent) {
        return Err(RESUME_REFUSED);
    }
    let check = CardCheck {
        vendors: &params.vendors,
        revoked: &params.revoked,
        parties,
        exporter: &peer.exporter,
        checks,
    };
    let (_, card_hash) = check
        .check(&request.hello)
        .map_err(|refusal| refusal.error.name())?;
    if card_hash != resumption.card_hash {
        return Err(RESUME_REFUSED);
    }
    let transcript = Transcript::resumed(parties, &card_hash, request.number);
    let proved = resumption
        .ratchet
        .verify(&peer.exporter, &transcript, request)
        .ok_or(RESUME_REFUSED)?;
    resumption.ratchet.begin(&proved);
    Ok((proved, transcript, resumption.agent.clone()))
}

/// Answers a verified request and opens the link's streams. The agent opens theirs after they have
/// verified our confirmation: so a link shows that they hold its key.
pub(crate) async fn run_resume(resume: VerifiedResume) -> Attempt {
    let VerifiedResume {
        mut stream,
        keys,
        transcript,
        agent,
    } = resume;
    let connection = stream.connection.clone();
    let confirmation = keys.confirmation(Role::Customer, &transcript);
    let linked = with_timeout(STREAMS_TIMEOUT, async {
        stream
            .send(&[HandshakeMessage::Confirm(confirmation)])
            .await?;
        CustomerLink::open(stream.into_authenticated(), agent).await
    });
    match linked.await {
        Ok(link) => Attempt::Resumed(Box::new(link)),
        Err(error) => {
            debug!(%error, "a resume broke off");
            close_with_error(&connection, &error);
            Attempt::Aborted
        }
    }
}
