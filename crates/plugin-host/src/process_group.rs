//! The child's process group. It is killed before its leader is reaped: until then nobody else can
//! have its number.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

use crate::escaped_processes::{EnvMarker, other_processes};

/// Time between SIGTERM and SIGKILL.
const TERM_GRACE: Duration = Duration::from_millis(200);

/// A child that leads a process group of its own. Dropping it kills the group and reaps the child.
#[derive(Debug)]
pub(crate) struct ProcessGroup {
    leader: Pid,
    /// Finds processes that left the group.
    marker: EnvMarker,
    /// Whether the leader was reaped. Locked while the group is signalled and while the leader is
    /// reaped, so that no signal goes to a number that may be somebody else's by then.
    reaped: Mutex<bool>,
}

impl ProcessGroup {
    /// Takes over a child that was spawned with `process_group(0)` and that nobody else waits for.
    pub(crate) fn new(leader: Pid, marker: EnvMarker) -> Self {
        Self {
            leader,
            marker,
            reaped: Mutex::new(false),
        }
    }

    pub(crate) fn leader(&self) -> Pid {
        self.leader
    }

    /// Returns a pidfd, which becomes readable when the leader has died.
    pub(crate) fn leader_pidfd(&self) -> io::Result<OwnedFd> {
        Ok(pidfd_open(self.leader, PidfdFlags::NONBLOCK)?)
    }

    /// Sends SIGKILL to every process of the group, unless the leader was reaped.
    pub(crate) fn kill(&self) {
        if !*self.lock() {
            self.send_sigkill();
        }
    }

    /// Sends SIGTERM to every process of the group, and SIGKILL after at most [`TERM_GRACE`];
    /// blocks until then. A tool that is just killed leaves resources behind that belong to no
    /// process: x11vnc some forty segments of shared memory, of which a machine has a few thousand.
    /// The caller must [kill](Self::kill) the group afterwards all the same.
    pub(crate) fn terminate(&self) {
        if *self.lock() {
            return;
        }
        let _ = kill_process_group(self.leader, Signal::TERM);
        let end = Instant::now() + TERM_GRACE;
        while Instant::now() < end && has_live_members(self.leader) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
    }

    /// Returns how the leader ended, without reaping it; `None` while it lives.
    pub(crate) fn exit_description(&self) -> Option<String> {
        let reaped = self.lock();
        if *reaped {
            return None;
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(self.leader), options).ok()??;
        Some(match (status.terminating_signal(), status.exit_status()) {
            (Some(signal), _) => format!("signal {}", signal_name(signal)),
            (None, Some(code)) => format!("exit code {code}"),
            (None, None) => "for an unknown reason".to_owned(),
        })
    }

    /// Kills the group, and reaps the leader, which must be dead.
    pub(crate) fn reap(&self) {
        let mut reaped = self.lock();
        if !*reaped {
            self.send_sigkill();
            *reaped = reap_child(self.leader, WaitIdOptions::NOHANG);
        }
    }

    /// Kills processes that left the group. It scans every process of the machine, which takes some
    /// milliseconds.
    pub(crate) fn kill_escaped(&self) {
        self.marker.kill_marked();
    }

    /// Sends SIGKILL to the group. The caller holds the lock, and the leader isn't reaped.
    fn send_sigkill(&self) {
        // It fails when nobody is left, or when a tool changed its user. Neither can be helped.
        let _ = kill_process_group(self.leader, Signal::KILL);
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.reaped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ProcessGroup {
    /// Kills the group, and reaps the leader on a thread. Nobody else holds the group any more, so
    /// its number is safe until then.
    fn drop(&mut self) {
        if !*self.lock() {
            self.send_sigkill();
            let (leader, marker) = (self.leader, self.marker.clone());
            let reaper = move || {
                marker.kill_marked();
                reap_child(leader, WaitIdOptions::empty())
            };
            // Without a thread the leader stays a zombie until we end, which is bearable.
            let _ = std::thread::Builder::new()
                .name("plugin-reaper".into())
                .spawn(reaper);
        }
    }
}

/// Returns whether any process of the group lives. It scans every process of the machine.
fn has_live_members(group: Pid) -> bool {
    let group = group.to_string();
    other_processes().any(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name, in parentheses, may have anything in it. After it: state, parent, group
        // (proc_pid_stat(5)).
        let mut fields = stat
            .rsplit_once(')')
            .unwrap_or_default()
            .1
            .split_whitespace();
        let (state, its_group) = (fields.next(), fields.nth(1));
        its_group == Some(&group) && !matches!(state, Some("Z" | "X"))
    })
}

/// Reaps a child; returns false when it still lives.
fn reap_child(child: Pid, options: WaitIdOptions) -> bool {
    loop {
        match waitid(WaitId::Pid(child), WaitIdOptions::EXITED | options) {
            Ok(status) => return status.is_some(),
            Err(Errno::INTR) => {}
            Err(_) => return true, // somebody else reaped it
        }
    }
}

fn signal_name(signal: i32) -> String {
    let known = [
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGSYS, "SIGSYS"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGTRAP, "SIGTRAP"),
    ];
    let name = known.iter().find(|(number, _)| *number == signal);
    name.map_or_else(|| signal.to_string(), |(_, name)| (*name).to_owned())
}
