//! A started tool: watched until it ends, stopped in the right order when its socket's other end is gone.
//!
//! The order that suits the old tools (a bare TERM can deadlock x11vnc): its peer leaves and it ends by itself;
//! else TERM; else KILL. What it may have started stays in the plugin host's process group, which the launcher
//! ends as a whole when the session is over.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How long the tool may take to end by itself after its peer left, and again after TERM.
const GRACE: Duration = Duration::from_millis(700);
/// How many of its last log lines are kept for judging why it ended.
const LOG_LINES: usize = 40;
/// How long one of them may be, in bytes.
const LOG_LINE: u64 = 512;

/// What is needed to start a tool.
#[derive(Debug)]
pub struct Start<'a> {
    /// Its executable.
    pub path: &'a Path,
    /// Its arguments, placeholders filled in.
    pub args: &'a [String],
    /// Its stdin and stdout: a connected socket on which it serves RFB.
    pub socket: OwnedFd,
}

/// A tool that runs.
#[derive(Debug)]
pub struct Started {
    child: Child,
    pidfd: OwnedFd,
    log: std::thread::JoinHandle<Vec<String>>,
}

/// How a tool's run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ended as it should: after its peer left.
    Ended,
    /// The display could not be opened, or went away.
    DisplayLost,
    /// It ended by itself; with the exit status in words.
    Died(String),
}

impl Started {
    /// Starts the tool. Its standard error is read (with `on_line` told each line) and its tail kept.
    pub fn start(
        what: Start<'_>,
        on_line: impl Fn(&str) + Send + 'static,
    ) -> std::io::Result<Self> {
        let mut child = Command::new(what.path)
            .args(what.args)
            .stdin(what.socket.try_clone()?)
            .stdout(what.socket)
            .stderr(Stdio::piped())
            .spawn()?;
        let pidfd = match pidfd(&child) {
            Ok(fd) => fd,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let stderr = child.stderr.take().expect("stderr is a pipe of ours");
        let log = std::thread::spawn(move || keep_log(stderr, on_line));
        Ok(Self { child, pidfd, log })
    }

    /// Waits until the tool ends, or until the other end of `peer` is gone, and stops it then. Nothing of it runs
    /// when this returns.
    pub fn watch(mut self, peer: &UnixStream) -> std::io::Result<Outcome> {
        let left = wait(
            &[
                (self.pidfd.as_fd(), PollFlags::IN),
                (peer.as_fd(), PollFlags::empty()),
            ],
            None,
        )?;
        let by_us = left[1] && !left[0];
        if by_us {
            self.stop();
        }
        let status = self.child.wait()?;
        let log = self.log.join().unwrap_or_default();
        let peer_left = by_us || is_gone(peer)?;
        Ok(judge(status, peer_left, &log))
    }

    /// Lets it end by itself, then TERM, then KILL.
    fn stop(&mut self) {
        for signal in [Signal::TERM, Signal::KILL] {
            if matches!(
                wait(&[(self.pidfd.as_fd(), PollFlags::IN)], Some(GRACE)).as_deref(),
                Ok([true])
            ) {
                return;
            }
            let _ = pidfd_send_signal(&self.pidfd, signal);
        }
    }
}

fn pidfd(child: &Child) -> std::io::Result<OwnedFd> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    Ok(pidfd_open(
        pid.ok_or(std::io::ErrorKind::InvalidInput)?,
        PidfdFlags::empty(),
    )?)
}

/// Polls until one of the descriptors is ready or has hung up, or the limit is over; says which.
fn wait(
    fds: &[(BorrowedFd<'_>, PollFlags)],
    limit: Option<Duration>,
) -> std::io::Result<Vec<bool>> {
    let end = limit.map(|limit| Instant::now() + limit);
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

/// Whether the other end of a socket has hung up.
fn is_gone(peer: &UnixStream) -> std::io::Result<bool> {
    Ok(wait(&[(peer.as_fd(), PollFlags::empty())], Some(Duration::ZERO))?[0])
}

/// Reads the tool's log to its end: lines are bounded, and only the last ones stay.
fn keep_log(stderr: impl Read, on_line: impl Fn(&str)) -> Vec<String> {
    let mut reader = BufReader::new(stderr);
    let mut tail = std::collections::VecDeque::new();
    let mut bytes = Vec::new();
    while matches!(
        reader.by_ref().take(LOG_LINE).read_until(b'\n', &mut bytes),
        Ok(1..)
    ) {
        let line = String::from_utf8_lossy(&bytes).trim().to_owned();
        bytes.clear();
        if line.is_empty() {
            continue;
        }
        on_line(&line);
        tail.push_back(line);
        if tail.len() > LOG_LINES {
            tail.pop_front();
        }
    }
    tail.into()
}

fn judge(status: ExitStatus, peer_left: bool, log: &[String]) -> Outcome {
    let says = |words: &[&str]| {
        log.iter()
            .any(|line| words.iter().any(|word| line.contains(word)))
    };
    if peer_left {
        Outcome::Ended
    } else if says(&[
        "XOpenDisplay failed",
        "caught XIO error",
        "caught X11 error",
    ]) {
        Outcome::DisplayLost
    } else {
        Outcome::Died(match (status.code(), status.signal()) {
            (Some(code), _) => format!("it ended with exit code {code}"),
            (None, Some(signal)) => format!("it was ended by signal {signal}"),
            (None, None) => "it ended".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `sh -c body` on one end of a socket pair, `with` the other end.
    fn run(body: &str, with: impl FnOnce(UnixStream)) -> Outcome {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let kept = theirs.try_clone().unwrap();
        let args = ["-c".to_owned(), body.to_owned()];
        let start = Start {
            path: Path::new("/bin/sh"),
            args: &args,
            socket: theirs.into(),
        };
        let started = Started::start(start, |_| {}).unwrap();
        with(ours);
        started.watch(&kept).unwrap()
    }

    #[test]
    fn it_serves_on_its_stdio_and_ends_when_its_peer_leaves() {
        let talk = |mut peer: UnixStream| {
            std::io::Write::write_all(&mut peer, b"hello\n").unwrap();
            let mut answer = [0; 6];
            peer.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"hello\n");
        };
        assert_eq!(run("exec cat", talk), Outcome::Ended);
    }

    #[test]
    fn one_that_ignores_everything_is_killed() {
        assert_eq!(
            run("trap '' TERM; while :; do sleep 0.1; done", drop),
            Outcome::Ended
        );
    }

    #[test]
    fn a_death_is_told_in_words() {
        let mut kept = None;
        assert_eq!(
            run("exit 3", |peer| kept = Some(peer)),
            Outcome::Died("it ended with exit code 3".into())
        );
        assert_eq!(
            run("kill -9 $$", |peer| kept = Some(peer)),
            Outcome::Died("it was ended by signal 9".into())
        );
        assert_eq!(
            run("exit 0", |peer| kept = Some(peer)),
            Outcome::Died("it ended with exit code 0".into())
        );
    }

    #[test]
    fn a_lost_display_is_known_by_the_log() {
        let mut kept = None;
        let body = "echo 'caught XIO error:' >&2; exit 3";
        assert_eq!(run(body, |peer| kept = Some(peer)), Outcome::DisplayLost);
    }

    #[test]
    fn an_endless_log_line_is_bounded() {
        let lines = keep_log(&vec![b'x'; 100_000][..], |_| {});
        assert_eq!(lines.len(), LOG_LINES);
        assert!(lines.iter().all(|line| line.len() <= LOG_LINE as usize));
    }
}
