//! The check of the customer's display before a code is made: one answer, whichever plugin or tool
//! would share it.

use etatuki_session_core::Failure;

/// Checks that the display can be shared at all. May wait for the display server.
pub type DisplayCheck = fn() -> Result<(), Failure>;

/// Runs a check where it holds nothing up.
pub(crate) async fn run(check: DisplayCheck) -> Result<(), Failure> {
    // A check that panicked says nothing about the display: the plugin will.
    tokio::task::spawn_blocking(check).await.unwrap_or(Ok(()))
}
