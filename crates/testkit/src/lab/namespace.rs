//! One network namespace. It lives by the processes in it and has no name: its holder, a shell, ends
//! with the test, even a killed one, and ends everything that still runs in the namespace.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Time-out for a holder to end everything in its namespace.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Script of the holder, with the lab's resolv.conf as its argument. It waits for the end of its
/// stdin, which comes with the test's; `kill` is a shell's own command.
const HOLDER: &str = r#"
if [ -n "$1" ]; then mount --bind "$1" /etc/resolv.conf || exit 1; fi
ip link set lo up || exit 1
echo ready
while read -r _; do :; done
own=$(readlink /proc/$$/ns/net)
number=${own#net:\[}
for round in 1 2 3; do
  found=$(find /proc/[0-9]*/ns -maxdepth 1 -name net -lname "net:\[${number%]}\]" 2>/dev/null)
  for path in $found; do
    pid=${path#/proc/}; pid=${pid%%/*}
    [ "$pid" = $$ ] || kill -KILL "$pid" 2>/dev/null
  done
done
"#;

/// A network namespace with a mount namespace beside it, in which /etc/resolv.conf is the lab's.
#[derive(Debug)]
pub(super) struct Namespace {
    holder: Child,
}

impl Namespace {
    /// Makes a namespace with nothing but loopback in it. Without `resolv_conf` it keeps the
    /// machine's own.
    ///
    /// # Errors
    /// The words of `unshare`: it wants root.
    pub(super) fn new(resolv_conf: Option<&Path>) -> Result<Self, String> {
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "--", "sh", "-c", HOLDER, "lab-holder"])
            .args(resolv_conf)
            // Ctrl-C ends the test and leaves its holders, which then end the rest.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("piped");
        let _ = BufReader::new(stdout).read_line(&mut line);
        if line == "ready\n" {
            return Ok(Self { holder });
        }
        let mut words = String::new();
        if let Some(mut stderr) = holder.stderr.take() {
            let _ = stderr.read_to_string(&mut words);
        }
        let _ = holder.wait();
        Err(words.trim().to_owned())
    }

    /// Returns the id of the process that holds it.
    pub(super) fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// Returns `command` run in here, from the root folder. The process has the id of the child
    /// that is spawned.
    pub(super) fn command(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside
            .args(["--target", &self.pid().to_string(), "--net", "--mount"])
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    /// Runs a shell script in here and returns its output; it ends at the first command that fails.
    ///
    /// # Panics
    /// A command failed.
    pub(super) fn shell(&self, script: &str) -> String {
        self.pipe(Command::new("sh").arg("-eu"), script)
    }

    /// Runs `command` in here with `input` on its stdin, and returns its output.
    ///
    /// # Panics
    /// It failed.
    pub(super) fn pipe(&self, command: &Command, input: &str) -> String {
        let mut child = self
            .command(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nsenter is installed: Debian's package util-linux");
        let mut stdin = child.stdin.take().expect("piped");
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("it runs");
        assert!(
            output.status.success(),
            "in the lab: {input}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs `work` on a thread in here: a socket that is made there stays there. Names are still
    /// resolved by the machine's own resolv.conf.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/proc/{}/ns/net", self.pid())).expect("it is held");
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root may enter");
                work()
            });
            match thread.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Tells the holder to end everything in here, and doesn't wait.
    pub(super) fn end(&mut self) {
        drop(self.holder.stdin.take());
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.end();
        let end = Instant::now() + END_TIMEOUT;
        while matches!(self.holder.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
