//! The plugin host and everything that was started there: the supervisor's descendants. A process
//! whose parent ends becomes the supervisor's child (PR_SET_CHILD_SUBREAPER), so none gets away.

use std::fs::{read_dir, read_to_string};
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::str::FromStr;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, waitid};

use crate::child::sandbox::MAX_OPEN_FILES;

/// Most memory of all processes together, in bytes. Two 4K screens have 66 MB.
pub(super) const MAX_MEMORY: u64 = 3 << 30;
/// Most processes and threads together.
pub(super) const MAX_TASKS: usize = 512;
/// Most open files, pipes and sockets of all processes together, which bounds the kernel's memory:
/// a socket holds up to 416 KiB. x11vnc and its helpers have some hundred.
pub(super) const MAX_HANDLES: usize = 4096;

/// Longest time until every killed process has ended. One that waits for a device may take longer,
/// and is left.
const KILL_TIMEOUT: Duration = Duration::from_millis(1500);
/// Most generations between a process and the supervisor.
const MAX_DEPTH: usize = 1000;

/// The tree below this process. Dropping it kills it, so that a supervisor that fails leaves nobody.
pub(super) struct ProcessTree {
    /// The plugin host.
    host: Pid,
}

impl ProcessTree {
    pub(super) fn new(host: Pid) -> Self {
        Self { host }
    }

    /// Returns whether a process or thread is in the tree.
    pub(super) fn contains(&self, pid: Pid) -> bool {
        is_descendant(pid)
    }

    /// Returns whether all processes of a group are in the tree: the plugin host's, or one whose
    /// leader is in it. Nobody else can have joined: a group's members are of one session.
    pub(super) fn contains_group(&self, group: Pid) -> bool {
        group == self.host || self.contains(group)
    }

    /// Returns the number of processes and threads.
    pub(super) fn count_tasks(&self) -> usize {
        let threads =
            |pid: &Pid| read_dir(format!("/proc/{}/task", number(*pid))).map_or(1, Iterator::count);
        descendants().iter().map(threads).sum()
    }

    /// Returns the memory of all processes in bytes, and the number of their open files. Memory is
    /// what is resident or swapped out, and its page tables; shared pages count once for each
    /// process.
    pub(super) fn usage(&self) -> (u64, usize) {
        let (mut kibibytes, mut handles) = (0, 0);
        for pid in descendants() {
            let status = status(pid).unwrap_or_default();
            let of = |name| field(&status, name).unwrap_or(0_u64);
            kibibytes += of("VmRSS:") + of("VmSwap:") + of("VmPTE:");
            // A program whose file nobody may read hides its own; it counts as having all.
            handles += match read_dir(format!("/proc/{}/fd", number(pid))) {
                Ok(files) => files.count(),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => MAX_OPEN_FILES,
                Err(_) => 0,
            };
        }
        (kibibytes * 1024, handles)
    }

    /// Reaps children that have ended; returns the plugin host's exit status if it was among them.
    pub(super) fn reap(&self) -> Option<ExitStatus> {
        let mut found = None;
        loop {
            let mut status = 0;
            // SAFETY: writes one number.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
            if pid <= 0 {
                return found;
            }
            if pid == number(self.host) {
                found = Some(ExitStatus::from_raw(status));
            }
        }
    }

    /// Sends SIGTERM to every process, also to stopped ones.
    pub(super) fn terminate(&self) {
        for pid in descendants() {
            let _ = kill_process(pid, Signal::TERM);
            let _ = kill_process(pid, Signal::CONT);
        }
    }

    /// Returns whether any process still runs.
    pub(super) fn is_alive(&self) -> bool {
        descendants().into_iter().any(is_alive)
    }

    /// Kills every process, and reaps; returns the plugin host's exit status if it was among them.
    /// Only children are killed, whose numbers can't be anybody else's until they are reaped;
    /// their own children become ours thereby. It ends, because nobody can start a process any
    /// more: calls that do so are not answered.
    pub(super) fn kill(&self) -> Option<ExitStatus> {
        let mut found = None;
        let end = Instant::now() + KILL_TIMEOUT;
        loop {
            for child in children(getpid()) {
                let _ = kill_process(child, Signal::KILL);
            }
            found = found.or(self.reap());
            if !has_children() || Instant::now() > end {
                return found;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns the process that a thread belongs to.
pub(super) fn process_of(thread: Pid) -> Option<Pid> {
    status_field(thread, "Tgid:")
}

/// Returns whether a process or thread is below this process; never for this process itself.
pub(super) fn is_descendant(pid: Pid) -> bool {
    let me = getpid();
    let mut current = pid;
    for _ in 0..MAX_DEPTH {
        match parent_of(current) {
            Some(parent) if parent == me => return process_of(pid) != Some(me),
            Some(parent) => current = parent,
            None => return false,
        }
    }
    false
}

fn parent_of(pid: Pid) -> Option<Pid> {
    status_field(pid, "PPid:")
}

fn status_field(pid: Pid, name: &str) -> Option<Pid> {
    Pid::from_raw(field(&status(pid)?, name)?)
}

fn status(pid: Pid) -> Option<String> {
    read_to_string(format!("/proc/{}/status", number(pid))).ok()
}

/// Returns a number of a process's status (proc_pid_status(5)), without its unit.
fn field<T: FromStr>(status: &str, name: &str) -> Option<T> {
    // The name of the program, in the first line, has no line end in it.
    let value = status
        .lines()
        .skip(1)
        .find_map(|line| line.strip_prefix(name))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

/// Returns the processes below this one.
fn descendants() -> Vec<Pid> {
    descendants_of(getpid())
}

/// Returns the processes below another one.
pub(crate) fn descendants_of(pid: Pid) -> Vec<Pid> {
    let mut found = children(pid);
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        let below = children(*pid);
        found.extend(below);
        next += 1;
    }
    found
}

/// Returns the children of a process, of all of its threads.
fn children(pid: Pid) -> Vec<Pid> {
    let tasks = read_dir(format!("/proc/{}/task", number(pid))).into_iter();
    let lists = tasks
        .flatten()
        .flatten()
        .filter_map(|task| read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let numbers = list
                .split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok());
            numbers.filter_map(Pid::from_raw).collect::<Vec<_>>()
        })
        .collect()
}

/// Returns whether a process runs: it isn't a zombie.
fn is_alive(pid: Pid) -> bool {
    let stat = read_to_string(format!("/proc/{}/stat", number(pid))).unwrap_or_default();
    // The name, in parentheses, may have anything in it; the state follows (proc_pid_stat(5)).
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some(None | Some('Z' | 'X')))
}

fn has_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::All, options).is_ok()
}

fn number(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}
