//! A program of ours that speaks JSON lines: what it says is waited for, by type.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::Process;

/// A running program with its lines.
#[derive(Debug)]
pub struct Talk {
    /// The program.
    pub process: Process,
    said: BufReader<ChildStdout>,
    input: ChildStdin,
}

impl Talk {
    /// Starts it. What it writes to stderr is nobody's.
    pub fn start(command: &mut Command) -> Result<Self> {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(pipes.stderr(Stdio::null()))?;
        let child = process.child();
        let said = BufReader::new(child.stdout.take().context("stdout is a pipe")?);
        let input = child.stdin.take().context("stdin is a pipe")?;
        Ok(Self {
            process,
            said,
            input,
        })
    }

    /// Writes one line.
    pub fn say(&mut self, line: &str) -> Result<()> {
        writeln!(self.input, "{line}").context("it doesn't listen")
    }

    /// The next line.
    pub fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        let value: Value = serde_json::from_str(&line).context("not a line of JSON")?;
        if value["type"] == "failed" {
            bail!("{line}");
        }
        Ok(value)
    }

    /// The next line of that type. Fails when the program does.
    pub fn until(&mut self, kind: &str) -> Result<Value> {
        loop {
            let value = self.line().with_context(|| format!("before '{kind}'"))?;
            if value["type"] == kind {
                return Ok(value);
            }
        }
    }
}
