//! The plugin host and everything that was started there: the supervisor's descendants. A process
//! whose parent ends becomes the supervisor's child (PR_SET_CHILD_SUBREAPER), so none gets away.

use std::fs::{read_dir, read_to_string};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, waitid};

/// Most memory of all processes together, in bytes. Two 4K screens have 66 MB.
pub(super) const MAX_MEMORY: u64 = 3 << 30;
/// Most processes and threads together.
pub(super) const MAX_TASKS: usize = 512;

/// Longest time until every killed process has ended. One that waits for a device may take longer,
/// and is left.
const KILL_TIMEOUT: Duration = Duration::from_millis(1500);
/// Most generations between a process and the supervisor.
const MAX_DEPTH: usize = 1000;

/// The tree below this process.
pub(super) struct ProcessTree {
    /// The plugin host.
    host: Pid,
}

impl ProcessTree {
    pub(super) fn new(host: Pid) -> Self {
        Self { host }
    }

    /// Returns whether a process or thread is in the tree; never for this process itself.
    pub(super) fn contains(&self, pid: Pid) -> bool {
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

    /// Returns the resident memory of all processes, in bytes. Shared pages count once for each.
    pub(super) fn memory(&self) -> u64 {
        // SAFETY: a plain question.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.unsigned_abs();
        let resident = |pid: &Pid| {
            // The second field is the number of resident pages (proc_pid_statm(5)).
            let statm = read_to_string(format!("/proc/{}/statm", number(*pid))).unwrap_or_default();
            statm
                .split(' ')
                .nth(1)
                .and_then(|pages| pages.parse().ok())
                .unwrap_or(0_u64)
        };
        descendants().iter().map(resident).sum::<u64>() * page
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

/// Returns the process that a thread belongs to.
pub(super) fn process_of(thread: Pid) -> Option<Pid> {
    status_field(thread, "Tgid:")
}

fn parent_of(pid: Pid) -> Option<Pid> {
    status_field(pid, "PPid:")
}

/// Returns a number of a process's status (proc_pid_status(5)).
fn status_field(pid: Pid, name: &str) -> Option<Pid> {
    let status = read_to_string(format!("/proc/{}/status", number(pid))).ok()?;
    // The name of the program, in the first line, has no line end in it.
    let value = status
        .lines()
        .skip(1)
        .find_map(|line| line.strip_prefix(name))?;
    Pid::from_raw(value.trim().parse().ok()?)
}

/// Returns the processes below this one.
fn descendants() -> Vec<Pid> {
    let mut found = children(getpid());
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
