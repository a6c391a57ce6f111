//! Trials of notification: a state change that the plugin makes by itself must be followed by
//! `changed()`. The order of events decides, not time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use etatuki_backend_api::raw;

use super::{null_text, rounds};
use crate::check::attached_stream::AttachedStream;
use crate::check::clock::poll_until;
use crate::check::harness::{Harness, Library};
use crate::check::instance::{Instance, state_name};
use crate::check::outcome::{Outcome, ensure};

/// Longest time of the `[any]` functions while the plugin is in changed(). They may hold a lock for
/// a moment.
const ANY_CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// A sampled state, with the number of calls of changed() before it.
pub(super) struct StateSample {
    changes: u64,
    state: u32,
}

impl StateSample {
    /// Samples the count first: a change after the sample is then notified after the count.
    pub(super) fn now(harness: &Harness, instance: &Instance) -> Self {
        Self {
            changes: harness.host.changes(),
            state: instance.state(),
        }
    }

    /// Fails when the sampled state is another one and the change to `state` isn't notified.
    pub(super) fn check_notified(&self, harness: &Harness, state: u32) -> Outcome<()> {
        ensure(
            self.state == state || harness.host.is_notified(self.changes),
            || {
                let (from, to) = (state_name(self.state), state_name(state));
                format!(
                    "the state went from {from} to {to} by itself, and changed() was never called"
                )
            },
        )
    }
}

pub(super) fn changed_each_time(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let instance = harness.usable()?;
    let (mut closings, mut sessions) = (0, 0);
    for _ in rounds(3, 10) {
        instance.open_checked(&harness.code())?;
        let sample = StateSample::now(&harness, &instance);
        instance.wait_for(raw::STATE_WAITING, "after open()")?;
        sample.check_notified(&harness, raw::STATE_WAITING)?;
        let _stream = match harness.has(raw::CAP_OWN_TRANSPORT) {
            true => None,
            false => Some(two_streams(&harness, &instance)?),
        };
        instance.close();
        let sample = StateSample::now(&harness, &instance);
        closings += u32::from(sample.state == raw::STATE_CLOSING);
        instance.wait_for(raw::STATE_CLOSED, "after close()")?;
        sample.check_notified(&harness, raw::STATE_CLOSED)?;
        sessions += 1;
    }
    Ok(format!(
        "over {sessions} sessions; CLOSING was seen in {closings} of them"
    ))
}

/// Serves one stream to its end, and attaches one more.
fn two_streams(harness: &Harness, instance: &Instance) -> Outcome<AttachedStream> {
    let stream = AttachedStream::attach(instance)?;
    let sample = StateSample::now(harness, instance);
    drop(stream);
    instance.wait_for(raw::STATE_WAITING, "after the stream's end")?;
    sample.check_notified(harness, raw::STATE_WAITING)?;
    AttachedStream::attach(instance)
}

/// Calls the `[any]` functions on another thread within changed(), as a host might, and waits for
/// it there.
pub(super) fn changed_unlocked(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let instance = harness.usable()?;
    let blocked = Arc::new(AtomicBool::new(false));
    let times = Arc::new(AtomicU64::new(0));
    let (is_blocked, count) = (Arc::clone(&blocked), Arc::clone(&times));
    harness.host.run_within_changed(move || {
        // Once is enough.
        if !is_blocked.load(Ordering::SeqCst) {
            let thread = std::thread::spawn(move || call_any_functions(&instance));
            let returned = poll_until(ANY_CALL_TIMEOUT, || thread.is_finished().then_some(()));
            is_blocked.fetch_or(returned.is_none(), Ordering::SeqCst);
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let session = run_session(&harness, &instance);
    ensure(!blocked.load(Ordering::SeqCst), || {
        "state(), session_code() or last_error() didn't return while the plugin was in changed(): it holds their lock"
            .into()
    })?;
    session?;
    Ok(format!("in {} calls of it", times.load(Ordering::SeqCst)))
}

fn call_any_functions(instance: &Instance) {
    let mut code = null_text();
    instance.state();
    instance.session_code(&raw mut code);
    instance.failure();
}

fn run_session(harness: &Harness, instance: &Instance) -> Outcome<()> {
    instance.open_to_waiting(&harness.code())?;
    if !harness.has(raw::CAP_OWN_TRANSPORT) {
        drop(AttachedStream::attach(instance)?);
        instance.wait_for(raw::STATE_WAITING, "after the stream's end")?;
    }
    instance.close_to_closed()
}
