//! The customer's side of the handshake: door, card, guess.
//!
//! A guess is used up at one point in [`guess`], between checking the agent's PAKE message and sending
//! ours: before it we have said nothing that depends on the code, after it the other end can test one
//! secret. Every way out behind that point is [`Attempt::Authenticated`] or [`Attempt::WrongGuess`], also
//! if the agent breaks off, stalls or loses the line. `guess` runs as a task of its own (see `lobby`), so
//! nobody who stops waiting for it can stop it or lose what it says.

use std::time::{SystemTime, UNIX_EPOCH};

use etatuki_protocol::{AgentIdentity, HandshakeMessage, Hello, StreamKind, Violation};
use etatuki_trust::{AgentCard, CardData, CardError, LinkProof, Secret, UnixTime};
use iroh::{Endpoint, endpoint::Incoming};
use tokio::time::Instant;
use tracing::debug;

use super::{
    Attempt, CARD_LIMIT, Offer, PAKE_LIMIT, STREAMS_LIMIT, TLS_LIMIT, Talk, answering, by,
    exporter, within,
};
use crate::{
    connection::{CloseCode, close, close_for},
    error::LinkError,
    keys::{LinkKeys, Transcript},
    link::CustomerLink,
    pake::{Pake, Parties, Role, Spake},
    stream::read_kind,
};

/// Somebody who has sent a hello. Nothing in it is believed yet.
pub(crate) struct Visitor {
    talk: Talk,
    hello: Hello,
    exporter: [u8; 32],
}

/// An agent of the vendor's on this very connection.
pub(crate) struct Caller {
    talk: Talk,
    exporter: [u8; 32],
    parties: Parties,
    card_hash: [u8; 32],
    identity: AgentIdentity,
}

impl Caller {
    pub(crate) const fn identity(&self) -> &AgentIdentity {
        &self.identity
    }
}

/// How much of a hello is checked. Only this crate's own tests can leave something out, to see that the
/// next wall holds as well.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checks {
    #[cfg(test)]
    pub(crate) believe_any_proof: bool,
}

/// TLS and the card phase; `None` for whoever doesn't get through them.
///
/// Nothing is read before TLS is done. Data that a peer sent early (which anybody could have recorded)
/// can't hold a valid hello: the proof is over the exporter, which exists only afterwards.
pub(crate) async fn receive(incoming: Incoming, endpoint: Endpoint) -> Option<Visitor> {
    let accepting = incoming.accept().ok()?;
    let connection = tokio::time::timeout(TLS_LIMIT, accepting)
        .await
        .ok()?
        .ok()?;
    let visit = async {
        let (send, mut recv) = connection.accept_bi().await?;
        if read_kind(&mut recv).await? != StreamKind::Control {
            return Err(Violation::WrongStream.into());
        }
        let mut talk = Talk::new(connection.clone(), endpoint, answering(send), recv);
        let HandshakeMessage::Hello(hello) = talk.recv().await? else {
            return Err(Violation::OutOfTurn.into());
        };
        let exporter = exporter(&connection)?;
        Ok(Visitor {
            talk,
            hello,
            exporter,
        })
    };
    match within(CARD_LIMIT, visit).await {
        Ok(visitor) => Some(visitor),
        Err(error) => {
            debug!(%error, "a caller was dropped before he showed a card");
            close_for(&connection, &error);
            None
        }
    }
}

/// Whether the visitor is an agent of the vendor's. If not: the stable name of why not, which he is told
/// as well.
pub(crate) fn verify(
    visitor: Visitor,
    offer: &Offer,
    checks: Checks,
) -> Result<Caller, &'static str> {
    let Visitor {
        talk,
        hello,
        exporter,
    } = visitor;
    let parties = Parties {
        agent: *talk.connection.remote_id().as_bytes(),
        customer: *talk.endpoint.id().as_bytes(),
        nameplate: offer.code.nameplate,
    };
    match check_card(&hello, offer, &parties, &exporter, checks) {
        Ok((identity, card_hash)) => Ok(Caller {
            talk,
            exporter,
            parties,
            card_hash,
            identity,
        }),
        Err(error) => {
            close(&talk.connection, CloseCode::Refused, error.name());
            Err(error.name())
        }
    }
}

fn check_card(
    hello: &Hello,
    offer: &Offer,
    parties: &Parties,
    exporter: &[u8; 32],
    checks: Checks,
) -> Result<(AgentIdentity, [u8; 32]), CardError> {
    let card = AgentCard::from_text(&hello.card)?;
    let CardData {
        name, organisation, ..
    } = card.verify(&offer.vendors, &offer.revoked, now())?;
    let proof = LinkProof {
        exporter,
        nameplate: &parties.nameplate,
        agent: &parties.agent,
        customer: &parties.customer,
    };
    if must_prove(checks) {
        card.verify_link(&proof, &hello.proof)?;
    }
    let identity = AgentIdentity {
        name: name.clone(),
        organisation: organisation.clone(),
    };
    Ok((identity, card.hash()))
}

#[cfg(not(test))]
const fn must_prove(_: Checks) -> bool {
    true
}

#[cfg(test)]
const fn must_prove(checks: Checks) -> bool {
    !checks.believe_any_proof
}

/// The PAKE phase and the link's streams.
pub(crate) async fn guess(caller: Caller, secret: Secret) -> Attempt {
    let Caller {
        mut talk,
        exporter,
        parties,
        card_hash,
        identity,
    } = caller;
    let connection = talk.connection.clone();
    let deadline = Instant::now() + PAKE_LIMIT;

    let (pake, ours) = Spake::start(Role::Customer, &secret, &parties);
    drop(secret);
    let theirs = match by(deadline, talk.recv_pake()).await {
        Ok(theirs) => theirs,
        Err(error) => return dropped(&connection, &error),
    };
    let Some(key) = pake.finish(&theirs) else {
        return dropped(&connection, &Violation::OutOfTurn.into());
    };
    // Whoever gave up while he stood in line has learnt nothing.
    if let Some(reason) = connection.close_reason() {
        return dropped(&connection, &reason.into());
    }
    let keys = LinkKeys::derive(&key, &exporter);
    let transcript = Transcript::new(&parties, &card_hash, [&theirs, &ours]);

    // From here on the guess is used up.
    let linked = async {
        let theirs = by(deadline, async {
            talk.send(&[HandshakeMessage::Pake(ours)]).await?;
            talk.recv_confirmation().await
        })
        .await?;
        if !keys.confirms(Role::Agent, &transcript, &theirs) {
            close(&talk.connection, CloseCode::WrongCode, "wrong-code");
            return Err(LinkError::Closed);
        }
        let ours = keys.confirmation(Role::Customer, &transcript);
        within(STREAMS_LIMIT, async {
            talk.send(&[HandshakeMessage::Confirm(ours)]).await?;
            CustomerLink::open(talk.into_link(), identity.clone(), keys.resume_key()).await
        })
        .await
    };
    match linked.await {
        Ok(link) => Attempt::Authenticated(Box::new(link)),
        Err(error) => {
            // Without effect if it was closed for a wrong code.
            close_for(&connection, &error);
            Attempt::WrongGuess { agent: identity }
        }
    }
}

/// Ends an attempt before it has become a guess.
fn dropped(connection: &iroh::endpoint::Connection, error: &LinkError) -> Attempt {
    debug!(%error, "an agent was dropped before he guessed");
    close_for(connection, error);
    Attempt::Noise
}

/// A clock before 1970 finds every card not valid yet.
fn now() -> UnixTime {
    UnixTime(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
    )
}
