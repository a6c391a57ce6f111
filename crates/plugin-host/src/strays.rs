//! Processes that a plugin started and that left its process group, as daemons do. They carry a mark in the
//! environment that they inherited from the child; whoever doesn't want to be found can drop it, but old tools don't.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

/// The mark's name in the environment.
pub(crate) const VARIABLE: &str = "ETATUKI_PLUGIN_HOST";

/// Looks that are taken, since a process may start another while it is looked for.
const ROUNDS: u32 = 5;

/// What one child and its offspring carry, and nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark(String);

impl Mark {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .as_nanos();
        Self(format!("{}-{count}-{now}", getpid().as_raw_nonzero()))
    }

    /// The mark that this process was started with.
    pub(crate) fn inherited() -> Option<Self> {
        std::env::var(VARIABLE)
            .ok()
            .filter(|mark| !mark.is_empty())
            .map(Self)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Kills every process that carries the mark, but not this one.
    pub(crate) fn sweep(&self) {
        let line = format!("{VARIABLE}={}", self.0).into_bytes();
        for _ in 0..ROUNDS {
            if processes()
                .filter(|pid| kill_if_marked(*pid, &line))
                .count()
                == 0
            {
                return;
            }
        }
    }
}

/// Every process of the machine but this one.
pub(crate) fn processes() -> impl Iterator<Item = Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(|pid| *pid != getpid())
}

/// The handle is taken before the look, so that the number can't come to mean another process in between.
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
