//! The Esc key: holding it for one second takes control back, from any window. A customer who is
//! startled presses Esc, not our button.

use std::time::{Duration, Instant};

use etatuki_screen::{CancelToken, EscapeKey, ScreenError};

/// Time between two queries of the keyboard.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Time for which Esc must be held.
const HOLD_TIME: Duration = Duration::from_secs(1);

/// A thread that watches Esc until this is dropped.
pub(crate) struct EscapeWatch {
    cancel: Option<CancelToken>,
}

impl EscapeWatch {
    /// Calls `on_held` on a thread of its own whenever Esc has been held long enough. If the
    /// display doesn't answer any more, the bar's button remains.
    pub(crate) fn start(on_held: impl Fn() + Send + 'static) -> Self {
        let cancel = CancelToken::new().and_then(|cancel| {
            let watched = cancel.clone();
            let watch = move || {
                if let Err(error) = watch(&watched, on_held) {
                    tracing::warn!("Esc is not watched: {error}");
                }
            };
            let thread = std::thread::Builder::new().name("etatuki-esc".into());
            thread.spawn(watch).map(|_| cancel)
        });
        let cancel = cancel.inspect_err(|error| tracing::warn!("Esc is not watched: {error}"));
        Self {
            cancel: cancel.ok(),
        }
    }
}

impl Drop for EscapeWatch {
    fn drop(&mut self) {
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
    }
}

fn watch(cancel: &CancelToken, on_held: impl Fn()) -> Result<(), ScreenError> {
    let key = EscapeKey::open(None, cancel)?;
    let mut since = None;
    while !cancel.is_cancelled() {
        if !key.is_down()? {
            since = None;
        } else if since.get_or_insert_with(Instant::now).elapsed() >= HOLD_TIME {
            on_held();
            since = None;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}
