//! Watchdog of calls into the plugin: reports one that doesn't return, also when nobody waits for
//! its result.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::message_writer::MessageWriter;
use crate::wire::{CALL_TIMEOUT, ChildMessage};

/// A handle on the watchdog; all clones are equal.
#[derive(Clone, Default)]
pub(super) struct Watchdog(Arc<WatchedCall>);

#[derive(Default)]
struct WatchedCall {
    call: Mutex<CurrentCall>,
    changed: Condvar,
}

#[derive(Default)]
struct CurrentCall {
    /// Function that the plugin is in; `None` between calls.
    name: Option<&'static str>,
    /// Number of the call, which tells two calls of one name apart.
    number: u64,
}

impl Watchdog {
    pub(super) fn start(writer: MessageWriter) -> Self {
        let watchdog = Self::default();
        let watched = Arc::clone(&watchdog.0);
        std::thread::spawn(move || watched.watch(&writer));
        watchdog
    }

    /// Runs a call into the plugin under the watchdog.
    pub(super) fn run<T>(&self, name: &'static str, call: impl FnOnce() -> T) -> T {
        self.0.set(Some(name));
        let result = call();
        self.0.set(None);
        result
    }
}

impl WatchedCall {
    fn set(&self, name: Option<&'static str>) {
        let mut call = self.lock();
        call.name = name;
        call.number += 1;
        self.changed.notify_one();
    }

    fn watch(&self, writer: &MessageWriter) {
        let mut call = self.lock();
        loop {
            let (Some(name), number) = (call.name, call.number) else {
                call = self
                    .changed
                    .wait(call)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let same = |call: &mut CurrentCall| call.number == number;
            let waited = self.changed.wait_timeout_while(call, CALL_TIMEOUT, same);
            let (now, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            call = now;
            if timeout.timed_out() && call.number == number {
                writer.send(&ChildMessage::Hung {
                    call: name.to_owned(),
                });
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, CurrentCall> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
