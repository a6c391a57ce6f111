//! A slow or lossy line between a host and its router. It is a process between two tun devices,
//! because kernels without netem must do.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::namespace::Namespace;

/// The properties of a line, in each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Line {
    /// Delay; a round trip has two.
    pub delay: Duration,
    /// Packets lost, in percent, at random.
    pub loss_percent: f64,
    /// Rate, in kbit a second; 0 is none.
    pub kbit_per_second: u32,
}

/// A running line; it ends with this value.
#[derive(Debug)]
pub(super) struct RunningLine {
    process: Child,
}

impl RunningLine {
    /// Lays a line from `host` (its device is `eth0`) to `router` (its device is `lan`). `name` is
    /// a name of the line's own, for devices that are made in `internet`.
    pub(super) fn start(
        internet: &Namespace,
        host: &Namespace,
        router: &Namespace,
        name: &str,
        line: Line,
    ) -> Self {
        let mut python = Command::new("python3");
        python
            .args(["-c", include_str!("line.py")])
            .args([host.pid().to_string(), router.pid().to_string()])
            .arg(name);
        let mut process = internet
            .command(&python)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is installed");
        let mut ready = String::new();
        let stdout = process.stdout.take().expect("piped");
        let _ = BufReader::new(stdout).read_line(&mut ready);
        assert_eq!(ready, "ready\n", "the line wants /dev/net/tun");
        let mut running = Self { process };
        running.set(line);
        running
    }

    /// Changes the line's properties, for packets from now on.
    pub(super) fn set(&mut self, line: Line) {
        let stdin = self.process.stdin.as_mut().expect("piped");
        let delay = line.delay.as_secs_f64() * 1000.0;
        let (loss, rate) = (line.loss_percent, line.kbit_per_second);
        writeln!(stdin, "{delay} {loss} {rate}").expect("the line runs");
    }
}

impl Drop for RunningLine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
