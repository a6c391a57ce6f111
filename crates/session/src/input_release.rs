//! The launcher's own way to release what the agent holds down. A plugin releases what it is told
//! to; one that is gone, or whose tool is, releases nothing.

use std::fmt::Debug;
use std::time::Duration;

use tokio::sync::oneshot;

/// Time-out for the last release, whatever the display does.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// Releases injected input on the customer's display. No method waits.
pub trait InputRelease: Debug + Send + Sync {
    /// Notes that an agent has control from now on, and leaves a trace by which the next launcher
    /// can release what is held, should this one be killed.
    fn control_given(&self);

    /// Releases everything that injected input holds down. Does nothing before control was given.
    fn release(&self);

    /// The plugin and its tool are gone: does the same as [`release`](Self::release), removes the
    /// trace, and calls `done`.
    fn finish(&self, done: Box<dyn FnOnce() + Send>);
}

/// Finishes, and waits until that is done.
pub(crate) async fn finish(input: &dyn InputRelease) {
    let (done, finished) = oneshot::channel();
    input.finish(Box::new(move || {
        let _ = done.send(());
    }));
    if tokio::time::timeout(FINISH_TIMEOUT, finished)
        .await
        .is_err()
    {
        tracing::warn!("what the agent held down may be held still");
    }
}
