//! Time, as far as a plugin answers for it. It is counted in beats of the checker's own: a machine that stands still gives
//! none, and one that is busy gives fewer. The wall clock goes on in both, so no plugin is judged by it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::bench::{Outcome, failed};

/// The least time from one beat to the next.
const BEAT: Duration = Duration::from_millis(2);

fn beats(time: Duration) -> u32 {
    u32::try_from(time.as_millis() / BEAT.as_millis()).unwrap_or(u32::MAX)
}

/// Looks at every beat until something is found; `None` when nothing was in so many beats.
pub(super) fn patiently<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..beats(limit) {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(BEAT);
    }
    look()
}

/// The call into the plugin that is being watched.
#[derive(Default)]
pub(super) struct Watch(Mutex<Option<Watched>>);

#[derive(Clone, Copy)]
struct Watched {
    call: &'static str,
    /// The thread that is in it.
    thread: i32,
}

impl Watch {
    /// Runs a call under watch. Gives what it returned, and how long it took by the wall clock, for people.
    pub(super) fn during<T>(&self, call: &'static str, run: impl FnOnce() -> T) -> (T, Duration) {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        *self.lock() = Some(Watched { call, thread });
        let started = Instant::now();
        let returned = run();
        let took = started.elapsed();
        *self.lock() = None;
        (returned, took)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a trial on a thread of its own, and fails it as soon as a call that it has under watch has taken `limit` of the
/// plugin's own time. `advice` ends the sentence.
///
/// Own time is what the thread sleeps and what it computes; waiting for a processor or a disk isn't. A plugin's call
/// that sleeps until the plugin's own threads or its tool are through with something is asleep, whoever is slow.
pub(super) fn within(
    limit: Duration,
    advice: &str,
    trial: impl FnOnce(&Watch) -> Outcome + Send + 'static,
) -> Outcome {
    let watch = std::sync::Arc::new(Watch::default());
    let theirs = std::sync::Arc::clone(&watch);
    let trial = std::thread::spawn(move || trial(&theirs));
    let mut own = OwnTime::default();
    // Nothing here may need the loader's lock: a library that is being loaded holds it, and channels do.
    while !trial.is_finished() {
        std::thread::sleep(BEAT);
        let watched = *watch.lock();
        own.beat(watched);
        if let Some(Watched { call, .. }) = watched.filter(|_| own.sum() >= limit) {
            let (asleep, computed) = (own.asleep.as_millis(), own.computed().as_millis());
            return failed(format!(
                "{call} hasn't returned after {asleep} ms asleep and {computed} ms of computing; {advice}"
            ));
        }
    }
    trial
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What one call has taken so far.
#[derive(Default)]
struct OwnTime {
    call: Option<&'static str>,
    asleep: Duration,
    awake: Duration,
    /// What the thread's clock said at first, and says now.
    clock: Option<(Duration, Duration)>,
}

impl OwnTime {
    /// One more beat has gone by.
    fn beat(&mut self, watched: Option<Watched>) {
        let call = watched.map(|watched| watched.call);
        if self.call != call {
            *self = Self {
                call,
                ..Self::default()
            };
        }
        if let Some((asleep, clock)) = watched.and_then(|watched| look_at(watched.thread)) {
            self.count(asleep, clock);
        }
    }

    fn count(&mut self, asleep: bool, clock: Duration) {
        if asleep {
            self.asleep += BEAT;
        } else {
            self.awake += BEAT;
        }
        let (first, _) = self.clock.unwrap_or((clock, clock));
        self.clock = Some((first, clock));
    }

    /// No more than beats were counted: a machine may stand still while the thread's clock goes on.
    fn computed(&self) -> Duration {
        let clock = self.clock.map(|(first, now)| now.saturating_sub(first));
        clock.unwrap_or_default().min(self.awake)
    }

    fn sum(&self) -> Duration {
        self.asleep + self.computed()
    }
}

/// Whether a thread of this process sleeps (and doesn't wait for a processor, a disk or a signal to go on), and how long
/// it has computed, by the system's own count of hundredths.
fn look_at(thread: i32) -> Option<(bool, Duration)> {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
    // After the name, which may have anything in it: the state, and eleven and twelve fields on the two sums.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let mut ticks = fields.skip(10).map_while(|field| field.parse::<u64>().ok());
    let sum = ticks.next()? + ticks.next()?;
    Some((state == "S", Duration::from_millis(sum * 10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a call is charged after so many beats, of which each is (the state asleep?, the thread's clock in ms).
    fn check(beats: &[(bool, u64)], expected: u64) {
        let mut own = OwnTime::default();
        for (asleep, clock) in beats {
            own.count(*asleep, Duration::from_millis(*clock));
        }
        assert_eq!(own.sum(), Duration::from_millis(expected), "{beats:?}");
    }

    #[test]
    fn a_call_answers_for_its_sleep_and_its_computing_alone() {
        let beat = 2;
        check(&[], 0);
        check(&[(true, 40); 3], 3 * beat);
        // It waits for a processor.
        check(&[(false, 40); 3], 0);
        // It computes; the clock goes in hundredths.
        check(&[&[(false, 0); 5][..], &[(false, 10); 4]].concat(), 10);
        // It computes and sleeps.
        check(&[(false, 0), (false, 2), (true, 2)], 2 + beat);
        // The machine stood still between two beats, and the thread's clock went on.
        check(&[(false, 0), (false, 3_000)], 2 * beat);
    }

    #[test]
    fn this_thread_is_awake_while_it_looks() {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        let (asleep, _) = look_at(thread).unwrap();
        assert!(!asleep);
        assert_eq!(look_at(i32::MAX), None);
    }
}
