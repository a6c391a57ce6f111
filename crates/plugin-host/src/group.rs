//! The child's process group: killed before its leader is reaped, for until then its number can't be anybody else's.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

use crate::strays::{self, Mark};

/// How long a group may take to end once it was asked to.
const GRACE: Duration = Duration::from_millis(200);

/// A child that leads a process group of its own. Dropping it kills the group and reaps the child.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Pid,
    /// Finds what has left the group.
    mark: Mark,
    /// Held while the group is signalled and while the leader is reaped, so that the one can't follow the other.
    reaped: Mutex<bool>,
}

impl Group {
    /// Takes over a child that was spawned with `process_group(0)` and that nobody else waits for.
    pub(crate) fn new(leader: Pid, mark: Mark) -> Self {
        Self {
            leader,
            mark,
            reaped: Mutex::new(false),
        }
    }

    pub(crate) fn leader(&self) -> Pid {
        self.leader
    }

    /// A handle that becomes readable when the leader has died.
    pub(crate) fn watch(&self) -> io::Result<OwnedFd> {
        Ok(pidfd_open(self.leader, PidfdFlags::NONBLOCK)?)
    }

    /// Kills every process of the group, if the leader wasn't reaped yet.
    pub(crate) fn kill(&self) {
        if !*self.lock() {
            self.signal();
        }
    }

    /// Asks every process of the group to end, gives it a moment for that, and kills what is left. A tool that is just
    /// killed leaves things behind that belong to no process: x11vnc some forty pieces of shared memory, of which a
    /// machine has a few thousand. Blocks for [`GRACE`] at most; what is left of the group must be killed afterwards
    /// all the same.
    pub(crate) fn end(&self) {
        if *self.lock() {
            return;
        }
        let _ = kill_process_group(self.leader, Signal::TERM);
        let end = Instant::now() + GRACE;
        while Instant::now() < end && has_living(self.leader) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
    }

    /// How the leader ended, without reaping it; None while it lives.
    pub(crate) fn how_it_ended(&self) -> Option<String> {
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

    /// Kills the group and takes the leader, which is known to be dead, off the process table.
    pub(crate) fn reap(&self) {
        let mut reaped = self.lock();
        if !*reaped {
            self.signal();
            *reaped = wait_for(self.leader, WaitIdOptions::NOHANG);
        }
    }

    /// Kills what has left the group. Looks at every process of the machine, so it takes some milliseconds.
    pub(crate) fn sweep(&self) {
        self.mark.sweep();
    }

    /// Only with the lock held and the leader not reaped.
    fn signal(&self) {
        // What can go wrong: nobody is left, or a tool changed its user. Neither can be helped.
        let _ = kill_process_group(self.leader, Signal::KILL);
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.reaped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Group {
    /// Nobody else holds the group any more, so its number is safe until the thread has reaped the leader.
    fn drop(&mut self) {
        if !*self.lock() {
            self.signal();
            let (leader, mark) = (self.leader, self.mark.clone());
            let reaper = move || {
                mark.sweep();
                wait_for(leader, WaitIdOptions::empty())
            };
            // Without a thread the leader stays a zombie until we end, which is bearable.
            let _ = std::thread::Builder::new()
                .name("plugin-reaper".into())
                .spawn(reaper);
        }
    }
}

/// Whether any process of the group lives. Looks at every process of the machine.
fn has_living(group: Pid) -> bool {
    let group = group.to_string();
    strays::processes().any(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name, which may have anything in it: state, parent, group.
        let mut fields = stat
            .rsplit_once(')')
            .unwrap_or_default()
            .1
            .split_whitespace();
        let (state, of) = (fields.next(), fields.nth(1));
        of == Some(&group) && !matches!(state, Some("Z" | "X"))
    })
}

/// Reaps a child; false when it lives still.
fn wait_for(child: Pid, options: WaitIdOptions) -> bool {
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
