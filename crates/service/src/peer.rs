//! The other end of a connection, and the limits on how many connections there are.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{config::Limits, rate_limit::ClientNetwork};

/// The other end of a connection. It counts as one connection while any of its clones lives.
#[derive(Clone, Debug)]
pub(crate) struct Peer(Arc<ConnectionPermit>);

impl Peer {
    pub(crate) fn network(&self) -> ClientNetwork {
        self.0.network
    }

    /// Counts a request of this connection that was refused as one too many. Returns their number.
    pub(crate) fn count_limited(&self) -> u32 {
        self.0.limited.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// One counted connection; dropping it makes room for another.
#[derive(Debug)]
struct ConnectionPermit {
    network: ClientNetwork,
    /// Requests that were refused as too many.
    limited: AtomicU32,
    connections: Arc<Connections>,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.total -= 1;
        if let Some(count) = open.by_network.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.by_network.remove(&self.network);
            }
        }
    }
}

/// The number of open connections, and its limits.
#[derive(Debug)]
pub(crate) struct Connections {
    max_total: usize,
    max_per_network: u32,
    open: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    total: usize,
    by_network: HashMap<ClientNetwork, u32>,
}

impl Connections {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            max_total: limits.connections,
            max_per_network: limits.connections_per_address,
            open: Mutex::default(),
        })
    }

    /// Counts one more connection, unless a limit is reached.
    pub(crate) fn try_acquire(connections: &Arc<Self>, network: ClientNetwork) -> Option<Peer> {
        let mut open = connections.lock();
        if open.total >= connections.max_total {
            return None;
        }
        let count = open.by_network.entry(network).or_default();
        if *count >= connections.max_per_network {
            return None;
        }
        *count += 1;
        open.total += 1;
        Some(Peer(Arc::new(ConnectionPermit {
            network,
            limited: AtomicU32::new(0),
            connections: connections.clone(),
        })))
    }

    /// Returns the number of open connections.
    pub(crate) fn count(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_while_they_live() {
        let limits = Limits {
            connections: 3,
            connections_per_address: 2,
            ..Limits::default()
        };
        let connections = Connections::new(&limits);
        let [first, second] =
            ["192.0.2.1", "192.0.2.2"].map(|address| ClientNetwork::of(address.parse().unwrap()));
        let acquire = |network| Connections::try_acquire(&connections, network);
        let one = acquire(first).unwrap();
        let two = acquire(first).unwrap();
        assert!(acquire(first).is_none(), "two of one address");
        let three = acquire(second).unwrap();
        assert!(acquire(second).is_none(), "three of all");
        let copy = one.clone();
        drop(one);
        assert!(acquire(second).is_none(), "a clone still lives");
        drop(copy);
        assert!(acquire(first).is_some());
        drop((two, three));
        assert_eq!(connections.lock().total, 0);
        assert!(connections.lock().by_network.is_empty());
    }
}
