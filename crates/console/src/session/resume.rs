//! The agent's part of a resume: one try after the other, until one succeeds, the customer's end
//! refuses, or the link is lost.

use std::time::Duration;

use etatuki_link::{AgentStreams, DialError, LinkError};
use tokio::time::{sleep, timeout};

use super::{Outcome, agent_loop::LinkedSession, end_command};
use crate::session_error::SessionError;

/// Interval from the beginning of a try to the next one. A try that takes longer isn't cut for it.
const TRY_INTERVAL: Duration = Duration::from_secs(1);
/// Time-out of a try until TLS is done. It outlasts two round trips through a slow relay; QUIC sends
/// a lost first packet again after longer and longer pauses, so a fresh try is sooner there.
const REACH_TIMEOUT: Duration = Duration::from_secs(2);
/// Time-out of a whole try.
const TRY_TIMEOUT: Duration = Duration::from_secs(6);

impl LinkedSession<'_> {
    /// Dials the customer's end until the link is resumed.
    ///
    /// # Errors
    /// The end of the session: the link is lost at `lost_at`, the customer's end refuses, or the
    /// agent ends the session.
    pub(super) async fn redial(&mut self, lost_at: Duration) -> Result<AgentStreams, Outcome> {
        loop {
            let left = lost_at.saturating_sub(self.clock.elapsed());
            if left.is_zero() {
                return Err(Err(SessionError::Link(LinkError::Lost)));
            }
            let pause = sleep(TRY_INTERVAL.min(left));
            let tries = timeout(
                TRY_TIMEOUT.min(left),
                self.endpoint.resume(
                    &self.address,
                    &mut self.resumption,
                    &self.context.agent,
                    REACH_TIMEOUT,
                ),
            );
            let tried = tokio::select! {
                tried = tries => tried,
                reason = end_command(self.commands) => return Err(Ok(reason.name().into())),
            };
            match tried {
                Ok(Ok(streams)) => return Ok(streams),
                Ok(Err(error)) if is_final(&error) => return Err(Err(refused(error))),
                Ok(Err(error)) => tracing::debug!(%error, "the link isn't resumed yet"),
                Err(_) => tracing::debug!("the link isn't resumed yet: a try took too long"),
            }
            tokio::select! {
                () = pause => {}
                reason = end_command(self.commands) => return Err(Ok(reason.name().into())),
            }
        }
    }
}

/// Returns whether no later try can succeed: the customer's end itself says no.
const fn is_final(error: &DialError) -> bool {
    matches!(error, DialError::Refused(_) | DialError::WrongKey)
}

/// Returns the session's failure: the card's fault, or that the link is lost.
fn refused(error: DialError) -> SessionError {
    match &error {
        DialError::Refused(reason)
            if reason.starts_with("card-") || reason == "revocations-stale" =>
        {
            SessionError::Dial(error)
        }
        _ => SessionError::Link(LinkError::Lost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_ends_the_session_by_its_name_or_as_lost() {
        let check = |error: DialError, expected: &str| {
            assert!(is_final(&error));
            assert_eq!(refused(error).name(), expected);
        };
        check(DialError::Refused("card-revoked".into()), "card-revoked");
        check(DialError::Refused("resume-refused".into()), "link-lost");
        check(DialError::WrongKey, "link-lost");
        assert!(!is_final(&DialError::Unreachable) && !is_final(&DialError::Timeout));
        assert!(!is_final(&DialError::Protocol(LinkError::Interrupted)));
    }
}
