//! The queue of the handshakes at a customer's endpoint.
//!
//! Up to eight peers are in the TLS and card phases at once, each in a task of its own with its own
//! time-outs, so that one who stalls holds up nobody else. From then on there is one at a time: a
//! card is verified only while no guess runs, and a guess ends before the next begins, so that the
//! caller of [`HandshakeQueue::next`] can burn a code between two guesses.
//!
//! A proved resume takes the place of an unfinished one: the agent has given that up.
//!
//! The tasks are kept here and not in the future that waits for them. A caller that stops waiting
//! loses nothing: the outcome of a guess stays here for the next caller.

use etatuki_protocol::AgentIdentity;
use iroh::{
    Endpoint,
    endpoint::{Connection, Incoming, IncomingAddr},
};
use tokio::task::{JoinError, JoinSet};
use tracing::error;

use crate::{
    close_code::CloseCode,
    connection::close,
    endpoint::spare::Endpoints,
    handshake::{
        AcceptParams, Attempt, ResumeParams,
        customer::{Checks, Guess, UnverifiedPeer, receive_hello, run_pake, verify},
        customer_resume::{run_resume, verify_resume},
    },
    resume::CustomerResumption,
};

/// The most peers in the TLS and card phases at once; later ones wait outside, unanswered.
pub(crate) const MAX_HANDSHAKES: usize = 8;

/// The most of them from network addresses that haven't proved that packets get there. A recorded or
/// forged first packet takes none of the other places.
const MAX_UNVALIDATED_HANDSHAKES: usize = 4;

