//! A second endpoint under the same key, while a link is interrupted.
//!
//! After an outage the first one may be without its relay for long: TCP repeats what was lost after
//! pauses that double (RFC 6298, section 5.5), and iroh dials a lost relay after pauses that double,
//! up to 16 s; nothing shortens either. The spare endpoint connects to the relay anew, and is itself
//! replaced every few seconds. The first one stays, for its address and its NAT mapping are the way
//! to a direct path. The relay sends packets to the one that has connected last. The link goes on
//! with the endpoint over which it was resumed; the other one is closed.

use std::{
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use iroh::Endpoint;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{
    debug,
    subscriber::{NoSubscriber, with_default},
};

use super::{
    opener::{Opener, Uses},
    relay_turns::RelayTurn,
};
use crate::ticket_keeper::{RelayConnects, TicketKeeper};

/// Time until a spare endpoint is replaced. It outlasts five round trips of 0.8 s, which DNS, TCP, TLS
/// and the relay's handshake take; iroh's pauses reach one or two seconds meanwhile.
const SPARE_LIFE: Duration = Duration::from_secs(4);

/// Time for which none is opened while the first endpoint seems to do.
const PUT_OFF: Duration = Duration::from_secs(2);

/// Time for a handshake at the spare endpoint to end, before it is looked at again.
const DEFERRAL: Duration = Duration::from_millis(500);

/// Time-out for closing an endpoint at the session's end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The endpoints of one key: the current one, and the spare one.
#[derive(Debug)]
pub(crate) struct Endpoints {
    pub(super) opener: Opener,
    current: RwLock<Current>,
    spare: Mutex<Spare>,
    /// The relay of the current endpoint, if there is one.
    turn: Mutex<Option<RelayTurn>>,
    pub(super) ticket: TicketKeeper,
}

#[derive(Debug)]
struct Current {
    endpoint: Endpoint,
    relay_connects: RelayConnects,
}

impl Current {
    fn new(endpoint: Endpoint) -> Self {
        Self {
            relay_connects: RelayConnects::watch(&endpoint),
            endpoint,
        }
    }
}

#[derive(Debug, Default)]
struct Spare {
    endpoint: Option<Endpoint>,
    /// Times that the current endpoint had connected to the relay when this one was opened.
    relay_connects: u64,
    /// When it is to be opened or replaced; `None` if it isn't needed.
    due: Option<Instant>,
}

impl Endpoints {
    pub(super) fn new(current: Endpoint, opener: Opener) -> Self {
        let first = opener.relays().map(|relays| relays.first().clone());
        Self {
            opener,
            turn: Mutex::new(first.map(RelayTurn::new)),
            current: RwLock::new(Current::new(current)),
            spare: Mutex::default(),
            ticket: TicketKeeper::default(),
        }
    }

    /// Returns the endpoint of the last link, or of the first one to come.
    pub(crate) fn current(&self) -> Endpoint {
        self.read_current().endpoint.clone()
    }

    /// Returns how often the current endpoint has connected to its relay.
    pub(super) fn relay_connects(&self) -> u64 {
        self.read_current().relay_connects.count()
    }

    /// Begins to keep a spare endpoint, until a link is adopted. Without a relay there is none.
    pub(super) fn begin_spare(&self) {
        self.lock_spare().due = self.opener.relays().map(|_| Instant::now());
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
        let ticket = self.ticket.newest();
        let opened = self.opener.open(Uses::All(ticket.as_ref())).await;
        let opened = opened.inspect_err(|error| debug!(%error, "no second endpoint"));
        let relay_connects = self.relay_connects();
        let mut spare = self.lock_spare();
        spare.due = Some(Instant::now() + SPARE_LIFE);
        abort(spare.endpoint.take());
        spare.endpoint = opened.ok();
        spare.relay_connects = relay_connects;
        spare.endpoint.clone()
    }

    /// Waits until the current endpoint has connected to the relay by itself, since the spare one was
    /// opened: the relay sends to the current one from then on.
    pub(super) async fn reconnected(&self) {
        let mut watched = self.read_current().relay_connects.watched();
        let before = {
            let spare = self.lock_spare();
            spare.endpoint.as_ref().map(|_| spare.relay_connects)
        };
        if let Some(before) = before
            && watched.wait_for(|count| *count > before).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    /// Aborts the spare endpoint, and opens none for a while.
    pub(super) fn put_off_spare(&self) {
        abort(self.take_spare());
    }

    /// As [`put_off_spare`](Self::put_off_spare) for a spare endpoint with handshakes under way: the
    /// relay sends their packets to the current one from now on, and the peer is told, so that it tries
    /// again at once.
    pub(super) fn close_spare(&self) {
        if let Some(spare) = self.take_spare() {
            tokio::spawn(async move { timeout(CLOSE_TIMEOUT, spare.close()).await });
        }
    }

    fn take_spare(&self) -> Option<Endpoint> {
        let mut spare = self.lock_spare();
        spare.due = Some(Instant::now() + PUT_OFF);
        spare.endpoint.take()
    }

    /// Waits until `endpoint` is no longer the one to which the relay sends, because the other one has
    /// connected to it, too.
    pub(super) async fn overtaken(&self, endpoint: &Endpoint) {
        if is_same(endpoint, &self.current()) {
            return std::future::pending().await;
        }
        self.reconnected().await;
    }

    /// Returns the spare endpoint, opened or replaced if that is due.
    pub(super) async fn fresh_spare(&self) -> Option<Endpoint> {
        self.opener.relays()?;
        let due = self.lock_spare().due;
        if due.is_none_or(|due| due <= Instant::now()) {
            return self.open_spare().await;
        }
        self.spare()
    }

    /// Notes that a resume is under way at the endpoint `used`. A spare endpoint that isn't used is
    /// aborted: it would take the packets of the other one as soon as it is connected to the relay.
    pub(crate) fn settle(&self, used: &Endpoint) {
        if self.lock_spare().due.is_some() && is_same(used, &self.current()) {
            self.put_off_spare();
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
        let adopted = Current::new(used.clone());
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = adopted;
        self.ticket.follow(used.clone());
        tokio::spawn(async move { current.close().await });
    }

    /// Closes all of them. Takes at most two seconds.
    pub(super) async fn close(&self) {
        abort(self.lock_spare().endpoint.take());
        let _ = timeout(CLOSE_TIMEOUT, self.current().close()).await;
    }

    fn read_current(&self) -> RwLockReadGuard<'_, Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_turn(&self) -> MutexGuard<'_, Option<RelayTurn>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
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
