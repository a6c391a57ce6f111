//! Takes a direct path again after it was lost.
//!
//! A direct path that goes dark is left for the relay, and iroh looks for a new one only when an
//! address of either end changes, or once a minute. So the agent's end, which begins every search,
//! makes one every few seconds as long as a link that had a direct path has none.

use std::{
    net::{SocketAddr, SocketAddrV6},
    time::Duration,
};

use iroh::{
    Endpoint,
    endpoint::{Connection, WeakConnectionHandle},
};
use tokio::time::{MissedTickBehavior, interval};

use crate::connection::{PathKind, path_kind};

/// Interval of the searches. iroh makes none more often, unless an address is new to it.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Searches for a direct path, whenever the connection has lost one, until the connection is closed.
/// Doesn't keep it open.
pub(crate) fn spawn(endpoint: Endpoint, connection: &Connection) {
    let connection = connection.weak_handle();
    tokio::spawn(async move {
        let mut search = Search {
            endpoint,
            added: None,
        };
        let closed = connection.closed();
        tokio::select! {
            _ = closed => {}
            () = search.run(&connection) => {}
        }
        search.forget().await;
    });
}

/// The searches on one endpoint.
struct Search {
    endpoint: Endpoint,
    /// The second notation of an address of ours that iroh has now.
    added: Option<SocketAddr>,
}

impl Search {
    async fn run(&mut self, connection: &WeakConnectionHandle) {
        let mut ticks = interval(RETRY_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut was_direct = false;
        loop {
            ticks.tick().await;
            let Some(strong) = connection.upgrade() else {
                return;
            };
            let kind = path_kind(&strong);
            drop(strong);
            match kind {
                PathKind::Direct => was_direct = true,
                PathKind::Relayed if was_direct => self.begin().await,
                PathKind::Relayed | PathKind::Unknown => {}
            }
        }
    }

    /// Makes iroh search now, by a change of our own addresses: one of them comes or goes under a
    /// second notation. To QUIC both notations are one address, so the peer is told nothing.
    async fn begin(&mut self) {
        if self.added.is_some() {
            return self.forget().await;
        }
        let addresses = self.endpoint.addr();
        if let Some(own) = addresses.ip_addrs().next() {
            let second = second_notation(*own);
            self.endpoint.add_external_addr(second).await;
            self.added = Some(second);
        }
    }

    async fn forget(&mut self) {
        if let Some(second) = self.added.take() {
            self.endpoint.remove_external_addr(&second).await;
        }
    }
}

/// The flow information by which a second notation differs from the first.
const SECOND_NOTATION: u32 = 1;

/// Returns an address that differs from `address` only in a field that no packet carries: the flow
/// information of an IPv6 address, or of an IPv4 address mapped to IPv6.
fn second_notation(address: SocketAddr) -> SocketAddr {
    let ip = match address {
        SocketAddr::V4(v4) => v4.ip().to_ipv6_mapped(),
        SocketAddr::V6(v6) => *v6.ip(),
    };
    SocketAddrV6::new(ip, address.port(), SECOND_NOTATION, 0).into()
}
