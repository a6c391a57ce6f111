//! Where those wait who dial a customer.
//!
//! Up to eight callers are at the door at once, each in a task of its own with its own time limit, so
//! that one who stalls holds nobody else up. Behind the door there is one at a time: a card is verified
//! only when no guess is running, and a guess ends before the next begins, so that the caller of
//! [`Lobby::next`] can burn a code between two of them.
//!
//! The tasks are kept here and not in the future that waits for them. Whoever stops waiting loses
//! nothing: what a guess came to is there for the next one who asks.

use etatuki_protocol::AgentIdentity;
use iroh::Endpoint;
use tokio::task::{JoinError, JoinSet};
use tracing::error;

use crate::handshake::{
    Attempt, Offer,
    customer::{Checks, Visitor, guess, receive, verify},
};

/// How many may be at the door; the rest wait outside, unanswered.
const DOORS: usize = 8;

#[derive(Default)]
pub(crate) struct Lobby {
    doors: JoinSet<Option<Visitor>>,
    /// None or one.
    guesses: JoinSet<Attempt>,
    /// Whose guess is running.
    guessing: Option<AgentIdentity>,
    pub(crate) checks: Checks,
}

impl Lobby {
    /// Waits for the next attempt to end. Cancel safe.
    pub(crate) async fn next(&mut self, endpoint: &Endpoint, offer: &Offer) -> Attempt {
        loop {
            tokio::select! {
                biased;
                Some(done) = self.guesses.join_next() => return self.guessed(done),
                Some(done) = self.doors.join_next(), if self.guesses.is_empty() => {
                    let Some(visitor) = done.ok().flatten() else { return Attempt::Noise };
                    match verify(visitor, offer, self.checks) {
                        Err(reason) => return Attempt::Stranger { reason },
                        Ok(caller) => {
                            self.guessing = Some(caller.identity().clone());
                            self.guesses.spawn(guess(caller, offer.code.secret.clone()));
                        }
                    }
                }
                incoming = endpoint.accept(), if self.doors.len() < DOORS => match incoming {
                    None => return Attempt::Closed,
                    Some(incoming) => {
                        self.doors.spawn(receive(incoming, endpoint.clone()));
                    }
                },
            }
        }
    }

    /// A guess that came to a sudden end was a guess all the same.
    fn guessed(&mut self, done: Result<Attempt, JoinError>) -> Attempt {
        let agent = self.guessing.take();
        done.unwrap_or_else(|failure| {
            error!(%failure, "the handshake failed inside");
            agent.map_or(Attempt::Noise, |agent| Attempt::WrongGuess { agent })
        })
    }
}

impl std::fmt::Debug for Lobby {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lobby")
            .field("doors", &self.doors.len())
            .finish_non_exhaustive()
    }
}
