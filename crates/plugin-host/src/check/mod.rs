//! `etatuki plugin check`: any library against the contract in `etatuki_backend.h`. Each trial runs in a child of its own
//! (this program, started as [`CHECK`]), which is killed when it takes too long: a plugin may crash or hang in one and
//! still be tried in the others.
//!
//! What is tried is in `trials`; the plugin as it is handled there, in `bench`.

mod bench;
mod clock;
mod trials;

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::child::{Stdio as ChildStdio, forbid_core_dumps};
use crate::group::Group;
use crate::lines::cut;
use crate::strays::{self, Mark};

/// The first argument with which the checker starts itself for one trial.
pub const CHECK: &str = "plugin-check";
/// How long one trial may take, unless somebody wants it otherwise; the longest opens the plugin a hundred times.
/// A machine that stands still doesn't use it up.
pub const TRIAL_LIMIT: Duration = Duration::from_secs(20);
/// How long a pipe may stay open once everything that we know of has ended.
const PIPE_LIMIT: Duration = Duration::from_secs(2);
/// Bytes of a trial's result, and of what the plugin printed meanwhile.
const MAX_OUTPUT: u64 = 16 * 1024;

/// What to check.
#[derive(Clone, Debug)]
pub struct CheckSpec {
    /// The program that runs the trials: it calls [`run_check_child`] when its first argument is [`CHECK`].
    pub exe: PathBuf,
    /// The library.
    pub library: PathBuf,
    /// Only the trials with these names; all of them when there is none.
    pub only: Vec<String>,
    /// The backend's options, as `[backend.options]` would give them.
    pub options: serde_json::Value,
    /// How long one trial may take before it hangs.
    pub limit: Duration,
}

/// How one trial went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As the contract says.
    Passed,
    /// Not as the contract says; the text says what was found and what it must be.
    Failed,
    /// The process died in it.
    Crashed,
    /// It didn't end in time.
    Hung,
    /// It couldn't be tried; the text says why.
    Skipped,
}

/// One trial's result.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// Stable name.
    pub name: &'static str,
    /// What the contract says.
    pub rule: &'static str,
    /// How it went.
    pub verdict: Verdict,
    /// What was found, in words for the plugin's author.
    pub text: String,
    /// What the plugin printed meanwhile, its last lines; only when something was wrong.
    pub printed: Vec<String>,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// The names of all trials with their rules, in the order in which they run.
pub fn trials() -> impl Iterator<Item = (&'static str, &'static str)> {
    trials::ALL.iter().map(|trial| (trial.name, trial.rule))
}

/// Runs the trials one after the other and calls `each` with every result.
pub fn check(spec: &CheckSpec, mut each: impl FnMut(Trial)) {
    for trial in trials::ALL {
        if spec.only.is_empty() || spec.only.iter().any(|name| name == trial.name) {
            each(try_one(spec, trial));
        }
    }
}

/// What a child says of its trial.
#[derive(Serialize, Deserialize)]
struct Said {
    verdict: Verdict,
    text: String,
}

fn try_one(spec: &CheckSpec, trial: &'static trials::Known) -> Trial {
    let started = Instant::now();
    let (said, printed) = match run(spec, trial.name) {
        Ok(ran) => ran,
        Err(error) => {
            let text = format!("the trial could not be started: {error}");
            (
                Said {
                    verdict: Verdict::Skipped,
                    text,
                },
                String::new(),
            )
        }
    };
    let good = matches!(said.verdict, Verdict::Passed | Verdict::Skipped);
    let lines: Vec<_> = printed.lines().filter(|_| !good).collect();
    let last = lines.len().saturating_sub(5);
    Trial {
        name: trial.name,
        rule: trial.rule,
        verdict: said.verdict,
        text: said.text,
        printed: lines[last..]
            .iter()
            .map(|line| cut(line, 200).to_owned())
            .collect(),
        ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

fn run(spec: &CheckSpec, name: &str) -> std::io::Result<(Said, String)> {
    let mark = Mark::new();
    let mut child = Command::new(&spec.exe)
        .args([CHECK, name])
        .arg(&spec.library)
        .arg(spec.options.to_string())
        .env(strays::VARIABLE, mark.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let leader = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let leader = leader.ok_or_else(|| std::io::Error::other("the child has no process id"))?;
    // Whatever happens, dropping it kills and reaps.
    let group = Group::new(leader, mark);
    let result = read_in_background(child.stdout.take());
    let printed = read_in_background(child.stderr.take());
    let ended = wait(&group, spec.limit);
    // What the plugin started holds the pipes: it ends first.
    drop(group);
    let (result, printed) = (collect(&result), collect(&printed));
    let said = match ended {
        None => Said {
            verdict: Verdict::Hung,
            text: format!("it didn't end within {} s", spec.limit.as_secs()),
        },
        Some(how) => serde_json::from_str(&result).unwrap_or_else(|_| Said {
            verdict: Verdict::Crashed,
            text: format!("the process ended in the middle: {how}"),
        }),
    };
    Ok((said, printed))
}

/// Reads a pipe to its end, on a thread: bounded, and the rest is drained, so that nobody waits for room.
fn read_in_background(pipe: Option<impl std::io::Read + Send + 'static>) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let Some(mut pipe) = pipe else { return };
        let mut bytes = Vec::new();
        let _ = pipe.by_ref().take(MAX_OUTPUT).read_to_end(&mut bytes);
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        let _ = send.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receive
}

/// What came. A process that hides from us may keep a pipe open for ever; it isn't waited for.
fn collect(reader: &Receiver<String>) -> String {
    clock::patiently(PIPE_LIMIT, || reader.try_recv().ok()).unwrap_or_default()
}

/// How the child ended; none when it takes too long.
fn wait(group: &Group, limit: Duration) -> Option<String> {
    clock::patiently(limit, || group.how_it_ended())
}

/// What the program runs when its first argument is [`CHECK`]: one trial, with the arguments after that.
pub fn run_check_child(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    forbid_core_dumps();
    let Ok(ChildStdio { mut output, .. }) = ChildStdio::take() else {
        return ExitCode::FAILURE;
    };
    let (Some(name), Some(library), Some(options)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return ExitCode::from(2);
    };
    let known = trials::ALL.iter().find(|trial| name == trial.name);
    let options = options.to_string_lossy().into_owned();
    let Some(trial) = known else {
        return ExitCode::from(2);
    };
    let said = match (trial.run)(&bench::Library::new(Path::new(&library), options)) {
        Ok(text) => Said {
            verdict: Verdict::Passed,
            text,
        },
        Err(bench::Stop::Failed(text)) => Said {
            verdict: Verdict::Failed,
            text,
        },
        Err(bench::Stop::Skipped(text)) => Said {
            verdict: Verdict::Skipped,
            text,
        },
    };
    let line = serde_json::to_string(&said).unwrap_or_default();
    let written = std::io::Write::write_all(&mut output, line.as_bytes());
    // Without the plugin's exit handlers, which may hang.
    crate::child::leave(i32::from(written.is_err()))
}
