//! A second endpoint under the same key, while a link is interrupted.
//!
//! After an outage the first one may be without its relay for long: TCP repeats what was lost after
//! pauses that double (RFC 6298, section 5.5), and iroh dials a lost relay after pauses that double,
//! up to 16 s; nothing shortens either. The spare endpoint connects to the relay anew, and is itself
//! replaced every few seconds. The first one stays, for its address and its NAT mapping are the way
//! to a direct path. The relay sends packets to the one that has connected last. The link goes on
//! with the endpoint over which it was resumed; the other one is closed.

use std::{
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use iroh::Endpoint;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{
    debug,
    subscriber::{NoSubscriber, with_default},
};

use super::opener::Opener;
use crate::ticket_keeper::TicketKeeper;

/// Time until a spare endpoint is replaced. It outlasts five round trips of 0.8 s, which DNS, TCP, TLS
/// and the relay's handshake take; iroh's pauses reach one or two seconds meanwhile.
const SPARE_LIFE: Duration = Duration::from_secs(4);

/// Time for a handshake at the spare endpoint to end, before it is looked at again.
const DEFERRAL: Duration = Duration::from_millis(500);

/// Time-out for closing an endpoint at the session's end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The endpoints of one key: the current one, and the spare one.
#[derive(Debug)]
pub(crate) struct Endpoints {
    opener: Opener,
    current: RwLock<Endpoint>,
    spare: Mutex<Spare>,
    pub(super) ticket: TicketKeeper,
}

#[derive(Debug, Default)]
struct Spare {
    endpoint: Option<Endpoint>,
    /// When it is to be opened or replaced; `None` if it isn't needed.
    due: Option<Instant>,
}

impl Endpoints {
    pub(super) fn new(current: Endpoint, opener: Opener) -> Self {
        Self {
            opener,
            current: RwLock::new(current),
            spare: Mutex::default(),
            ticket: TicketKeeper::default(),
        }
    }

    /// Returns the endpoint of the last link, or of the first one to come.
    pub(crate) fn current(&self) -> Endpoint {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins to keep a spare endpoint, until a link is adopted. Without a relay there is none.
    pub(super) fn begin_spare(&self) {
        self.lock_spare().due = self.opener.has_relay().then(Instant::now);
    }

    /// Returns the spare endpoint.
    pub(crate) fn spare(&self) -> Option<Endpoint> {
        self.lock_spare().endpoint.clone()
    }

    /// Waits until the spare endpoint is to be opened or replaced.
    pub(super) async fn spare_due(&self) {
        let due = self.lock_spare().due;
        match due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Leaves the spare endpoint as it is for a moment.
    pub(super) fn defer_spare(&self) {
        self.lock_spare().due = Some(Instant::now() + DEFERRAL);
    }

    /// Opens the spare endpoint, in place of the one before.
    pub(super) async fn open_spare(&self) -> Option<Endpoint> {
        let opened = self.opener.open_with(self.ticket.newest()).await;
        let opened = opened.inspect_err(|error| debug!(%error, "no second endpoint"));
        let mut spare = self.lock_spare();
        spare.due = Some(Instant::now() + SPARE_LIFE);
        abort(spare.endpoint.take());
        spare.endpoint = opened.ok();
        spare.endpoint.clone()
    }

    /// Returns the spare endpoint, opened or replaced if that is due.
    pub(super) async fn fresh_spare(&self) -> Option<Endpoint> {
        if !self.opener.has_relay() {
            return None;
        }
        let fresh = {
            let spare = self.lock_spare();
            let is_fresh = spare.due.is_some_and(|due| due > Instant::now());
            spare.endpoint.clone().filter(|_| is_fresh)
        };
        match fresh {
            Some(spare) => Some(spare),
            None => self.open_spare().await,
        }
    }

    /// Notes that a resume is under way at the endpoint `used`. A spare endpoint that isn't used is
    /// aborted: it would take the packets of the other one as soon as it is connected to the relay.
    pub(crate) fn settle(&self, used: &Endpoint) {
        let mut spare = self.lock_spare();
        if !is_same(used, &self.current()) {
            return;
        }
        abort(spare.endpoint.take());
        if let Some(due) = &mut spare.due {
            *due = Instant::now() + SPARE_LIFE;
        }
    }

    /// Notes that the link goes on over the endpoint `used`: closes the other one.
    pub(super) fn adopt(&self, used: &Endpoint) {
        let Spare { endpoint, .. } = std::mem::take(&mut *self.lock_spare());
        let current = self.current();
        if is_same(used, &current) {
            abort(endpoint);
            return;
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = used.clone();
        self.ticket.follow(used.clone());
        tokio::spawn(async move { current.close().await });
    }

    /// Closes all of them. Takes at most two seconds.
    pub(super) async fn close(&self) {
        let spare = self.lock_spare().endpoint.take();
        let current = self.current();
        let all = spare.iter().chain([&current]);
        for endpoint in all {
            let _ = timeout(CLOSE_TIMEOUT, endpoint.close()).await;
        }
    }

    fn lock_spare(&self) -> MutexGuard<'_, Spare> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether two handles are of one endpoint: open endpoints have no socket in common.
fn is_same(one: &Endpoint, other: &Endpoint) -> bool {
    one.bound_sockets() == other.bound_sockets()
}

/// Ends an endpoint that never had a link, at once. A graceful close would wait three probe
/// time-outs for answers to its tries, and its connection to the relay, completed meanwhile, would
/// take the packets of its successor.
fn abort(endpoint: Option<Endpoint>) {
    // iroh complains of an endpoint that is dropped open.
    with_default(NoSubscriber::new(), || drop(endpoint));
}
