//! A running tool: supervised until it exits, and stopped when its socket's other end is gone.
//!
//! The order of the stop suits old tools (a bare TERM can deadlock x11vnc). The peer leaves, and
//! the tool exits by itself; else it is called once more to end itself, where the profile knows
//! how; else TERM; else KILL. Processes that it started stay in the plugin host's process group,
//! which the launcher ends as a whole when the session is over.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::profile::Profile;

/// Longest time for the tool to exit after its peer left, again after it was called to end, and
/// after TERM.
const STOP_GRACE: Duration = Duration::from_millis(500);
/// Maximum length of an output line in bytes; a longer one counts as several.
const MAX_LINE_BYTES: u64 = 512;

/// The command that starts a tool.
#[derive(Debug)]
pub struct ToolCommand<'a> {
    /// The executable.
    pub path: &'a Path,
    /// The arguments, placeholders replaced.
    pub args: &'a [String],
    /// Arguments of a second call that ends the running tool; empty where the tool has none.
    pub stop: &'a [String],
    /// Environment variables in addition to the inherited ones.
    pub env: &'a [(&'a str, &'a str)],
    /// The connected socket on which the tool serves RFB, as stdin and stdout. Without one it has
    /// no stdin, and its stdout is read like its stderr.
    pub socket: Option<OwnedFd>,
}

/// A running tool.
#[derive(Debug)]
pub struct RunningTool {
    child: Child,
    pidfd: OwnedFd,
    /// Receives the failure that the output reported, at its end.
    reported: mpsc::Receiver<Option<ReportedFailure>>,
    stop: Option<Command>,
}

