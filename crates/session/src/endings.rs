//! The endings of an interrupted link: the agent's, for which the service is asked, and this end's.

use std::time::Duration;

use etatuki_link::{CustomerEndpoint, RelayToken};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::service_client::ServiceClient;

/// Interval of the questions.
const INTERVAL: Duration = Duration::from_secs(2);
/// Time-out for leaving an ending; the session's end waits no longer for it.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(1500);

/// The endings of one link, at the service.
pub(crate) struct Endings {
    service: ServiceClient,
    /// This end's, once it leaves.
    own: Option<String>,
    /// When the next one is asked; `None` while the link works.
    due: Option<Instant>,
    asked: Option<JoinHandle<Option<String>>>,
}

impl Endings {
    pub(crate) fn new(service: ServiceClient) -> Self {
        Self {
            service,
            own: None,
            due: None,
            asked: None,
        }
    }

    /// Begins to ask.
    pub(crate) fn link_interrupted(&mut self) {
        self.due = Some(Instant::now());
    }

    /// Ends asking.
    pub(crate) fn link_resumed(&mut self) {
        self.due = None;
        self.stop();
    }

    /// Notes that this end leaves, for the reason of this name. Signs an ending if the link is
    /// interrupted.
    pub(crate) fn leave(&mut self, endpoint: &CustomerEndpoint, reason: &str) {
        if self.due.is_some() {
            self.own = endpoint.sign_ending(reason);
        }
    }

    /// Leaves this end's ending at the service, if there is one. Has a time-out.
    pub(crate) async fn close(mut self, ticket: Option<RelayToken>) {
        let (Some(ending), Some(ticket)) = (self.own.take(), ticket) else {
            return;
        };
        let left = timeout(LEAVE_TIMEOUT, self.service.leave_ending(&ticket, &ending)).await;
        if !matches!(left, Ok(Ok(()))) {
            tracing::info!("the agent's end will learn of the end only when its time is over");
        }
    }

    /// Waits until the agent's end is known to have left. Cancel safe.
    pub(crate) async fn left(&mut self, endpoint: &CustomerEndpoint) {
        loop {
            let Some(due) = self.due else {
                return std::future::pending().await;
            };
            let Some(asked) = &mut self.asked else {
                sleep_until(due).await;
                self.due = Some(Instant::now() + INTERVAL);
                self.ask(endpoint);
                continue;
            };
            let answer = asked.await;
            self.asked = None;
            let (Ok(Some(ending)), Some(link)) = (answer, endpoint.link()) else {
                continue;
            };
            if let Some(reason) = link.read(&ending) {
                tracing::info!(
                    reason,
                    "the agent's end has left while the link was interrupted"
                );
                return;
            }
        }
    }

    fn ask(&mut self, endpoint: &CustomerEndpoint) {
        let (Some(link), Some(ticket)) = (endpoint.link(), endpoint.ticket()) else {
            return;
        };
        let (service, peer) = (self.service.clone(), link.peer());
        self.asked = Some(tokio::spawn(async move {
            let answer = service.ending_of(&ticket, &peer).await;
            answer.unwrap_or_else(|error| {
                tracing::debug!(%error, "the service doesn't say whether the agent's end has left");
                None
            })
        }));
    }

    fn stop(&mut self) {
        if let Some(asked) = self.asked.take() {
            asked.abort();
        }
    }
}

impl Drop for Endings {
    fn drop(&mut self) {
        self.stop();
    }
}
