//! What is left behind when it should be gone.

use std::time::Duration;

use etatuki_backend_api::{raw, text};

use super::rounds;
use super::stream::attachable;
use crate::check::bench::{Host, Library, Outcome, ensure, failed};
use crate::check::clock::patiently;
use crate::check::viewer::{Viewer, Wire};

/// How long things may take to go.
const TO_GO: Duration = Duration::from_secs(2);

pub(super) fn probe_leaves_nothing(library: &Library) -> Outcome {
    let instance = library.bench()?.create()?;
    let _ = text::read_several(|[tool, version]| instance.probe(tool, version));
    let before = Count::now();
    for _ in 0..5 {
        let _ = text::read_several(|[tool, version]| instance.probe(tool, version));
    }
    settle(&before)?;
    Ok("after six times".into())
}

pub(super) fn silence(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.waiting()?;
    instance.close();
    instance.destroy();
    bench.host.is_over();
    are_silent(&[bench.host])?;
    let hosts = destroyed_while_attached(library)?;
    are_silent(&hosts)?;
    Ok(format!("after {} instances", 1 + hosts.len()))
}

fn are_silent(hosts: &[&Host]) -> Outcome<()> {
    std::thread::sleep(Duration::from_millis(300));
    let late: u64 = hosts.iter().map(|host| host.late()).sum();
    ensure(late == 0, || format!("{late} calls came afterwards"))
}

/// The thread that served a stream is just at its end, and may say so too late.
fn destroyed_while_attached(library: &Library) -> Outcome<Vec<&'static Host>> {
    let mut hosts = Vec::new();
    for _ in rounds(2, 10) {
        let bench = library.bench()?;
        if bench.has(raw::CAP_OWN_TRANSPORT) {
            break;
        }
        let instance = bench.waiting()?;
        let _stream = Wire::attach(&instance)?;
        instance.destroy();
        bench.host.is_over();
        hosts.push(bench.host);
    }
    Ok(hosts)
}

pub(super) fn leaves_nothing(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let before = Count::now();
    let instance = bench.waiting()?;
    instance.close_to_closed()?;
    instance.destroy();
    settle(&before)?;
    Ok("after one session".into())
}

pub(super) fn hundred_opens(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.waiting()?;
    instance.close_to_closed()?;
    let before = Count::now();
    let mut sessions = 0;
    for _ in rounds(10, 100) {
        instance.open_to_waiting(&bench.code())?;
        instance.close_to_closed()?;
        sessions += 1;
    }
    settle(&before)?;
    Ok(format!("{sessions} sessions"))
}

pub(super) fn hundred_attaches(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    let once = || {
        drop(Viewer::attach(&instance)?);
        instance.until(raw::STATE_WAITING, "after the stream's end")
    };
    once()?;
    let before = Count::now();
    let mut streams = 0;
    for _ in rounds(10, 100) {
        once()?;
        streams += 1;
    }
    settle(&before)?;
    Ok(format!("{streams} streams"))
}

/// Things may take a moment to go; then they have to be gone.
fn settle(before: &Count) -> Outcome<()> {
    let left = || Count::now().exceeds(before);
    match patiently(TO_GO, || left().is_none().then_some(())) {
        Some(()) => Ok(()),
        None => left().map_or(Ok(()), |left| {
            failed(format!("two seconds later there are {left} than before"))
        }),
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