/// A failure's stable name, and the output line that reported it.
type ReportedFailure = (&'static str, String);

/// The end of a tool's run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolExit {
    /// The tool exited after its peer left, as it should.
    Ended,
    /// The tool exited by itself, and its output reported a failure: its stable name, and the line.
    Failed(&'static str, String),
    /// The tool exited by itself.
    Died {
        /// The exit status in words.
        how: String,
        /// Whether the exit status is 0.
        success: bool,
    },
}

impl RunningTool {
    /// Starts the tool. A thread reads its output to the end, and calls `on_line` for each line.
    pub fn start(
        command: ToolCommand<'_>,
        profile: &Profile,
        on_line: impl FnMut(&str) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (output, writer) = std::io::pipe()?;
        let mut process = Command::new(command.path);
        process.args(command.args).envs(command.env.iter().copied());
        match command.socket {
            Some(socket) => process.stdin(socket.try_clone()?).stdout(socket),
            None => process.stdin(Stdio::null()).stdout(writer.try_clone()?),
        };
        let mut child = process.stderr(writer).spawn()?;
        // `process` holds the writing end of the pipe.
        drop(process);
        let pidfd = match pidfd(&child) {
            Ok(fd) => fd,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let stop = (!command.stop.is_empty()).then(|| {
            let mut stop = Command::new(command.path);
            stop.args(command.stop).stdin(Stdio::null());
            stop.stdout(Stdio::null()).stderr(Stdio::null());
            stop
        });
        let (sender, reported) = mpsc::channel();
        let profile = profile.clone();
        std::thread::spawn(move || sender.send(read_output(output, &profile, on_line)));
        Ok(Self {
            child,
            pidfd,
            reported,
            stop,
        })
    }

    /// Waits until the tool exits, or until the other end of `peer` is gone, and then stops the
    /// tool. It no longer runs when this returns.
    pub fn supervise(mut self, peer: &UnixStream) -> std::io::Result<ToolExit> {
        let ready = poll_fds(
            &[
                (self.pidfd.as_fd(), PollFlags::IN),
                (peer.as_fd(), PollFlags::empty()),
            ],
            None,
        )?;
        let peer_is_gone = ready[1] && !ready[0];
        if peer_is_gone {
            self.stop();
        }
        let status = self.child.wait()?;
        let peer_left = peer_is_gone || has_hung_up(peer)?;
        // A process that the tool left behind may hold its output open; that isn't waited for.
        let reported = self.reported.recv_timeout(STOP_GRACE).ok().flatten();
        Ok(tool_exit(status, peer_left, reported))
    }

    /// Waits for the tool to exit by itself, then calls it to end, then TERM, then KILL.
    fn stop(&mut self) {
        if self.exits_within_grace() {
            return;
        }
        if let Some(Ok(mut stop)) = self.stop.take().map(|mut stop| stop.spawn()) {
            let ended = self.exits_within_grace();
            let _ = stop.kill();
            let _ = stop.wait();
            if ended {
                return;
            }
        }
        let _ = pidfd_send_signal(&self.pidfd, Signal::TERM);
        if !self.exits_within_grace() {
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        }
    }

    /// Returns whether it exits within [`STOP_GRACE`].
    fn exits_within_grace(&self) -> bool {
        let exited = poll_fds(&[(self.pidfd.as_fd(), PollFlags::IN)], Some(STOP_GRACE));
        matches!(exited.as_deref(), Ok([true]))
    }
}

fn pidfd(child: &Child) -> std::io::Result<OwnedFd> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    Ok(pidfd_open(
        pid.ok_or(std::io::ErrorKind::InvalidInput)?,
        PidfdFlags::empty(),
    )?)
}

/// Polls until one of the descriptors is ready or has hung up, or the time-out. Returns which are.
fn poll_fds(
    fds: &[(BorrowedFd<'_>, PollFlags)],
    timeout: Option<Duration>,
) -> std::io::Result<Vec<bool>> {
    let end = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut ready: Vec<_> = fds
            .iter()
            .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
            .collect();
        match poll(&mut ready, left.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(ready.iter().map(|fd| !fd.revents().is_empty()).collect()),
        }
    }
}

/// Returns whether the other end of a socket has hung up.
fn has_hung_up(peer: &UnixStream) -> std::io::Result<bool> {
    Ok(poll_fds(&[(peer.as_fd(), PollFlags::empty())], Some(Duration::ZERO))?[0])
}

/// Reads the tool's output to the end, in bounded lines. Returns the first failure that it reports.
fn read_output(
    output: impl Read,
    profile: &Profile,
    mut on_line: impl FnMut(&str),
) -> Option<ReportedFailure> {
    let mut reader = BufReader::new(output);
    let mut reported = None;
    let mut bytes = Vec::new();
    while matches!(
        reader
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut bytes),
        Ok(1..)
    ) {
        let line = String::from_utf8_lossy(&bytes).trim().to_owned();
        bytes.clear();
        if line.is_empty() {
            continue;
        }
        on_line(&line);
        reported = reported.or_else(|| Some((profile.failure_in(&line)?, line)));
    }
    reported
}

fn tool_exit(status: ExitStatus, peer_left: bool, reported: Option<ReportedFailure>) -> ToolExit {
    match reported {
        _ if peer_left => ToolExit::Ended,
        Some((name, line)) => ToolExit::Failed(name, line),
        None => ToolExit::Died {
            how: match (status.code(), status.signal()) {
                (Some(code), _) => format!("it ended with exit code {code}"),
                (None, Some(signal)) => format!("it was ended by signal {signal}"),
                (None, None) => "it ended".to_owned(),
            },
            success: status.success(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn profile() -> Profile {
        Profile::rfb(&json!({
            "tool": "sh", "start": [], "failures": { "display-lost": "caught XIO error" },
        }))
        .unwrap()
    }

    /// Runs `sh -c body` on one end of a socket pair, `with` the other end.
    fn run(body: &str, stop: &[&str], with: impl FnOnce(UnixStream)) -> ToolExit {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let kept = theirs.try_clone().unwrap();
        let args = ["-c".to_owned(), body.to_owned()];
        let stop: Vec<String> = stop.iter().copied().map(str::to_owned).collect();
        let command = ToolCommand {
            path: Path::new("/bin/sh"),
            args: &args,
            stop: &stop,
            env: &[],
            socket: Some(theirs.into()),
        };
        let tool = RunningTool::start(command, &profile(), |_| {}).unwrap();
        with(ours);
        tool.supervise(&kept).unwrap()
    }

    fn died(how: &str, success: bool) -> ToolExit {
        let how = how.to_owned();
        ToolExit::Died { how, success }
    }

    #[test]
    fn it_serves_on_its_stdio_and_ends_when_its_peer_leaves() {
        let talk = |mut peer: UnixStream| {
            std::io::Write::write_all(&mut peer, b"hello\n").unwrap();
            let mut answer = [0; 6];
            peer.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"hello\n");
        };
        assert_eq!(run("exec cat", &[], talk), ToolExit::Ended);
    }

    #[test]
    fn one_that_ignores_everything_is_killed() {
        let body = "trap '' TERM; while :; do sleep 0.1; done";
        assert_eq!(run(body, &[], drop), ToolExit::Ended);
    }

    #[test]
    fn one_that_knows_how_is_called_to_end_itself() {
        let folder = tempfile::tempdir().unwrap();
        let flag = folder.path().join("stop").display().to_string();
        // Only an orderly exit creates the second file.
        let body =
            format!("trap '' TERM; while ! [ -e {flag} ]; do sleep 0.05; done; touch {flag}ped");
        let stop = format!("touch {flag}");
        assert_eq!(run(&body, &["-c", &stop], drop), ToolExit::Ended);
        assert!(folder.path().join("stopped").exists());
    }

    #[test]
    fn a_death_is_told_in_words() {
        let mut kept = None;
        let mut check = |body, expected| {
            assert_eq!(run(body, &[], |peer| kept = Some(peer)), expected, "{body}");
        };
        check("exit 3", died("it ended with exit code 3", false));
        check("kill -9 $$", died("it was ended by signal 9", false));
        check("exit 0", died("it ended with exit code 0", true));
        let line = "caught XIO error:".to_owned();
        check(
            "echo 'caught XIO error:' >&2; exit 3",
            ToolExit::Failed("display-lost", line),
        );
    }

    #[test]
    fn what_a_tool_leaves_behind_holds_nobody_up() {
        let mut kept = None;
        let outcome = run("sleep 5 & exit 3", &[], |peer| kept = Some(peer));
        assert_eq!(outcome, died("it ended with exit code 3", false));
    }

    #[test]
    fn an_endless_line_is_bounded() {
        let mut lines = 0;
        let reported = read_output(&vec![b'x'; 100_000][..], &profile(), |line| {
            assert!(line.len() <= MAX_LINE_BYTES as usize);
            lines += 1;
        });
        assert_eq!((lines, reported), (196, None));
    }
}
