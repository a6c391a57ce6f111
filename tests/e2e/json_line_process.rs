//! A program that speaks JSON lines: the base of both sides.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use etatuki_deployment::process::Process;
use serde_json::Value;

use crate::testbed::TIMEOUT;

/// A running program, its stdin and the lines of its stdout.
pub(crate) struct JsonLineProcess {
    /// Whose side it is, for failures.
    side: &'static str,
    pub(crate) process: Process,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    /// Every line so far.
    pub(crate) received: Vec<Value>,
}

impl Drop for JsonLineProcess {
    /// Shows, when a test fails, what it didn't ask for yet: perhaps the session was over.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let unread: Vec<_> = self.lines.try_iter().collect();
            let last = self.received.last();
            eprintln!("the {}'s side said last: {last:?}, {unread:?}", self.side);
        }
    }
}

impl JsonLineProcess {
    pub(crate) fn spawn(side: &'static str, mut command: Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(piped).unwrap();
        let stdin = process.child().stdin.take();
        let stdout = BufReader::new(process.child().stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line)
                    .unwrap_or_else(|_| panic!("not JSON on stdout: {line}"));
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        Self {
            side,
            process,
            stdin,
            lines,
            received: Vec::new(),
        }
    }

    /// Returns the next line that matches; `what` describes it for the failure.
    pub(crate) fn expect(&mut self, what: &str, is_match: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + TIMEOUT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                let (side, received) = (self.side, &self.received);
                panic!("the {side}'s side never said: {what}; it said {received:#?}");
            };
            self.received.push(line.clone());
            if is_match(&line) {
                return line;
            }
        }
    }

    /// Returns the next line of a type.
    pub(crate) fn expect_type(&mut self, kind: &str) -> Value {
        self.expect(kind, |line| line["type"] == kind)
    }

    /// Takes the lines that have come; returns whether one is of this type.
    pub(crate) fn poll(&mut self, kind: &str) -> Option<()> {
        let before = self.received.len();
        self.received.extend(self.lines.try_iter());
        let new = &self.received[before..];
        new.iter().any(|line| line["type"] == kind).then_some(())
    }

    /// Writes a line to its stdin.
    pub(crate) fn send(&mut self, line: impl Display) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        writeln!(stdin, "{line}").unwrap();
    }

    /// Closes its stdin.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits until it has exited.
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        self.process.wait(TIMEOUT).unwrap()
    }
}
