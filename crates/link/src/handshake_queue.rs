//! The queue of the handshakes at a customer's endpoint.
//!
//! Up to eight peers are in the TLS and card phases at once, each in a task of its own with its own
//! time-outs, so that one who stalls holds up nobody else. From then on there is one at a time: a
//! card is verified only while no guess runs, and a guess ends before the next begins, so that the
//! caller of [`HandshakeQueue::next`] can burn a code between two guesses.
//!
//! The tasks are kept here and not in the future that waits for them. A caller that stops waiting
//! loses nothing: the outcome of a guess stays here for the next caller.

use etatuki_protocol::AgentIdentity;
use iroh::Endpoint;
use tokio::task::{JoinError, JoinSet};
use tracing::error;

use crate::handshake::{
    AcceptParams, Attempt,
    customer::{Checks, UnverifiedPeer, receive_hello, run_pake, verify},
};

/// The most peers in the TLS and card phases at once; later ones wait outside, unanswered.
const MAX_HANDSHAKES: usize = 8;

#[derive(Default)]
pub(crate) struct HandshakeQueue {
    /// The peers in the TLS and card phases.
    hellos: JoinSet<Option<UnverifiedPeer>>,
    /// The running guess: none or one.
    guess: JoinSet<Attempt>,
    /// The agent whose guess is running.
    guessing: Option<AgentIdentity>,
    pub(crate) checks: Checks,
}

impl HandshakeQueue {
    /// Waits for the next attempt to end. Cancel safe.
    pub(crate) async fn next(&mut self, endpoint: &Endpoint, params: &AcceptParams) -> Attempt {
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.guess.join_next() => return self.end_guess(ended),
                Some(ended) = self.hellos.join_next(), if self.guess.is_empty() => {
                    let Some(peer) = ended.ok().flatten() else { return Attempt::Aborted };
                    match verify(peer, params, self.checks) {
                        Err(refused) => return refused,
                        Ok(agent) => {
                            self.guessing = Some(agent.identity().clone());
                            self.guess.spawn(run_pake(agent, params.code.secret.clone()));
                        }
                    }
                }
                incoming = endpoint.accept(), if self.hellos.len() < MAX_HANDSHAKES => match incoming {
                    None => return Attempt::Closed,
                    Some(incoming) => {
                        self.hellos.spawn(receive_hello(incoming, endpoint.clone()));
                    }
                },
            }
        }
    }

    /// Returns the outcome of a guess. A guess whose task failed counts as a guess all the same.
    fn end_guess(&mut self, ended: Result<Attempt, JoinError>) -> Attempt {
        let agent = self.guessing.take();
        ended.unwrap_or_else(|failure| {
            error!(%failure, "the handshake failed inside");
            agent.map_or(Attempt::Aborted, |agent| Attempt::WrongGuess { agent })
        })
    }
}

impl std::fmt::Debug for HandshakeQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandshakeQueue")
            .field("hellos", &self.hellos.len())
            .finish_non_exhaustive()
    }
}
