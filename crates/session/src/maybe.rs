//! Futures that may not be there, for the arms of `select!`.

use tokio::time::Instant;

/// Waits for the future, or for ever if there is none. Cancel safe if the future is.
pub(crate) async fn maybe<T>(future: Option<impl Future<Output = T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Waits until `due`, or for ever if there is no such moment. Cancel safe.
pub(crate) async fn maybe_until(due: Option<Instant>) {
    maybe(due.map(tokio::time::sleep_until)).await;
}
