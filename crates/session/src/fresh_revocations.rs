//! The revocation lists while a session runs: whoever resumes its link is judged by today's lists.

use std::path::PathBuf;
use std::time::Duration;

use etatuki_link::{AcceptParams, ResumeParams};
use etatuki_trust::StaleRevocations;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::revocations;
use crate::service_client::{ServiceClient, ServiceError};

/// Interval of the fetches while the link works. The agent's end may notice first that it doesn't,
/// and resume at once.
const CONNECTED_INTERVAL: Duration = Duration::from_secs(60);
/// Interval of the fetches while the link is interrupted.
const INTERRUPTED_INTERVAL: Duration = Duration::from_secs(2);
/// Longest wait of a resume for the first list after the interruption. A service that is away, or
/// withholds its list, keeps no session from being resumed: the kept lists count until their end.
const MAX_HOLD: Duration = Duration::from_millis(1500);

/// The lists, and the fetch of newer ones.
pub(crate) struct FreshRevocations {
    /// The vendors' keys, and the newest lists so far.
    params: ResumeParams,
    service: ServiceClient,
    /// File of the newest lists; `None` keeps none.
    file: Option<PathBuf>,
    when_stale: StaleRevocations,
    fetch: Option<JoinHandle<Result<Option<String>, ServiceError>>>,
    fetch_at: Instant,
    interval: Duration,
    held_until: Instant,
}

impl FreshRevocations {
    /// Begins with the lists by which the agent was let in.
    pub(crate) fn new(
        accepted: &AcceptParams,
        service: ServiceClient,
        file: Option<PathBuf>,
        when_stale: StaleRevocations,
    ) -> Self {
        let now = Instant::now();
        Self {
            params: ResumeParams {
                vendors: accepted.vendors.clone(),
                revoked: accepted.revoked.clone(),
            },
            service,
            file,
            when_stale,
            fetch: None,
            fetch_at: now + CONNECTED_INTERVAL,
            interval: CONNECTED_INTERVAL,
            held_until: now,
        }
    }

    /// Returns the terms of a resume; `None` while it must wait for a list.
    pub(crate) fn params(&self) -> Option<&ResumeParams> {
        let held = self.fetch.is_some() && Instant::now() < self.held_until;
        (!held).then_some(&self.params)
    }

    /// Notes that the link is interrupted: fetches at once, and again and again.
    pub(crate) fn link_interrupted(&mut self) {
        self.fetch = None;
        self.interval = INTERRUPTED_INTERVAL;
        self.begin_fetch();
        self.held_until = Instant::now() + MAX_HOLD;
    }

    /// Notes that the link works again.
    pub(crate) fn link_resumed(&mut self) {
        self.interval = CONNECTED_INTERVAL;
        self.fetch_at = Instant::now() + CONNECTED_INTERVAL;
    }

    /// Waits until [`params`](Self::params) may have changed. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        let Some(fetch) = &mut self.fetch else {
            sleep_until(self.fetch_at).await;
            self.begin_fetch();
            return;
        };
        let now = Instant::now();
        let hold_ends = async {
            if now < self.held_until {
                sleep_until(self.held_until).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let fetched = tokio::select! {
            fetched = fetch => fetched,
            () = hold_ends => return,
        };
        self.fetch = None;
        self.fetch_at = Instant::now() + self.interval;
        match fetched {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(list))) => {
                self.params.revoked = revocations::newest(
                    self.file.as_deref(),
                    Some(&list),
                    &self.params.vendors,
                    self.when_stale,
                );
            }
            Ok(Err(error)) => tracing::debug!(%error, "no newer revocation lists"),
            Err(error) => tracing::warn!(%error, "the revocation lists weren't fetched"),
        }
    }

    fn begin_fetch(&mut self) {
        let service = self.service.clone();
        self.fetch = Some(tokio::spawn(async move { service.revocations().await }));
    }
}

impl Drop for FreshRevocations {
    fn drop(&mut self) {
        if let Some(fetch) = &self.fetch {
            fetch.abort();
        }
    }
}
