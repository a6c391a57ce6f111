//! What is left behind when it should be gone.

use std::time::Duration;

use etatuki_backend_api::text;

use crate::check::bench::{Library, Outcome, ensure, failed};
use crate::check::clock::patiently;

/// How long things may take to go.
const TO_GO: Duration = Duration::from_secs(2);

pub(super) fn probe_leaves_nothing(library: &Library) -> Outcome {
    let instance = library.bench()?.create()?;
    let _ = text::read_several(|[tool, version]| instance.probe(tool, version));
    let before = Count::now();
    for _ in 0..5 {
        let _ = text::read_several(|[tool, version]| instance.probe(tool, version));
    }
    settle(|| Count::now().exceeds(&before))
}

pub(super) fn silence(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.waiting()?;
    instance.close();
    instance.destroy();
    bench.host.is_over();
    std::thread::sleep(Duration::from_millis(300));
    let late = bench.host.late();
    ensure(late == 0, || format!("{late} calls came afterwards"))?;
    Ok(String::new())
}

pub(super) fn leaves_nothing(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let before = Count::now();
    let instance = bench.waiting()?;
    instance.close_to_closed()?;
    instance.destroy();
    settle(|| Count::now().exceeds(&before))
}

pub(super) fn hundred_opens(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.waiting()?;
    instance.close_to_closed()?;
    let before = Count::now();
    for _ in 0..100 {
        instance.open_to_waiting(&bench.code())?;
        instance.close_to_closed()?;
    }
    settle(|| Count::now().exceeds(&before))
}

/// Things may take a moment to go; then they have to be gone.
fn settle(left: impl Fn() -> Option<String>) -> Outcome {
    match patiently(TO_GO, || left().is_none().then_some(())) {
        Some(()) => Ok(String::new()),
        None => left().map_or_else(
            || Ok(String::new()),
            |left| failed(format!("two seconds later there are {left} than before")),
        ),
    }
}

/// What this process holds.
struct Count {
    threads: usize,
    handles: usize,
    children: usize,
}

impl Count {
    fn now() -> Self {
        let entries = |folder: &str| std::fs::read_dir(folder).map_or(0, Iterator::count);
        let task = std::fs::read_dir("/proc/self/task")
            .into_iter()
            .flatten()
            .flatten();
        let children = task
            .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
            .map(|children| children.split_whitespace().count());
        Self {
            threads: entries("/proc/self/task"),
            handles: entries("/proc/self/fd"),
            children: children.sum(),
        }
    }

    /// What is more than it was.
    fn exceeds(&self, before: &Self) -> Option<String> {
        let more = |what: &str, now: usize, then: usize| {
            (now > then).then(|| format!("{} more {what}", now - then))
        };
        more("threads", self.threads, before.threads)
            .or_else(|| more("open handles", self.handles, before.handles))
            .or_else(|| more("processes", self.children, before.children))
    }
}
