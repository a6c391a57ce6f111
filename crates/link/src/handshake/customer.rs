//! The customer's side of the handshake: TLS, card, PAKE.
//!
//! A guess at the code is used up at one point in [`run_pake`]: after the agent's PAKE message has
//! been checked, before ours is sent. Until then we have sent nothing that depends on the code;
//! from then on the other end can test one secret. Every way out after that point is
//! [`Attempt::Authenticated`] or [`Attempt::WrongGuess`], even if the agent breaks off, stalls or
//! loses the connection. The session counts these outcomes and burns the code (`session-core`,
//! `machine/code.rs`). `run_pake` runs as a task of its own (see `handshake_queue`), so no caller
//! that stops waiting for it can stop it or lose its outcome.

use std::time::{SystemTime, UNIX_EPOCH};

use etatuki_protocol::{AgentIdentity, HandshakeMessage, Hello, Resume, StreamKind, Violation};
use etatuki_trust::{
    AgentCard, CardError, CardValidity, Revocations, Secret, UnixTime, VendorPublicKey,
};
use iroh::{
    Endpoint,
    endpoint::{Connection, Incoming},
};
use tokio::time::Instant;
use tracing::debug;

use super::{
    AcceptParams, Attempt, CARD_TIMEOUT, HandshakeStream, PAKE_TIMEOUT, STREAMS_TIMEOUT,
    TLS_TIMEOUT, customer_resume::RESUME_REFUSED, tls_exporter, with_deadline, with_timeout,
};
use crate::{
    close_code::CloseCode,
    connection::{close, close_with_error},
    error::LinkError,
    keys::{LinkKeys, Transcript},
    link::CustomerLink,
    pake::{Pake, Parties, Role, Spake2Ed25519},
    resume::CustomerResumption,
    stream::{FrameWriter, read_kind},
};

/// A peer that has sent its first message. Nothing in that is verified yet.
pub(crate) struct UnverifiedPeer {
    pub(super) stream: HandshakeStream,
    pub(super) opening: Opening,
    pub(super) exporter: [u8; 32],
}

/// The first message of a peer.
pub(super) enum Opening {
    /// It wants a link, by the code.
    Hello(Hello),
    /// It wants to go on with an interrupted link.
    Resume(Resume),
}

/// An agent of the vendor's, verified to be at the other end of this very connection.
pub(crate) struct VerifiedAgent {
    stream: HandshakeStream,
    exporter: [u8; 32],
    parties: Parties,
    card_hash: [u8; 32],
    identity: AgentIdentity,
}

impl VerifiedAgent {
    pub(crate) const fn identity(&self) -> &AgentIdentity {
        &self.identity
    }
}

/// Checks of a hello that are left out: none in what ships. This crate's tests leave one out to see
/// that the next one refuses the peer by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checks {
    #[cfg(test)]
    pub(crate) accept_any_proof: bool,
    /// Leaves out the endpoint id in a resume.
    #[cfg(test)]
    pub(crate) accept_any_endpoint: bool,
}

impl Checks {
    /// Returns whether the peer of `connection` is the endpoint with this id.
    pub(super) fn is_endpoint(self, connection: &Connection, id: &[u8; 32]) -> bool {
        #[cfg(test)]
        if self.accept_any_endpoint {
            return true;
        }
        connection.remote_id().as_bytes() == id
    }

    /// Returns whether the proof has to be valid.
    const fn requires_proof(self) -> bool {
        #[cfg(test)]
        if self.accept_any_proof {
            return false;
        }
        true
    }
}

/// Runs TLS and receives the hello; `None` for a peer that doesn't get that far.
///
/// Nothing is read before TLS is done. Data that a peer sent early (0-RTT, which anybody could have
/// recorded) can't hold a valid hello: the proof is over the exporter, which exists only
/// afterwards.
pub(crate) async fn receive_hello(
    incoming: Incoming,
    endpoint: Endpoint,
) -> Option<UnverifiedPeer> {
    let accepting = incoming.accept().ok()?;
    let connection = tokio::time::timeout(TLS_TIMEOUT, accepting)
        .await
        .ok()?
        .ok()?;
    let receive = async {
        let (send, mut recv) = connection.accept_bi().await?;
        if read_kind(&mut recv).await? != StreamKind::Control {
            return Err(Violation::WrongStream.into());
        }
        let writer = FrameWriter::accepted(send, StreamKind::Control);
        let mut stream = HandshakeStream::new(connection.clone(), endpoint, writer, recv);
        let opening = match stream.recv().await? {
            HandshakeMessage::Hello(hello) => Opening::Hello(hello),
            HandshakeMessage::Resume(resume) => Opening::Resume(resume),
            HandshakeMessage::Pake(_) | HandshakeMessage::Confirm(_) => {
                return Err(Violation::OutOfTurn.into());
            }
        };
        let exporter = tls_exporter(&connection)?;
        Ok(UnverifiedPeer {
            stream,
            opening,
            exporter,
        })
    };
    match with_timeout(CARD_TIMEOUT, receive).await {
        Ok(peer) => Some(peer),
        Err(error) => {
            debug!(%error, "a peer was dropped before it showed a card");
            close_with_error(&connection, &error);
            None
        }
    }
}

