//! Holding Esc for one second takes control back, from any window: a customer who is startled presses
//! Esc, not our button.

use std::time::{Duration, Instant};

use etatuki_screen::{CancelToken, EscapeKey, ScreenError};

/// How often the keyboard is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long Esc is held.
const HOLD: Duration = Duration::from_secs(1);

/// Watches Esc until it is dropped.
pub(crate) struct EscapeWatch {
    stop: Option<CancelToken>,
}

impl EscapeWatch {
    /// Calls `held` on a thread of its own every time that Esc has been held long enough. Where that
    /// can't be had (no display answers any more), the bar's button remains.
    pub(crate) fn start(held: impl Fn() + Send + 'static) -> Self {
        let stop = CancelToken::new().and_then(|stop| {
            let watched = stop.clone();
            let watch = move || {
                if let Err(error) = watch(&watched, held) {
                    tracing::warn!("Esc is not watched: {error}");
                }
            };
            let thread = std::thread::Builder::new().name("etatuki-esc".into());
            thread.spawn(watch).map(|_| stop)
        });
        let stop = stop.inspect_err(|error| tracing::warn!("Esc is not watched: {error}"));
        Self { stop: stop.ok() }
    }
}

impl Drop for EscapeWatch {
    fn drop(&mut self) {
        if let Some(stop) = &self.stop {
            stop.cancel();
        }
    }
}

fn watch(stop: &CancelToken, held: impl Fn()) -> Result<(), ScreenError> {
    let key = EscapeKey::open(None, stop)?;
    let mut since = None;
    while !stop.is_cancelled() {
        if !key.is_down()? {
            since = None;
        } else if since.get_or_insert_with(Instant::now).elapsed() >= HOLD {
            held();
            since = None;
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
