//! The customer's side: `etatuki session BACKEND`, driven by its JSON lines.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use etatuki_demo::process::Process;
use serde_json::{Value, json};

use crate::world::{LIMIT, World};

/// A session that runs.
pub(crate) struct Customer {
    pub(crate) process: Process,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    /// Every line so far.
    pub(crate) seen: Vec<Value>,
}

impl Customer {
    /// Starts `etatuki session BACKEND` with more arguments.
    pub(crate) fn start(world: &World, backend: &str, more: &[&str]) -> Self {
        let mut command = world.stage.launcher(world.display.name());
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
            seen: Vec::new(),
        }
    }

    /// The next line that fits.
    pub(crate) fn expect(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!(
                    "the customer's side never said: {what}; it said {:#?}",
                    self.seen
                );
            };
            self.seen.push(line.clone());
            if fits(&line) {
                return line;
            }
        }
    }

    /// The next line of a type.
    pub(crate) fn expect_type(&mut self, kind: &str) -> Value {
        self.expect(kind, |line| line["type"] == kind)
    }

    /// Waits for a state.
    pub(crate) fn expect_state(&mut self, state: &str) -> Value {
        self.expect(state, |line| {
            line["type"] == "state" && line["state"] == state
        })
    }

    /// The code as it would be read aloud: one field, or ID and password.
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

    /// Waits for a question of this kind and gives its number.
    pub(crate) fn question(&mut self, ask: &str) -> u64 {
        let line = self.expect(ask, |line| line["type"] == "ask" && line["ask"] == ask);
        line["id"].as_u64().unwrap()
    }

    /// Waits for a question and answers it, as a person would: not in its first second.
    pub(crate) fn answer(&mut self, ask: &str, allow: bool) {
        let id = self.question(ask);
        self.answers(id, allow);
    }

    /// Answers a question, as a person would: not in its first second.
    pub(crate) fn answers(&mut self, id: u64, allow: bool) {
        std::thread::sleep(Duration::from_millis(1100));
        self.say(&json!({"type": "answer", "id": id, "allow": allow}));
    }

    /// Says a line to it.
    pub(crate) fn say(&mut self, line: &Value) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        writeln!(stdin, "{line}").unwrap();
    }

    /// Closes its stdin.
    pub(crate) fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Waits until it has ended.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.process.wait(LIMIT).unwrap()
    }
}
