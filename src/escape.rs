//! The Esc key: holding it for one second takes control back, from any window. A customer who is
//! startled presses Esc, not our button.

use std::time::Duration;

use etatuki_screen::{CancelToken, EscapeKey, ScreenError};

/// Time for which Esc must be held.
const HOLD_TIME: Duration = Duration::from_secs(1);

/// A thread that watches Esc until this is dropped.
pub(crate) struct EscapeWatch {
    cancel: Option<CancelToken>,
}

impl EscapeWatch {
    /// Calls `on_held` on a thread of its own whenever the customer has held Esc long enough. If
    /// the display doesn't answer any more, the bar's button remains.
    pub(crate) fn start(on_held: impl Fn() + Send + 'static) -> Self {
        let cancel = CancelToken::new().and_then(|cancel| {
            let watched = cancel.clone();
            let watch = move || {
                if let Err(error) = watch(&watched, on_held)
                    && !matches!(error, ScreenError::Cancelled)
                {
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
    let mut key = EscapeKey::open(None, cancel)?;
    loop {
        key.wait_until_held(HOLD_TIME)?;
        on_held();
    }
}
