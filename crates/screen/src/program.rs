//! The program that alone is shared, named by its processes.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Processes whose windows are the program's. Clones are the same one.
///
/// A process that has ended is out of it for good: its number may become somebody else's.
#[derive(Clone, Debug)]
pub struct Program(Arc<Vec<Process>>);

#[derive(Debug)]
struct Process {
    pid: u32,
    /// Readable once it has ended.
    life: OwnedFd,
}

impl Program {
    /// The program of these processes. Those that don't exist (any more) are left out; with none left
    /// it is a program without windows, of which nothing is ever shown.
    #[must_use]
    pub fn of(pids: &[u32]) -> Self {
        let process = |pid: &u32| {
            let named = Pid::from_raw(i32::try_from(*pid).ok()?)?;
            let life = pidfd_open(named, PidfdFlags::empty()).ok()?;
            Some(Process { pid: *pid, life })
        };
        Self(Arc::new(pids.iter().filter_map(process).collect()))
    }

    /// Whether a process of that number belongs to it, now.
    #[must_use]
    pub fn has(&self, pid: u32) -> bool {
        self.0.iter().any(|p| p.pid == pid && p.is_alive())
    }
}

impl Process {
    /// On any doubt it is not.
    fn is_alive(&self) -> bool {
        let mut ended = [PollFd::new(&self.life, PollFlags::IN)];
        poll(&mut ended, Some(&Timespec::default())) == Ok(0)
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
        let program = Program::of(&[child.id(), 0, u32::MAX]);
        assert!(program.has(child.id()));
        assert!(!program.has(std::process::id()) && !program.has(0));
        child.kill().expect("killed");
        child.wait().expect("ended");
        assert!(!program.has(child.id()));
        assert!(!Program::of(&[child.id()]).has(child.id()));
    }
}
