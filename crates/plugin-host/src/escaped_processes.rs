//! Processes that outlived their supervisor, which ends all that it can: somebody killed it. They
//! carry a marker in the environment that they inherited from it. A process can drop it on purpose,
//! but old tools don't.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

/// The marker's environment variable.
pub(crate) const MARKER_VARIABLE: &str = "ETATUKI_PLUGIN_HOST";

/// Scans of the process table at most: a process may start another one during a scan.
const MAX_SCANS: u32 = 5;

/// Marker of one child and its descendants, unique on the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnvMarker(String);

impl EnvMarker {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .as_nanos();
        Self(format!("{}-{count}-{now}", getpid().as_raw_nonzero()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Kills every process that carries the marker, except this one.
    pub(crate) fn kill_marked(&self) {
        let line = format!("{MARKER_VARIABLE}={}", self.0).into_bytes();
        for _ in 0..MAX_SCANS {
            if other_processes()
                .filter(|pid| kill_if_marked(*pid, &line))
                .count()
                == 0
            {
                return;
            }
        }
    }
}

/// Returns every process of the machine except this one.
fn other_processes() -> impl Iterator<Item = Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(|pid| *pid != getpid())
}

/// Kills a process if its environment has this line; returns whether it did. The pidfd is opened
/// before the environment is read, so that the number can't come to mean another process in
/// between.
fn kill_if_marked(pid: Pid, line: &[u8]) -> bool {
    let environment = Path::new("/proc").join(pid.to_string()).join("environ");
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    let Ok(environment) = std::fs::read(environment) else {
        return false;
    };
    let marked = environment
        .split(|byte| *byte == 0)
        .any(|found| found == line);
    marked && pidfd_send_signal(handle, Signal::KILL).is_ok()
}
