//! A program that speaks JSON lines on stdin and stdout.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::Process;

/// A running program with its lines.
#[derive(Debug)]
pub struct JsonProcess {
    /// The program.
    pub process: Process,
    stdout: BufReader<ChildStdout>,
    stdin: ChildStdin,
}

impl JsonProcess {
    /// Starts `command`; its stderr is discarded.
    pub fn start(command: &mut Command) -> Result<Self> {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(pipes.stderr(Stdio::null()))?;
        let child = process.child();
        let stdout = BufReader::new(child.stdout.take().context("stdout is a pipe")?);
        let stdin = child.stdin.take().context("stdin is a pipe")?;
        Ok(Self {
            process,
            stdout,
            stdin,
        })
    }

    /// Writes one line.
    pub fn send(&mut self, line: &str) -> Result<()> {
        writeln!(self.stdin, "{line}").context("it doesn't listen")
    }

    /// Reads the next line; one of the type `failed` is an error.
    pub fn next_line(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        let value: Value = serde_json::from_str(&line).context("not a line of JSON")?;
        if value["type"] == "failed" {
            bail!("{line}");
        }
        Ok(value)
    }

    /// Reads lines up to the next one of the type `kind`.
    pub fn wait_for(&mut self, kind: &str) -> Result<Value> {
        loop {
            let value = self
                .next_line()
                .with_context(|| format!("before '{kind}'"))?;
            if value["type"] == kind {
                return Ok(value);
            }
        }
    }
}
