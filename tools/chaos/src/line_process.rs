//! A program that speaks JSON lines, each kept with the moment at which it came.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use etatuki_deployment::process::Process;
use serde_json::Value;

/// A line of a program's stdout.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Instant,
    pub(crate) value: Value,
}

impl Line {
    /// Returns whether it has this type.
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.value["type"] == kind
    }
}

/// A running program with all its lines.
#[derive(Debug)]
pub(crate) struct LineProcess {
    pub(crate) process: Process,
    stdin: ChildStdin,
    lines: Arc<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    seen: Mutex<Vec<Line>>,
    came: Condvar,
}

impl LineProcess {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(pipes)?;
        let stdin = process.child().stdin.take().context("stdin is a pipe")?;
        let stdout = process.child().stdout.take().context("stdout is a pipe")?;
        let lines = Arc::new(Lines::default());
        let writer = Arc::clone(&lines);
        std::thread::spawn(move || {
            for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
                let at = Instant::now();
                let mut seen = writer.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push(Line { at, value });
                writer.came.notify_all();
            }
        });
        Ok(Self {
            process,
            stdin,
            lines,
        })
    }

    /// Writes one line to its stdin.
    pub(crate) fn send(&mut self, line: &str) -> Result<()> {
        writeln!(self.stdin, "{line}").context("it doesn't listen")
    }

    /// Returns the number of lines so far: where a later search begins.
    pub(crate) fn mark(&self) -> usize {
        self.seen().len()
    }

    /// Returns the first line from `mark` on that matches.
    pub(crate) fn find(&self, mark: usize, is_match: impl Fn(&Line) -> bool) -> Option<Line> {
        self.seen()[mark..]
            .iter()
            .find(|line| is_match(line))
            .cloned()
    }

    /// Returns the last of all lines that matches.
    pub(crate) fn last(&self, is_match: impl Fn(&Line) -> bool) -> Option<Line> {
        self.seen()
            .iter()
            .rev()
            .find(|line| is_match(line))
            .cloned()
    }

    /// Waits for a line from `mark` on that matches; `what` describes it for the error.
    pub(crate) fn wait(
        &self,
        mark: usize,
        timeout: Duration,
        what: &str,
        is_match: impl Fn(&Line) -> bool,
    ) -> Result<Line> {
        let end = Instant::now() + timeout;
        let mut seen = self.seen();
        loop {
            if let Some(line) = seen[mark.min(seen.len())..]
                .iter()
                .find(|line| is_match(line))
            {
                return Ok(line.clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let last = seen.last().map_or(Value::Null, |line| line.value.clone());
                bail!("never came: {what}; the last line was {last}");
            }
            let waited = self.lines.came.wait_timeout(seen, left);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Vec<Line>> {
        let seen = self.lines.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner)
    }
}
