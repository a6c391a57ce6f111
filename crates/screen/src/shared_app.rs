//! App sharing: the one program that is shared, identified by its processes.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// The processes of the shared program: their windows are shown, nothing else. Clones share the
/// list.
///
/// An ended process never counts again, because its PID may be reused.
#[derive(Clone, Debug)]
pub struct SharedApp(Arc<Vec<Process>>);

#[derive(Debug)]
struct Process {
    pid: u32,
    /// Readable once the process has ended.
    pidfd: OwnedFd,
}

impl SharedApp {
    /// Creates the app of these processes. PIDs that don't exist are left out. With none left the
    /// app has no windows, and nothing is ever shown.
    #[must_use]
    pub fn from_pids(pids: &[u32]) -> Self {
        let process = |pid: &u32| {
            let raw_pid = Pid::from_raw(i32::try_from(*pid).ok()?)?;
            let pidfd = pidfd_open(raw_pid, PidfdFlags::empty()).ok()?;
            Some(Process { pid: *pid, pidfd })
        };
        Self(Arc::new(pids.iter().filter_map(process).collect()))
    }

    /// Returns whether the running process `pid` belongs to the app.
    #[must_use]
    pub fn contains(&self, pid: u32) -> bool {
        self.0.iter().any(|p| p.pid == pid && p.is_alive())
    }
}

impl Process {
    /// Returns whether the process still runs; false when `poll` fails.
    fn is_alive(&self) -> bool {
        let mut exited = [PollFd::new(&self.pidfd, PollFlags::IN)];
        poll(&mut exited, Some(&Timespec::default())) == Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_belongs_until_it_ends() {
        let mut child = std::process::Command::new("sleep")
            .arg("100")
            .spawn()
            .expect("sleep is there");
        let app = SharedApp::from_pids(&[child.id(), 0, u32::MAX]);
        assert!(app.contains(child.id()));
        assert!(!app.contains(std::process::id()) && !app.contains(0));
        child.kill().expect("killed");
        child.wait().expect("exited");
        assert!(!app.contains(child.id()));
        assert!(!SharedApp::from_pids(&[child.id()]).contains(child.id()));
    }
}
