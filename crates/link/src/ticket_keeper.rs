//! Keeps an endpoint's relay ticket good, and counts its connections to the relay.
//!
//! iroh's client presents the ticket that it was opened with at every reconnect. So a renewed
//! ticket is told to the relay by whoever renews it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use iroh::{Endpoint, Watcher, endpoint::RelayStatus};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep, sleep_until},
};

use crate::relay::RelayToken;

/// Time between two renewals: a third of a ticket's life, so that one that fails can be repeated
/// for ten minutes.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Time between two tries of one that failed, or of a ticket that a relay refuses.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The outcome of a renewal.
#[derive(Debug)]
pub enum Renewal {
    /// The ticket for the next while.
    Ticket(RelayToken),
    /// The service gave no answer, or not now.
    Later,
    /// The service refuses this ticket for good.
    Refused,
}

/// The task that keeps an endpoint's relay ticket good. Dropping this ends it.
#[derive(Debug, Default)]
pub(crate) struct TicketKeeper(Mutex<Option<Keeping>>);

#[derive(Debug)]
struct Keeping {
    /// The endpoint whose relay is watched.
    endpoint: watch::Sender<Endpoint>,
    /// The newest ticket.
    ticket: watch::Receiver<RelayToken>,
    task: AbortHandle,
}

impl TicketKeeper {
    /// Begins to renew `ticket` every five minutes, and whenever a relay refuses it.
    pub(crate) fn start<R>(&self, endpoint: Endpoint, ticket: RelayToken, renew: R)
    where
        R: RenewTicket,
    {
        let (endpoint, endpoints) = watch::channel(endpoint);
        let (tickets, ticket) = watch::channel(ticket);
        *self.lock() = Some(Keeping {
            endpoint,
            ticket,
            task: tokio::spawn(keep_ticket(endpoints, tickets, renew)).abort_handle(),
        });
    }

    /// Goes on with another endpoint of the same key.
    pub(crate) fn follow(&self, endpoint: Endpoint) {
        if let Some(keeping) = &*self.lock() {
            keeping.endpoint.send_replace(endpoint);
        }
    }

    /// Returns the newest ticket.
    pub(crate) fn newest(&self) -> Option<RelayToken> {
        let keeping = self.lock();
        let keeping = keeping.as_ref()?;
        Some(keeping.ticket.borrow().clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Keeping>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The service's answer to a ticket that is to be renewed.
pub trait RenewTicket: Send + 'static {
    /// Exchanges a ticket for the next one. Has a time-out.
    fn renew(&self, ticket: &RelayToken) -> impl Future<Output = Renewal> + Send;
}

async fn keep_ticket(
    mut endpoints: watch::Receiver<Endpoint>,
    ticket: watch::Sender<RelayToken>,
    service: impl RenewTicket,
) {
    let mut due = Instant::now() + RENEWAL_INTERVAL;
    loop {
        let endpoint = endpoints.borrow_and_update().clone();
        if endpoint.is_closed() {
            return;
        }
        tokio::select! {
            () = refused(&endpoint) => {}
            () = sleep_until(due) => {}
            _ = endpoints.changed() => continue,
        }
        due = Instant::now() + RETRY_INTERVAL;
        let current = ticket.borrow().clone();
        match service.renew(&current).await {
            Renewal::Ticket(renewed) => {
                ticket.send_replace(renewed);
                due = Instant::now() + RENEWAL_INTERVAL;
            }
            Renewal::Later => {}
            Renewal::Refused => {
                tracing::warn!("the relay ticket can't be renewed");
                return;
            }
        }
        // A relay's refusal stands until iroh tries again.
        sleep(RETRY_INTERVAL).await;
    }
}

/// Waits until a relay refuses the ticket.
async fn refused(endpoint: &Endpoint) {
    let mut relays = endpoint.home_relay_status();
    loop {
        let mut current = relays.get().into_iter();
        if current.any(|relay| relay.auth_denied_reason().is_some()) {
            return;
        }
        if relays.updated().await.is_err() {
            // The endpoint is gone.
            return;
        }
    }
}

/// The number of times that an endpoint has connected to its relay.
#[derive(Debug)]
pub(crate) struct RelayConnects {
    count: watch::Receiver<u64>,
    watcher: AbortHandle,
}

impl RelayConnects {
    /// Spawns a task that counts until this is dropped.
    pub(crate) fn watch(endpoint: &Endpoint) -> Self {
        let (counting, count) = watch::channel(0);
        let mut relays = endpoint.home_relay_status();
        let watch = async move {
            while let Ok(current) = relays.updated().await {
                if current.iter().any(RelayStatus::is_connected) {
                    counting.send_modify(|count| *count += 1);
                }
            }
        };
        let watcher = tokio::spawn(watch).abort_handle();
        Self { count, watcher }
    }

    pub(crate) fn count(&self) -> u64 {
        *self.count.borrow()
    }

    /// Returns a watch over the number.
    pub(crate) fn watched(&self) -> watch::Receiver<u64> {
        self.count.clone()
    }
}

impl Drop for RelayConnects {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}
