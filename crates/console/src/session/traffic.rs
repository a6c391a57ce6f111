//! The report of the line: its path, round trip and bytes, at each heartbeat of the customer's end.

use std::{sync::Arc, time::Duration};

use etatuki_link::{LinkConnection, LinkStats, PathKind};
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};

use super::SessionEvent;

/// Time without a heartbeat after which the line is reported all the same.
const OVERDUE: Duration = Duration::from_secs(2);

/// A report of the line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TrafficReport {
    /// Bytes so far.
    pub(crate) stats: LinkStats,
    /// The present path.
    pub(crate) path: PathKind,
    /// Its round-trip time, if known.
    pub(crate) round_trip: Option<Duration>,
    /// Whether the customer's end was heard just now. What it hasn't complained of is so at this
    /// moment: the picture is complete, unless a [`ScreenStatus`](etatuki_protocol::ScreenStatus)
    /// says otherwise.
    pub(crate) heard: bool,
}

/// Reports the bytes since the session's start, `earlier` connections included: at once, at each heartbeat, and when one is overdue; until nobody receives the reports.
pub(super) async fn report_traffic(
    connection: LinkConnection,
    earlier: LinkStats,
    heartbeats: Arc<Notify>,
    events: mpsc::Sender<SessionEvent>,
) {
    let mut heard = false;
    loop {
        let report = TrafficReport {
            stats: earlier + connection.stats(),
            path: connection.path_kind(),
            round_trip: connection.round_trip_time(),
            heard,
        };
        if events.send(SessionEvent::Traffic(report)).await.is_err() {
            return;
        }
        heard = timeout(OVERDUE, heartbeats.notified()).await.is_ok();
    }
}
