//! Notices a call into the plugin that doesn't come back, also when nobody waits for an answer.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::output::Output;
use crate::wire::FromChild;

/// How long a call may take. The parent has the same limit, for the case that all of us stands still.
const LIMIT: Duration = Duration::from_secs(2);

/// Looks at the call thread.
#[derive(Clone, Default)]
pub(super) struct Watchdog(Arc<Watched>);

#[derive(Default)]
struct Watched {
    call: Mutex<Current>,
    changed: Condvar,
}

#[derive(Default)]
struct Current {
    /// The function that the plugin is in.
    name: Option<&'static str>,
    /// Counts the calls, so that two of the same name are told apart.
    number: u64,
}

impl Watchdog {
    pub(super) fn start(output: Output) -> Self {
        let watchdog = Self::default();
        let watched = Arc::clone(&watchdog.0);
        std::thread::spawn(move || watched.watch(&output));
        watchdog
    }

    /// Runs a call into the plugin under watch.
    pub(super) fn during<T>(&self, name: &'static str, call: impl FnOnce() -> T) -> T {
        self.0.set(Some(name));
        let outcome = call();
        self.0.set(None);
        outcome
    }
}

impl Watched {
    fn set(&self, name: Option<&'static str>) {
        let mut call = self.lock();
        call.name = name;
        call.number += 1;
        self.changed.notify_one();
    }

    fn watch(&self, output: &Output) {
        let mut call = self.lock();
        loop {
            let (Some(name), number) = (call.name, call.number) else {
                call = self
                    .changed
                    .wait(call)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let same = |call: &mut Current| call.number == number;
            let waited = self.changed.wait_timeout_while(call, LIMIT, same);
            let (now, limit) = waited.unwrap_or_else(PoisonError::into_inner);
            call = now;
            if limit.timed_out() && call.number == number {
                output.send(&FromChild::Hung {
                    call: name.to_owned(),
                });
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
