//! What the host is told of. No clock decides: a state that was seen was there, and what follows it has to be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use etatuki_backend_api::raw;

use super::{empty, rounds};
use crate::check::bench::{Bench, Instance, Library, Outcome, ensure, state_name};
use crate::check::clock::patiently;
use crate::check::viewer::Wire;

/// How long [any] functions may take while the plugin is in changed(). They take a lock for a moment, if any.
const ANY: Duration = Duration::from_secs(2);

/// A look at the state, and how often changed() had been called before it.
pub(super) struct Seen {
    changes: u64,
    state: u32,
}

impl Seen {
    /// The count first: what changes after the look is told after the count.
    pub(super) fn now(bench: &Bench, instance: &Instance) -> Self {
        Self {
            changes: bench.host.changes(),
            state: instance.state(),
        }
    }

    /// If another state than this was seen, the change to it must be told.
    pub(super) fn told(&self, bench: &Bench, state: u32) -> Outcome<()> {
        ensure(
            self.state == state || bench.host.is_told(self.changes),
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
    let bench = library.bench()?;
    let instance = bench.usable()?;
    let (mut closings, mut sessions) = (0, 0);
    for _ in rounds(3, 10) {
        instance.open_well(&bench.code())?;
        let seen = Seen::now(&bench, &instance);
        instance.until(raw::STATE_WAITING, "after open()")?;
        seen.told(&bench, raw::STATE_WAITING)?;
        let _stream = match bench.has(raw::CAP_OWN_TRANSPORT) {
            true => None,
            false => Some(stream_by_stream(&bench, &instance)?),
        };
        instance.close();
        let seen = Seen::now(&bench, &instance);
        closings += u32::from(seen.state == raw::STATE_CLOSING);
        instance.until(raw::STATE_CLOSED, "after close()")?;
        seen.told(&bench, raw::STATE_CLOSED)?;
        sessions += 1;
    }
    Ok(format!(
        "over {sessions} sessions; CLOSING was seen in {closings} of them"
    ))
}

/// One stream to its end, and one more.
fn stream_by_stream(bench: &Bench, instance: &Instance) -> Outcome<Wire> {
    let stream = Wire::attach(instance)?;
    let seen = Seen::now(bench, instance);
    drop(stream);
    instance.until(raw::STATE_WAITING, "after the stream's end")?;
    seen.told(bench, raw::STATE_WAITING)?;
    Wire::attach(instance)
}

/// Within changed() another thread calls the [any] functions, as a host might, and changed() waits for it.
pub(super) fn changed_unlocked(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.usable()?;
    let blocked = Arc::new(AtomicBool::new(false));
    let times = Arc::new(AtomicU64::new(0));
    let (is_blocked, count) = (Arc::clone(&blocked), Arc::clone(&times));
    bench.host.do_within_changed(move || {
        // Once is enough.
        if !is_blocked.load(Ordering::SeqCst) {
            let looking = std::thread::spawn(move || look(&instance));
            let looked = patiently(ANY, || looking.is_finished().then_some(()));
            is_blocked.fetch_or(looked.is_none(), Ordering::SeqCst);
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let session = one_session(&bench, &instance);
    ensure(!blocked.load(Ordering::SeqCst), || {
        "state(), session_code() or last_error() didn't return while the plugin was in changed(): it holds their lock"
            .into()
    })?;
    session?;
    Ok(format!("in {} calls of it", times.load(Ordering::SeqCst)))
}

fn look(instance: &Instance) {
    let mut code = empty();
    instance.state();
    instance.session_code(&raw mut code);
    instance.error();
}

fn one_session(bench: &Bench, instance: &Instance) -> Outcome<()> {
    instance.open_to_waiting(&bench.code())?;
    if !bench.has(raw::CAP_OWN_TRANSPORT) {
        drop(Wire::attach(instance)?);
        instance.until(raw::STATE_WAITING, "after the stream's end")?;
    }
    instance.close_to_closed()
}
