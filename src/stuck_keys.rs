//! Keys that a dead plugin has left held down: the X server releases none by itself. Those of the
//! built-in module are released at once, before the customer wonders about their keyboard.

use std::sync::mpsc;
use std::time::Duration;

use etatuki_screen::CancelToken;
use etatuki_session_core::{FailureName, State, View};

/// Time-out for the release, whatever the X server does.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause between two attempts: the X server notices a dead client with a delay.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Releases held keys if `view` says that the plugin died.
pub(crate) fn release_after(view: &View) {
    let name = view.failure.as_ref().map(|failure| failure.name);
    if view.state != State::Failed || name != Some(FailureName::PluginDied) {
        return;
    }
    let Ok(cancel) = CancelToken::new() else {
        return;
    };
    let (done, awaited) = mpsc::channel();
    let until = cancel.clone();
    let thread = std::thread::Builder::new().name("etatuki-mend".into());
    let started = thread.spawn(move || {
        release(&until);
        done.send(())
    });
    let released = started.map(|_| awaited.recv_timeout(RELEASE_TIMEOUT));
    if !matches!(released, Ok(Ok(()))) {
        tracing::warn!("what the plugin held down may be held still");
    }
    cancel.cancel();
}

fn release(cancel: &CancelToken) {
    while !cancel.is_cancelled() {
        match etatuki_screen::release_stale_input(None, cancel) {
            Ok(true) => return,
            Ok(false) => std::thread::sleep(RETRY_INTERVAL),
            Err(error) => return tracing::warn!("nothing could be put right: {error}"),
        }
    }
}
