//! A launcher that holds the display's claim and answers nobody: the customer may end it.
//!
//! Ending a session is always safe, so that it doesn't matter whose hand presses the button. What is
//! ended is a launcher of the same user alone, which that user's programs could end anyway; the
//! display server says which process it is, and no message does.

use rustix::process::{Pid, Signal, kill_process};

/// A launcher of this user's that gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HungLauncher(Pid);

impl HungLauncher {
    /// Returns the process, if it is a launcher of this user's.
    pub(crate) fn of_this_user(pid: u32) -> Option<Self> {
        let own = identity("self")?;
        let is_launcher = identity(&pid.to_string())? == own;
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        is_launcher.then_some(Self(pid))
    }

    /// Ends it. Its supervisors end its plugins, and the next start releases the keys that its agent
    /// held.
    pub(crate) fn end(self) {
        match kill_process(self.0, Signal::KILL) {
            Ok(()) => tracing::warn!("a launcher that gave no answer was ended"),
            Err(error) => tracing::error!("a launcher that gives no answer isn't ended: {error}"),
        }
    }
}

/// Returns a process's name and its user's ids. Its path would tell more, and is closed to us as
/// the launcher's memory is.
fn identity(process: &str) -> Option<[String; 2]> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let value = |name| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.map(str::to_owned)
    };
    Some([value("Name:")?, value("Uid:")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_program_of_the_same_user_is_a_launcher() {
        assert!(HungLauncher::of_this_user(std::process::id()).is_some());
        assert_eq!(HungLauncher::of_this_user(1), None);
        assert_eq!(HungLauncher::of_this_user(u32::MAX), None);
    }
}
