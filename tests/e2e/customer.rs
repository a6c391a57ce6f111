//! The customer's side: `etatuki session BACKEND`, driven by its JSON lines.

use std::ops::{Deref, DerefMut};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::json_line_process::JsonLineProcess;
use crate::testbed::Testbed;

/// A running session.
pub(crate) struct Customer {
    program: JsonLineProcess,
}

impl Deref for Customer {
    type Target = JsonLineProcess;

    fn deref(&self) -> &JsonLineProcess {
        &self.program
    }
}

impl DerefMut for Customer {
    fn deref_mut(&mut self) -> &mut JsonLineProcess {
        &mut self.program
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
    pub(crate) fn spawn(command: Command) -> Self {
        let program = JsonLineProcess::spawn("customer", command);
        Self { program }
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
        self.send(json!({"type": "answer", "id": id, "allow": allow}));
    }
}
