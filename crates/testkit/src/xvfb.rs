//! A real X server for each test; it ends with its handle.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// An Xvfb on a free display number.
#[derive(Debug)]
pub struct Xvfb {
    child: Child,
    /// Name of the display, such as `:7`.
    pub display: String,
}

impl Xvfb {
    /// Starts a server with a screen such as `640x480x24` and with `more` arguments, and waits
    /// until it accepts connections.
    pub fn start(screen: &str, more: &[&str]) -> Self {
        let mut child = Command::new("Xvfb")
            .args([
                "-displayfd",
                "1",
                "-nolisten",
                "tcp",
                "-noreset",
                "-screen",
                "0",
                screen,
            ])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb is installed");
        let mut number = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut number)
            .expect("Xvfb says its number");
        Self {
            child,
            display: format!(":{}", number.trim()),
        }
    }

    /// Kills the server, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Xvfb {
    fn drop(&mut self) {
        self.kill();
    }
}
