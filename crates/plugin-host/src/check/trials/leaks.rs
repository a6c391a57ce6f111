//! Trials of leaks: threads, handles, processes and calls that outlive what they belong to.

use std::time::Duration;

use etatuki_backend_api::{raw, text};

use super::rounds;
use super::stream::attachable;
use crate::check::attached_stream::AttachedStream;
use crate::check::clock::poll_until;
use crate::check::harness::Library;
use crate::check::outcome::{Outcome, ensure, failed};
use crate::check::recording_host::RecordingHost;
use crate::check::rfb_client::RfbClient;

/// Longest wait until resources are released.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time in which a late call would come.
const LATE_CALL_WAIT: Duration = Duration::from_millis(300);

pub(super) fn probe_leaves_nothing(library: &Library) -> Outcome {
    let instance = library.harness()?.create()?;
    let _ = text::read_several(|[tool, version]| instance.probe(tool, version));
    let before = Resources::count();
    for _ in 0..5 {
        let _ = text::read_several(|[tool, version]| instance.probe(tool, version));
    }
    wait_for_release(&before)?;
    Ok("after six times".into())
}

pub(super) fn silence(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let instance = harness.waiting()?;
    instance.close();
    instance.destroy();
    harness.host.set_instance_ended();
    ensure_silent(&[harness.host])?;
    let hosts = destroyed_while_attached(library)?;
    ensure_silent(&hosts)?;
    Ok(format!("after {} instances", 1 + hosts.len()))
}

fn ensure_silent(hosts: &[&RecordingHost]) -> Outcome<()> {
    std::thread::sleep(LATE_CALL_WAIT);
    let late: u64 = hosts.iter().map(|host| host.late_calls()).sum();
    ensure(late == 0, || format!("{late} calls came afterwards"))
}

/// Destroys instances in ATTACHED; the thread that serves the stream may report its end too late.
fn destroyed_while_attached(library: &Library) -> Outcome<Vec<&'static RecordingHost>> {
    let mut hosts = Vec::new();
    for _ in rounds(2, 10) {
        let harness = library.harness()?;
        if harness.has(raw::CAP_OWN_TRANSPORT) {
            break;
        }
        let instance = harness.waiting()?;
        let _stream = AttachedStream::attach(&instance)?;
        instance.destroy();
        harness.host.set_instance_ended();
        hosts.push(harness.host);
    }
    Ok(hosts)
}

pub(super) fn leaves_nothing(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let before = Resources::count();
    let instance = harness.waiting()?;
    instance.close_to_closed()?;
    instance.destroy();
    wait_for_release(&before)?;
    Ok("after one session".into())
}

pub(super) fn hundred_opens(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let instance = harness.waiting()?;
    instance.close_to_closed()?;
    let before = Resources::count();
    let mut sessions = 0;
    for _ in rounds(10, 100) {
        instance.open_to_waiting(&harness.code())?;
        instance.close_to_closed()?;
        sessions += 1;
    }
    wait_for_release(&before)?;
    Ok(format!("{sessions} sessions"))
}

pub(super) fn hundred_attaches(library: &Library) -> Outcome {
    let (_harness, instance) = attachable(library)?;
    let once = || {
        drop(RfbClient::attach(&instance)?);
        instance.wait_for(raw::STATE_WAITING, "after the stream's end")
    };
    once()?;
    let before = Resources::count();
    let mut streams = 0;
    for _ in rounds(10, 100) {
        once()?;
        streams += 1;
    }
    wait_for_release(&before)?;
    Ok(format!("{streams} streams"))
}

/// Waits until no more resources are held than before.
fn wait_for_release(before: &Resources) -> Outcome<()> {
    let excess = || Resources::count().excess(before);
    match poll_until(RELEASE_TIMEOUT, || excess().is_none().then_some(())) {
        Some(()) => Ok(()),
        None => excess().map_or(Ok(()), |excess| {
            failed(format!("two seconds later there are {excess} than before"))
        }),
    }
}

/// Numbers of resources that this process holds.
struct Resources {
    threads: usize,
    handles: usize,
    children: usize,
}

impl Resources {
    fn count() -> Self {
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

    /// Returns the first number that is higher than before, in words.
    fn excess(&self, before: &Self) -> Option<String> {
        let more = |what: &str, now: usize, then: usize| {
            (now > then).then(|| format!("{} more {what}", now - then))
        };
        more("threads", self.threads, before.threads)
            .or_else(|| more("open handles", self.handles, before.handles))
            .or_else(|| more("processes", self.children, before.children))
    }
}
