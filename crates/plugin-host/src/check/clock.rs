//! Time-outs in a plugin's own time. Time is counted in ticks of the checker's own: a machine that
//! stands still gives none, and a busy one gives fewer. The wall clock runs on in both cases, so it
//! judges no plugin.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::outcome::{Outcome, failed};

/// Shortest time from one tick to the next.
const TICK: Duration = Duration::from_millis(2);

fn ticks(time: Duration) -> u32 {
    u32::try_from(time.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX)
}

/// Polls at every tick until something is found; returns `None` after as many ticks as `timeout`
/// has.
pub(super) fn poll_until<T>(timeout: Duration, mut poll: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..ticks(timeout) {
        if let Some(found) = poll() {
            return Some(found);
        }
        std::thread::sleep(TICK);
    }
    poll()
}

/// The call into the plugin that is being timed, if any.
#[derive(Default)]
pub(super) struct CallTimer(Mutex<Option<TimedCall>>);

#[derive(Clone, Copy)]
struct TimedCall {
    name: &'static str,
    /// Thread that makes the call.
    thread: i32,
}

impl CallTimer {
    /// Runs a call under the timer. Returns its result, and its wall-clock time, for people.
    pub(super) fn run<T>(&self, name: &'static str, call: impl FnOnce() -> T) -> (T, Duration) {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        *self.lock() = Some(TimedCall { name, thread });
        let started = Instant::now();
        let returned = call();
        let elapsed = started.elapsed();
        *self.lock() = None;
        (returned, elapsed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<TimedCall>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a trial on a thread of its own, and fails it as soon as one of its timed calls has used
/// `timeout` of the plugin's own time. `advice` ends the sentence.
///
/// Own time is what the thread sleeps and computes; waiting for a processor or a disk isn't. A call
/// that waits for the plugin's own threads or its tool is asleep, whoever is slow.
pub(super) fn with_own_timeout(
    timeout: Duration,
    advice: &str,
    trial: impl FnOnce(&CallTimer) -> Outcome + Send + 'static,
) -> Outcome {
    let timer = Arc::new(CallTimer::default());
    let trials_timer = Arc::clone(&timer);
    let trial = std::thread::spawn(move || trial(&trials_timer));
    let mut own = OwnTime::default();
    // Nothing here may need the loader's lock: a library that is being loaded holds it, and
    // channels do.
    while !trial.is_finished() {
        std::thread::sleep(TICK);
        let timed = *timer.lock();
        own.tick(timed);
        if let Some(TimedCall { name, .. }) = timed.filter(|_| own.sum() >= timeout) {
            let (asleep, computed) = (own.asleep.as_millis(), own.computed().as_millis());
            return failed(format!(
                "{name} hasn't returned after {asleep} ms asleep and {computed} ms of computing; {advice}"
            ));
        }
    }
    trial
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Own time of one call so far.
#[derive(Default)]
struct OwnTime {
    call: Option<&'static str>,
    asleep: Duration,
    awake: Duration,
    /// The thread's CPU time at the first tick, and at the last one.
    cpu_time: Option<(Duration, Duration)>,
}

impl OwnTime {
    /// Counts one tick.
    fn tick(&mut self, timed: Option<TimedCall>) {
        let call = timed.map(|timed| timed.name);
        if self.call != call {
            *self = Self {
                call,
                ..Self::default()
            };
        }
        if let Some((asleep, cpu_time)) = timed.and_then(|timed| thread_state(timed.thread)) {
            self.count(asleep, cpu_time);
        }
    }

    fn count(&mut self, asleep: bool, cpu_time: Duration) {
        if asleep {
            self.asleep += TICK;
        } else {
            self.awake += TICK;
        }
        let (first, _) = self.cpu_time.unwrap_or((cpu_time, cpu_time));
        self.cpu_time = Some((first, cpu_time));
    }

    /// Returns the computing time, at most what was counted in ticks: a machine may stand still
    /// while the thread's CPU time runs on.
    fn computed(&self) -> Duration {
        let used = self.cpu_time.map(|(first, now)| now.saturating_sub(first));
        used.unwrap_or_default().min(self.awake)
    }

    fn sum(&self) -> Duration {
        self.asleep + self.computed()
    }
}

/// Returns whether a thread of this process sleeps (and doesn't wait for a processor, a disk or a
/// signal to go on), and its CPU time, which the system counts in hundredths of a second
/// (proc_pid_stat(5)).
fn thread_state(thread: i32) -> Option<(bool, Duration)> {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
    // The name, in parentheses, may have anything in it. After it: the state, and 11 and 12 fields
    // on utime and stime.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let mut ticks = fields.skip(10).map_while(|field| field.parse::<u64>().ok());
    let sum = ticks.next()? + ticks.next()?;
    Some((state == "S", Duration::from_millis(sum * 10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the own time of a call after these ticks: whether the thread is asleep, and its CPU
    /// time in ms.
    fn check(ticks: &[(bool, u64)], expected: u64) {
        let mut own = OwnTime::default();
        for (asleep, cpu_time) in ticks {
            own.count(*asleep, Duration::from_millis(*cpu_time));
        }
        assert_eq!(own.sum(), Duration::from_millis(expected), "{ticks:?}");
    }

    #[test]
    fn own_time_is_sleep_and_computing_alone() {
        let tick = 2;
        check(&[], 0);
        check(&[(true, 40); 3], 3 * tick);
        // The thread waits for a processor.
        check(&[(false, 40); 3], 0);
        // It computes; CPU time is counted in hundredths.
        check(&[&[(false, 0); 5][..], &[(false, 10); 4]].concat(), 10);
        // It computes and sleeps.
        check(&[(false, 0), (false, 2), (true, 2)], 2 + tick);
        // The machine stood still between two ticks, and the thread's CPU time ran on.
        check(&[(false, 0), (false, 3_000)], 2 * tick);
    }

    #[test]
    fn a_running_thread_is_not_asleep() {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        let (asleep, _) = thread_state(thread).unwrap();
        assert!(!asleep);
        assert_eq!(thread_state(i32::MAX), None);
    }
}
