//! A plugin that dies while the agent holds keys leaves them held: the X server releases nothing by itself. What our
//! own module has left is put right at once, not when the customer wonders about his keyboard.

use std::sync::mpsc;
use std::time::Duration;

use etatuki_screen::CancelToken;
use etatuki_session::{FailureName, State, View};

/// Nobody is kept waiting longer, whatever the X server does.
const LIMIT: Duration = Duration::from_secs(1);
/// The X server learns of a death in its own time.
const PAUSE: Duration = Duration::from_millis(20);

/// Puts things right when this says that the plugin died.
pub(crate) fn after(view: &View) {
    let name = view.failure.as_ref().map(|failure| failure.name);
    if view.state != State::Failed || name != Some(FailureName::PluginDied) {
        return;
    }
    let Ok(stop) = CancelToken::new() else { return };
    let (done, awaited) = mpsc::channel();
    let until = stop.clone();
    let thread = std::thread::Builder::new().name("etatuki-mend".into());
    let started = thread.spawn(move || {
        mend(&until);
        done.send(())
    });
    let mended = started.map(|_| awaited.recv_timeout(LIMIT));
    if !matches!(mended, Ok(Ok(()))) {
        tracing::warn!("what the plugin held down may be held still");
    }
    stop.cancel();
}

fn mend(stop: &CancelToken) {
    while !stop.is_cancelled() {
        match etatuki_screen::release_stale_input(None, stop) {
            Ok(true) => return,
            Ok(false) => std::thread::sleep(PAUSE),
            Err(error) => return tracing::warn!("nothing could be put right: {error}"),
        }
    }
}
