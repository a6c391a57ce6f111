//! A started tool: watched until it ends, stopped in the right order when its socket's other end is gone.
//!
//! The order that suits the old tools (a bare TERM can deadlock x11vnc): its peer leaves and it ends by itself;
//! else it is called to end itself, where the profile knows how; else TERM; else KILL. What it may have started stays
//! in the plugin host's process group, which the launcher ends as a whole when the session is over.

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

/// How long the tool may take to end by itself after its peer left, again after it was called to, and after TERM.
const GRACE: Duration = Duration::from_millis(500);
/// How long a line of its output may be, in bytes; a longer one is several.
const LINE: u64 = 512;

/// What is needed to start a tool.
#[derive(Debug)]
pub struct Start<'a> {
    /// Its executable.
    pub path: &'a Path,
    /// Its arguments, placeholders filled in.
    pub args: &'a [String],
    /// Arguments with which it is called once more to end what runs; empty where there are none.
    pub stop: &'a [String],
    /// Environment variables beside those that are inherited.
    pub env: &'a [(&'a str, &'a str)],
    /// Its stdin and stdout: a connected socket on which it serves RFB. Without one it has no stdin, and its stdout
    /// is read like its stderr.
    pub socket: Option<OwnedFd>,
}

/// A tool that runs.
#[derive(Debug)]
pub struct Started {
    child: Child,
    pidfd: OwnedFd,
    /// What its output told of a failure, when the output has ended.
    told: mpsc::Receiver<Option<Told>>,
    stop: Option<Command>,
}

/// A failure's stable name, and the line of output that told of it.
type Told = (&'static str, String);

/// How a tool's run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ended as it should: after its peer left.
    Ended,
    /// It ended by itself, and its output told why: a failure's stable name, and the line.
    Failed(&'static str, String),
    /// It ended by itself.
    Died {
        /// Its exit status in words.
        how: String,
        /// That status is 0.
        calmly: bool,
    },
}

impl Started {
    /// Starts the tool. What it prints is read to its end: `on_line` is told each line, on a thread that ends with
    /// the output.
    pub fn start(
        what: Start<'_>,
        profile: &Profile,
        on_line: impl FnMut(&str) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (output, printed) = std::io::pipe()?;
        let mut command = Command::new(what.path);
        command.args(what.args).envs(what.env.iter().copied());
        match what.socket {
            Some(socket) => command.stdin(socket.try_clone()?).stdout(socket),
            None => command.stdin(Stdio::null()).stdout(printed.try_clone()?),
        };
        let mut child = command.stderr(printed).spawn()?;
        // The command holds the other end of the pipe.
        drop(command);
        let pidfd = match pidfd(&child) {
            Ok(fd) => fd,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let stop = (!what.stop.is_empty()).then(|| {
            let mut stop = Command::new(what.path);
            stop.args(what.stop).stdin(Stdio::null());
            stop.stdout(Stdio::null()).stderr(Stdio::null());
            stop
        });
        let (tell, told) = mpsc::channel();
        let profile = profile.clone();
        std::thread::spawn(move || tell.send(listen(output, &profile, on_line)));
        Ok(Self {
            child,
            pidfd,
            told,
            stop,
        })
    }

    /// Waits until the tool ends, or until the other end of `peer` is gone, and stops it then. It doesn't run any
    /// more when this returns.
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
        let peer_left = by_us || is_gone(peer)?;
        // Something that it left behind may hold its output open: that isn't waited for.
        let told = self.told.recv_timeout(GRACE).ok().flatten();
        Ok(judge(status, peer_left, told))
    }

    /// Lets it end by itself, then calls it to, then TERM, then KILL.
    fn stop(&mut self) {
        if self.ends() {
            return;
        }
        if let Some(Ok(mut stop)) = self.stop.take().map(|mut stop| stop.spawn()) {
            let ended = self.ends();
            let _ = stop.kill();
            let _ = stop.wait();
            if ended {
                return;
            }
        }
        let _ = pidfd_send_signal(&self.pidfd, Signal::TERM);
        if !self.ends() {
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        }
    }

    /// Whether it ends within the grace.
    fn ends(&self) -> bool {
        let waited = wait(&[(self.pidfd.as_fd(), PollFlags::IN)], Some(GRACE));
        matches!(waited.as_deref(), Ok([true]))
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

/// Reads what the tool prints to its end, in bounded lines. Keeps the first failure that it tells of.
fn listen(output: impl Read, profile: &Profile, mut on_line: impl FnMut(&str)) -> Option<Told> {
    let mut reader = BufReader::new(output);
    let mut told = None;
    let mut bytes = Vec::new();
    while matches!(
        reader.by_ref().take(LINE).read_until(b'\n', &mut bytes),
        Ok(1..)
    ) {
        let line = String::from_utf8_lossy(&bytes).trim().to_owned();
        bytes.clear();
        if line.is_empty() {
            continue;
        }
        on_line(&line);
        told = told.or_else(|| Some((profile.failure_in(&line)?, line)));
    }
    told
}

fn judge(status: ExitStatus, peer_left: bool, told: Option<Told>) -> Outcome {
    match told {
        _ if peer_left => Outcome::Ended,
        Some((name, line)) => Outcome::Failed(name, line),
        None => Outcome::Died {
            how: match (status.code(), status.signal()) {
                (Some(code), _) => format!("it ended with exit code {code}"),
                (None, Some(signal)) => format!("it was ended by signal {signal}"),
                (None, None) => "it ended".to_owned(),
            },
            calmly: status.success(),
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
    fn run(body: &str, stop: &[&str], with: impl FnOnce(UnixStream)) -> Outcome {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let kept = theirs.try_clone().unwrap();
        let args = ["-c".to_owned(), body.to_owned()];
        let stop: Vec<String> = stop.iter().copied().map(str::to_owned).collect();
        let start = Start {
            path: Path::new("/bin/sh"),
            args: &args,
            stop: &stop,
            env: &[],
            socket: Some(theirs.into()),
        };
        let started = Started::start(start, &profile(), |_| {}).unwrap();
        with(ours);
        started.watch(&kept).unwrap()
    }

    fn died(how: &str, calmly: bool) -> Outcome {
        let how = how.to_owned();
        Outcome::Died { how, calmly }
    }

    #[test]
    fn it_serves_on_its_stdio_and_ends_when_its_peer_leaves() {
        let talk = |mut peer: UnixStream| {
            std::io::Write::write_all(&mut peer, b"hello\n").unwrap();
            let mut answer = [0; 6];
            peer.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"hello\n");
        };
        assert_eq!(run("exec cat", &[], talk), Outcome::Ended);
    }

    #[test]
    fn one_that_ignores_everything_is_killed() {
        let body = "trap '' TERM; while :; do sleep 0.1; done";
        assert_eq!(run(body, &[], drop), Outcome::Ended);
    }

    #[test]
    fn one_that_knows_how_is_called_to_end_itself() {
        let folder = tempfile::tempdir().unwrap();
        let flag = folder.path().join("stop").display().to_string();
        // Only a calm end gets as far as to the second file.
        let body =
            format!("trap '' TERM; while ! [ -e {flag} ]; do sleep 0.05; done; touch {flag}ped");
        let stop = format!("touch {flag}");
        assert_eq!(run(&body, &["-c", &stop], drop), Outcome::Ended);
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
            Outcome::Failed("display-lost", line),
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
        let told = listen(&vec![b'x'; 100_000][..], &profile(), |line| {
            assert!(line.len() <= LINE as usize);
            lines += 1;
        });
        assert_eq!((lines, told), (196, None));
    }
}