/// Verifies that the peer is an agent of the vendor's.
///
/// # Errors
/// The attempt that this was. The peer gets the stable name of the reason.
pub(crate) fn verify(
    peer: UnverifiedPeer,
    params: &AcceptParams,
    checks: Checks,
) -> Result<VerifiedAgent, Attempt> {
    let UnverifiedPeer {
        stream,
        opening,
        exporter,
    } = peer;
    let Opening::Hello(hello) = opening else {
        close(&stream.connection, CloseCode::Refused, RESUME_REFUSED);
        return Err(Attempt::ResumeRefused {
            reason: RESUME_REFUSED,
        });
    };
    let parties = Parties {
        agent: *stream.connection.remote_id().as_bytes(),
        customer: *stream.endpoint.id().as_bytes(),
        nameplate: params.code.nameplate,
    };
    let check = CardCheck {
        vendors: &params.vendors,
        revoked: &params.revoked,
        parties: &parties,
        exporter: &exporter,
        checks,
    };
    match check.check(&hello) {
        Ok((identity, card_hash)) => Ok(VerifiedAgent {
            stream,
            exporter,
            parties,
            card_hash,
            identity,
        }),
        Err(refusal) => {
            let reason = refusal.error.name();
            close(&stream.connection, CloseCode::Refused, reason);
            Err(match refusal.known_agent {
                Some((agent, validity)) => Attempt::CardOutOfTime { agent, validity },
                None => Attempt::Unauthorized { reason },
            })
        }
    }
}

/// A refused card.
pub(super) struct Refusal {
    pub(super) error: CardError,
    /// The agent, if nothing but the card's time is at fault.
    known_agent: Option<(AgentIdentity, CardValidity)>,
}

impl From<CardError> for Refusal {
    fn from(error: CardError) -> Self {
        Self {
            error,
            known_agent: None,
        }
    }
}

/// The check of a card and its proof on one connection.
pub(super) struct CardCheck<'a> {
    pub(super) vendors: &'a [VendorPublicKey],
    pub(super) revoked: &'a Revocations,
    pub(super) parties: &'a Parties,
    pub(super) exporter: &'a [u8; 32],
    pub(super) checks: Checks,
}

impl CardCheck<'_> {
    /// Checks card and proof. Returns the agent's identity and the card's hash. The proof counts
    /// also where the card is out of its time: without it nobody knows whose card it is.
    pub(super) fn check(&self, hello: &Hello) -> Result<(AgentIdentity, [u8; 32]), Refusal> {
        let card = AgentCard::from_text(&hello.card)?;
        let verified = card.verify(self.vendors, self.revoked, now());
        let out_of_time = match verified {
            Ok(_) => None,
            Err(error) if error.is_of_time() => Some(error),
            Err(error) => return Err(error.into()),
        };
        if self.checks.requires_proof() {
            card.verify_link(&self.parties.binding(self.exporter), &hello.proof)?;
        }
        let data = card.claims();
        let identity = AgentIdentity {
            name: data.name.clone(),
            organisation: data.organisation.clone(),
        };
        match out_of_time {
            None => Ok((identity, card.hash())),
            Some(error) => Err(Refusal {
                error,
                known_agent: Some((identity, data.validity())),
            }),
        }
    }
}

/// The outcome of a guess, and what resumes the link if it led to one.
pub(crate) type Guess = (Attempt, Option<CustomerResumption>);

/// Runs the PAKE phase and opens the link's streams: one guess at the code.
pub(crate) async fn run_pake(agent: VerifiedAgent, secret: Secret) -> Guess {
    let VerifiedAgent {
        mut stream,
        exporter,
        parties,
        card_hash,
        identity,
    } = agent;
    let connection = stream.connection.clone();
    let deadline = Instant::now() + PAKE_TIMEOUT;

    let (pake, ours) = Spake2Ed25519::start(Role::Customer, &secret, &parties);
    drop(secret);
    let theirs = match with_deadline(deadline, stream.recv_pake()).await {
        Ok(theirs) => theirs,
        Err(error) => return abort(&connection, &error),
    };
    let Some(key) = pake.finish(&theirs) else {
        return abort(&connection, &Violation::OutOfTurn.into());
    };
    // An agent who gave up while waiting in the queue has learnt nothing.
    if let Some(reason) = connection.close_reason() {
        return abort(&connection, &reason.into());
    }
    let keys = LinkKeys::derive(&key, &exporter);
    let transcript = Transcript::new(&parties, &card_hash, [&theirs, &ours]);

    // From here on the guess is used up.
    let linked = async {
        let theirs = with_deadline(deadline, async {
            stream.send(&[HandshakeMessage::Pake(ours)]).await?;
            stream.recv_confirmation().await
        })
        .await?;
        if !keys.is_confirmation(Role::Agent, &transcript, &theirs) {
            close(&stream.connection, CloseCode::WrongCode, "wrong-code");
            return Err(LinkError::Closed);
        }
        let ours = keys.confirmation(Role::Customer, &transcript);
        with_timeout(STREAMS_TIMEOUT, async {
            stream.send(&[HandshakeMessage::Confirm(ours)]).await?;
            CustomerLink::open(stream.into_authenticated(), identity.clone()).await
        })
        .await
    };
    match linked.await {
        Ok(link) => {
            let key = keys.resume_key();
            let resumption = CustomerResumption::new(parties, card_hash, identity, key);
            (Attempt::Authenticated(Box::new(link)), Some(resumption))
        }
        Err(error) => {
            // Without effect if the connection was closed for a wrong code.
            close_with_error(&connection, &error);
            (Attempt::WrongGuess { agent: identity }, None)
        }
    }
}

/// Ends an attempt before it has become a guess.
fn abort(connection: &Connection, error: &LinkError) -> Guess {
    debug!(%error, "an agent was dropped before a guess");
    close_with_error(connection, error);
    (Attempt::Aborted, None)
}

/// Returns the system's time. With a clock before 1970 every card is not valid yet.
fn now() -> UnixTime {
    UnixTime(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
    )
}
