//! The customer's side: `etatuki session BACKEND`, driven by its JSON lines.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use etatuki_deployment::process::Process;
use serde_json::{Value, json};

use crate::testbed::{TIMEOUT, Testbed};

/// A running session.
pub(crate) struct Customer {
    pub(crate) process: Process,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    /// Every line so far.
    pub(crate) received: Vec<Value>,
}

impl Drop for Customer {
    /// Shows, when a test fails, what it didn't ask for yet: perhaps the session was over.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let unread: Vec<_> = self.lines.try_iter().collect();
            eprintln!(
                "the customer's side said last: {:?}, {unread:?}",
                self.received.last()
            );
        }
    }
}

impl Customer {
    /// Starts `etatuki session BACKEND` with more arguments.
    pub(crate) fn start(testbed: &Testbed, backend: &str, more: &[&str]) -> Self {
        let mut command = testbed.deployment.launcher(testbed.display.name());
        command
            .args(["--language", "fi"])
            .args(more)
            .args(["session", backend]);
        Self::spawn(command)
    }

    /// Starts a launcher that speaks JSON lines.
    pub(crate) fn spawn(mut command: std::process::Command) -> Self {
        let mut process =
            Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
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
                panic!(
                    "the customer's side never said: {what}; it said {:#?}",
                    self.received
                );
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

    /// Waits for a state.
    pub(crate) fn expect_state(&mut self, state: &str) -> Value {
        self.expect(state, |line| {
            line["type"] == "state" && line["state"] == state
        })
    }

    /// Returns the code as it would be read aloud: one field, or ID and password.
    pub(crate) fn code(&mut self) -> Vec<String> {
        let line = self.expect_type("code");
        let digits = |field: &Value| field["digits"].as_str().unwrap().to_owned();
        line["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(digits)
            .collect()
    }

    /// Waits for a question of this kind and returns its id.
    pub(crate) fn expect_question(&mut self, ask: &str) -> u64 {
        let line = self.expect(ask, |line| line["type"] == "ask" && line["ask"] == ask);
        line["id"].as_u64().unwrap()
    }

    /// Waits for a question and allows it, after its first second.
    pub(crate) fn allow(&mut self, ask: &str) {
        let id = self.expect_question(ask);
        self.answer(id, true);
    }

    /// Waits for a question and denies it, after its first second.
    pub(crate) fn deny(&mut self, ask: &str) {
        let id = self.expect_question(ask);
        self.answer(id, false);
    }

    /// Answers a question after its first second, in which no answer is accepted.
    pub(crate) fn answer(&mut self, id: u64, allow: bool) {
        std::thread::sleep(Duration::from_millis(1100));
        self.send(&json!({"type": "answer", "id": id, "allow": allow}));
    }

    /// Writes a line to its stdin.
    pub(crate) fn send(&mut self, line: &Value) {
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
