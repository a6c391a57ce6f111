//! A child under its supervisor, as the process that started the supervisor sees it. The supervisor
//! ends everything that was started below it, and then ends as its child did.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, pidfd_open, waitid,
};

use crate::escaped_processes::EnvMarker;
use crate::supervisor::{END, END_NOW, descendants_of};

/// Longest time for a supervisor to end, after which it is killed itself: it stands still.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// A supervisor that was started here. Dropping it has it kill everything at once, and reaps it.
#[derive(Debug)]
pub(crate) struct SupervisedProcess {
    supervisor: Pid,
    /// Finds processes that outlived the supervisor.
    marker: EnvMarker,
    /// Whether the supervisor was reaped. Locked while it is signalled and while it is reaped, so
    /// that no signal goes to a number that may be somebody else's by then.
    reaped: Mutex<bool>,
}

impl SupervisedProcess {
    /// Takes over a supervisor that was just started and that nobody else waits for.
    pub(crate) fn new(supervisor: Pid, marker: EnvMarker) -> Self {
        Self {
            supervisor,
            marker,
            reaped: Mutex::new(false),
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.supervisor
    }

    /// Returns a pidfd, which becomes readable when the supervisor has ended.
    pub(crate) fn pidfd(&self) -> io::Result<OwnedFd> {
        Ok(pidfd_open(self.supervisor, PidfdFlags::NONBLOCK)?)
    }

    /// Asks for an orderly end: SIGTERM for every process, and SIGKILL a moment later. A tool that
    /// is just killed can't put its things away.
    pub(crate) fn end(&self) {
        self.signal(END);
    }

    /// Asks for an end at once, with SIGKILL for every process.
    pub(crate) fn end_now(&self) {
        self.signal(END_NOW);
    }

    /// Kills a supervisor that doesn't end, after everything below it: who starts a process there
    /// waits for its answer, so none is new.
    pub(crate) fn kill_supervisor(&self) {
        for pid in descendants_of(self.supervisor) {
            let _ = kill_process(pid, Signal::KILL);
        }
        self.signal(Signal::KILL);
    }

    /// Returns how the child ended, without reaping; `None` while the supervisor runs.
    pub(crate) fn exit_description(&self) -> Option<String> {
        let reaped = self.lock();
        if *reaped {
            return None;
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(self.supervisor), options).ok()??;
        Some(match (status.terminating_signal(), status.exit_status()) {
            (Some(signal), _) => format!("signal {}", signal_name(signal)),
            (None, Some(code)) => format!("exit code {code}"),
            (None, None) => "for an unknown reason".to_owned(),
        })
    }

    /// Reaps the supervisor if it has ended, and kills what it has left, which is only so after it
    /// was killed. Blocks for some milliseconds.
    pub(crate) fn reap(&self) {
        let mut reaped = self.lock();
        if !*reaped {
            *reaped = reap_child(self.supervisor);
            self.marker.kill_marked();
        }
    }

    /// Ends everything at once, waits for it, and reaps.
    fn end_and_reap(&self) {
        self.end_now();
        if !self.wait(END_TIMEOUT) {
            self.kill_supervisor();
            self.wait(END_TIMEOUT);
        }
        self.reap();
    }

    /// Waits for the supervisor's end; returns whether it came.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let (Ok(pidfd), Ok(timeout)) = (self.pidfd(), Timespec::try_from(timeout)) else {
            return false;
        };
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        matches!(poll(&mut fds, Some(&timeout)), Ok(1..))
    }

    fn signal(&self, signal: Signal) {
        let reaped = self.lock();
        if !*reaped {
            // It fails when the supervisor has just ended.
            let _ = kill_process(self.supervisor, signal);
            let _ = kill_process(self.supervisor, Signal::CONT);
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.reaped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SupervisedProcess {
    fn drop(&mut self) {
        if *self.lock() {
            return;
        }
        self.end_now();
        let mine = Self::new(self.supervisor, self.marker.clone());
        *self.lock() = true; // from here on it is the thread's
        // Without a thread the supervisor stays a zombie until we end, which is bearable.
        let mine = std::mem::ManuallyDrop::new(mine);
        let _ = std::thread::Builder::new()
            .name("plugin-reaper".into())
            .spawn(move || mine.end_and_reap());
    }
}

/// Reaps a child that has ended; returns false when it still runs.
fn reap_child(child: Pid) -> bool {
    loop {
        match waitid(
            WaitId::Pid(child),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        ) {
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

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// A shell stands for a supervisor that doesn't answer; its child has dropped the marker.
    #[test]
    #[expect(clippy::zombie_processes, reason = "it is reaped by its number")]
    fn a_supervisor_that_stands_still_leaves_nobody() {
        let script = "trap '' TERM QUIT; (exec env -i sleep 1000) & echo ready; wait; wait";
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", script]).stdout(Stdio::piped());
        let mut shell = shell.spawn().expect("a shell");
        let mut ready = [0; 6];
        let stdout = shell.stdout.as_mut().expect("a pipe");
        std::io::Read::read_exact(stdout, &mut ready).expect("the shell's word");
        let process = SupervisedProcess::new(Pid::from_child(&shell), EnvMarker::new());
        let below: Vec<_> = descendants_of(process.pid())
            .into_iter()
            .map(|pid| pidfd_open(pid, PidfdFlags::empty()).expect("a child"))
            .collect();
        assert_eq!(below.len(), 1);
        process.end();
        process.end_now();
        process.kill_supervisor();
        assert!(process.wait(END_TIMEOUT));
        process.reap();
        let mut ended = [PollFd::new(&below[0], PollFlags::IN)];
        let timeout = Timespec::try_from(END_TIMEOUT).expect("a short time");
        assert_eq!(poll(&mut ended, Some(&timeout)), Ok(1));
    }
}
