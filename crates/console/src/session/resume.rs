//! The agent's part of a resume: one try after the other, until one succeeds, the customer's end
//! refuses, or the link is lost.

use std::time::Duration;

use etatuki_link::{AgentEndpoint, AgentStreams, DialError, EndedLink, LinkError};
use tokio::time::{sleep, timeout};

use super::{Outcome, agent_loop::LinkedSession, end_command};
use crate::{
    sanitize,
    service::endings::EndingClient,
    session_error::{SessionError, classify_end},
};

/// Interval from the beginning of a try to the next one. A try that takes longer isn't cut for it.
const TRY_INTERVAL: Duration = Duration::from_millis(500);
/// Time-out of a try until TLS is done. It outlasts two round trips through a slow relay; QUIC sends
/// a lost first packet again after longer and longer pauses, so a fresh try is sooner there.
const REACH_TIMEOUT: Duration = Duration::from_secs(2);
/// Time-out of a whole try.
const TRY_TIMEOUT: Duration = Duration::from_secs(6);

/// Interval of the questions whether the other end has left, and of tries to leave.
const ENDING_INTERVAL: Duration = Duration::from_secs(2);
/// Longest wait for the service when this end leaves. It goes on trying without anybody waiting.
const ENDING_TIMEOUT: Duration = Duration::from_millis(1500);

impl LinkedSession<'_> {
    /// Dials the customer's end until the link is resumed.
    ///
    /// # Errors
    /// The end of the session: the link is lost at `lost_at`, the customer's end refuses or has left,
    /// or the agent ends the session.
    pub(super) async fn redial(&mut self, lost_at: Duration) -> Result<AgentStreams, Outcome> {
        let endings = self.context.service.endings().await;
        let link = self.resumption.link();
        let mut peer_left = std::pin::pin!(peer_left(&self.endpoint, &link, endings.ok()));
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
                reason = &mut peer_left => return Err(classify_end(sanitize::stable_name(&reason))),
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
                reason = &mut peer_left => return Err(classify_end(sanitize::stable_name(&reason))),
                reason = end_command(self.commands) => return Err(Ok(reason.name().into())),
            }
        }
    }

    /// Leaves this end's ending at the service: tries until the customer's end has given up, and
    /// returns after one try's time.
    pub(super) async fn leave(&self, reason: &str, lost_at: Duration) {
        let Ok(endings) = self.context.service.endings().await else {
            return;
        };
        let Some(ticket) = self.endpoint.ticket() else {
            return;
        };
        let ending = self.endpoint.sign_ending(&self.resumption.link(), reason);
        let clock = self.clock;
        let leaving = tokio::spawn(async move {
            while clock.elapsed() < lost_at && !endings.leave(&ticket, ending.clone()).await {
                sleep(ENDING_INTERVAL).await;
            }
        });
        let _ = timeout(ENDING_TIMEOUT, leaving).await;
    }
}

/// Waits until the customer's end is known to have left, and returns the reason.
async fn peer_left(
    endpoint: &AgentEndpoint,
    link: &EndedLink,
    endings: Option<EndingClient>,
) -> String {
    let Some(endings) = endings else {
        return std::future::pending().await;
    };
    let peer = link.peer();
    loop {
        if let Some(ticket) = endpoint.ticket()
            && let Some(ending) = endings.of(&ticket, &peer).await
            && let Some(reason) = link.read(&ending)
        {
            return reason;
        }
        sleep(ENDING_INTERVAL).await;
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