/// Whom the caller lets in.
#[derive(Clone, Copy)]
pub(crate) enum Terms<'a> {
    /// An agent who knows the code.
    Code(&'a AcceptParams),
    /// The agent of the last link.
    Resume(&'a ResumeParams),
}

#[derive(Default)]
pub(crate) struct HandshakeQueue {
    /// The peers in the TLS and card phases.
    hellos: JoinSet<Option<UnverifiedPeer>>,
    /// The running guess: none or one.
    guess: JoinSet<Guess>,
    /// The agent whose guess is running.
    guessing: Option<AgentIdentity>,
    /// The running resume: none or one.
    resume: JoinSet<Attempt>,
    /// The connection of the running resume.
    resuming: Option<Connection>,
    /// The state to resume the last link.
    pub(crate) resumption: Option<CustomerResumption>,
    pub(crate) checks: Checks,
}

impl HandshakeQueue {
    /// Waits for the next attempt to end, at either endpoint. Cancel safe.
    pub(crate) async fn next(&mut self, endpoints: &Endpoints, terms: Terms<'_>) -> Attempt {
        let (endpoint, mut spare) = (endpoints.current(), endpoints.spare());
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.guess.join_next() => return self.end_guess(ended),
                Some(ended) = self.resume.join_next() => return self.end_resume(ended),
                Some(ended) = self.hellos.join_next(), if self.guess.is_empty() => {
                    let Some(peer) = ended.ok().flatten() else { return Attempt::Aborted };
                    // The last handle, if it is to go.
                    drop(spare.take());
                    let begun = match terms {
                        Terms::Code(params) => self.begin_guess(peer, params),
                        Terms::Resume(params) => self.begin_resume(peer, params, endpoints),
                    };
                    if let Err(refused) = begun {
                        return refused;
                    }
                    spare = endpoints.spare();
                }
                incoming = endpoint.accept(), if self.hellos.len() < MAX_HANDSHAKES => match incoming {
                    None => return Attempt::Closed,
                    Some(incoming) => {
                        if self.is_idle() && self.is_agents(&incoming) {
                            // The relay leads here, and would lead to a spare endpoint from its start on.
                            drop(spare.take());
                            endpoints.settle(&endpoint);
                        }
                        self.begin_handshake(incoming, &endpoint);
                    }
                },
                Some((incoming, spare)) = accept(spare.as_ref()), if self.hellos.len() < MAX_HANDSHAKES => {
                    self.begin_handshake(incoming, spare);
                }
            }
        }
    }

    /// Starts TLS, or first asks the peer to show that packets get to their address (Retry,
    /// RFC 9000, section 8.1.2).
    fn begin_handshake(&mut self, incoming: Incoming, endpoint: &Endpoint) {
        let is_crowded = self.hellos.len() >= MAX_UNVALIDATED_HANDSHAKES;
        if is_crowded && !incoming.remote_addr_validated() {
            // Fails only for a validated address.
            let _ = incoming.retry();
        } else {
            self.hellos.spawn(receive_hello(incoming, endpoint.clone()));
        }
    }

    /// Returns whether a peer is the agent of the last link by the relay's word, which has asked for a
    /// proof.
    fn is_agents(&self, incoming: &Incoming) -> bool {
        let kept = self.resumption.as_ref();
        matches!(incoming.remote_addr(), IncomingAddr::Relay { endpoint_id, .. }
            if kept.is_some_and(|kept| kept.parties.agent == *endpoint_id.as_bytes()))
    }

    /// Returns whether no handshake is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.hellos.is_empty() && self.guess.is_empty() && self.resume.is_empty()
    }

    /// Returns the number of peers in the TLS and card phases, for this crate's tests.
    #[cfg(test)]
    pub(crate) fn handshakes(&self) -> usize {
        self.hellos.len()
    }

    fn begin_guess(&mut self, peer: UnverifiedPeer, params: &AcceptParams) -> Result<(), Attempt> {
        let agent = verify(peer, params, self.checks)?;
        self.guessing = Some(agent.identity().clone());
        self.guess
            .spawn(run_pake(agent, params.code.secret.clone()));
        Ok(())
    }

    /// Returns the outcome of a guess. A guess whose task failed counts as a guess all the same.
    fn end_guess(&mut self, ended: Result<Guess, JoinError>) -> Attempt {
        let agent = self.guessing.take();
        match ended {
            Ok((attempt, resumption)) => {
                self.resumption = resumption.or(self.resumption.take());
                attempt
            }
            Err(failure) => {
                error!(%failure, "the handshake failed inside");
                agent.map_or(Attempt::Aborted, |agent| Attempt::WrongGuess { agent })
            }
        }
    }

    fn begin_resume(
        &mut self,
        peer: UnverifiedPeer,
        params: &ResumeParams,
        endpoints: &Endpoints,
    ) -> Result<(), Attempt> {
        let resume = verify_resume(peer, params, self.resumption.as_mut(), self.checks)?;
        endpoints.settle(resume.stream.endpoint());
        let connection = resume.stream.connection().clone();
        if let Some(given_up) = self.resuming.replace(connection) {
            close(&given_up, CloseCode::Interrupted, "interrupted");
        }
        // Aborts the earlier one.
        self.resume = JoinSet::new();
        self.resume.spawn(run_resume(resume));
        Ok(())
    }

    /// Returns the outcome of a resume. The streams of a resumed link are the first message under
    /// its key.
    fn end_resume(&mut self, ended: Result<Attempt, JoinError>) -> Attempt {
        self.resuming = None;
        let attempt = ended.unwrap_or_else(|failure| {
            error!(%failure, "a resume failed inside");
            Attempt::Aborted
        });
        if let (Attempt::Resumed(_), Some(resumption)) = (&attempt, &mut self.resumption) {
            resumption.ratchet.confirm();
        }
        attempt
    }
}

/// Accepts a peer at the spare endpoint; ends without one if there is none, or it is closed.
async fn accept(spare: Option<&Endpoint>) -> Option<(Incoming, &Endpoint)> {
    let spare = spare?;
    let incoming = spare.accept().await?;
    Some((incoming, spare))
}

impl std::fmt::Debug for HandshakeQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandshakeQueue")
            .field("hellos", &self.hellos.len())
            .finish_non_exhaustive()
    }
}
