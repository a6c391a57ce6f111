//! `etatuki plugin check`: tests any library against the contract in `etatuki_backend.h`. Each
//! trial runs in a child process of its own (this program, started as [`CHECK`]), which is killed
//! when it takes too long: a plugin may crash or hang in one trial and still be tried in the
//! others. The child enters the plugin host's sandbox, so that a plugin's author meets the
//! sandbox's refusals here.
//!
//! The trials are in `trials`; the loaded plugin and its host in `harness`; the other end of its
//! socket in `attached_stream` and `rfb_client`.

mod attached_stream;
mod captured_output;
mod clock;
mod harness;
mod instance;
mod outcome;
mod recording_host;
mod rfb_client;
mod trials;

use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::child::{ParentPipes, prepare, sandbox};
use crate::escaped_processes::EnvMarker;
use crate::log_lines::truncate;
use crate::parent::isolate;
use crate::supervised_process::SupervisedProcess;
use crate::supervisor::SUPERVISOR;
use etatuki_rfb::plain_text;

/// First argument with which the checker starts itself for one trial.
pub const CHECK: &str = "plugin-check";
/// Default time-out of one trial; the longest trial opens the plugin a hundred times. A machine
/// that stands still doesn't use it up.
pub const TRIAL_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest wait for a pipe's end once every known process has ended.
const PIPE_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest result of a trial, and largest output of the plugin meanwhile, in bytes.
const MAX_OUTPUT_BYTES: u64 = 16 * 1024;
/// Last lines of the plugin's output that are reported.
const REPORTED_LINES: usize = 5;
/// Longest text of a verdict, in bytes.
const MAX_REPORTED_TEXT: usize = 1000;
/// Longest reported line, in bytes.
const MAX_REPORTED_LINE: usize = 200;

/// Parameters of a check.
#[derive(Clone, Debug)]
pub struct CheckSpec {
    /// Program that runs the trials: it calls [`run_check_child`] when its first argument is
    /// [`CHECK`].
    pub exe: PathBuf,
    /// The library.
    pub library: PathBuf,
    /// Names of the trials to run; all of them when empty.
    pub only: Vec<String>,
    /// The backend's options, as in `[backend.options]`.
    pub options: serde_json::Value,
    /// Whether the plugin may use the network, as in the registry.
    pub network: bool,
    /// Whether the trials run in the plugin host's sandbox, as they should; else the plugin has its
    /// author's rights.
    pub sandbox: bool,
    /// Time-out of one trial, after which it counts as hung.
    pub timeout: Duration,
    /// Whether the first trial that isn't passed or skipped is the last.
    pub fail_fast: bool,
}

/// Verdict of one trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The plugin keeps the rule.
    Passed,
    /// The plugin breaks the rule; the text says what was found and what it must be.
    Failed,
    /// The process died in the trial.
    Crashed,
    /// The trial didn't end in time.
    Hung,
    /// The rule couldn't be tried; the text says why.
    Skipped,
}

impl Verdict {
    /// Returns whether nothing was found.
    fn is_good(self) -> bool {
        matches!(self, Self::Passed | Self::Skipped)
    }
}

/// Result of one trial.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// Stable name.
    pub name: &'static str,
    /// The contract's rule.
    pub rule: &'static str,
    /// Verdict.
    pub verdict: Verdict,
    /// Finding, in words for the plugin's author.
    pub text: String,
    /// Last lines that the plugin printed meanwhile; empty when the trial passed or was skipped.
    #[serde(rename = "printed")]
    pub output: Vec<String>,
    /// True when the sandbox is probably the cause: the trial passes without it, and not in it.
    #[serde(rename = "jailed")]
    pub sandbox_suspected: bool,
    /// Duration in milliseconds.
    pub ms: u64,
}

/// Returns the names of all trials with their rules, in the order in which they run.
pub fn trials() -> impl Iterator<Item = (&'static str, &'static str)> {
    trials::ALL.iter().map(|trial| (trial.name, trial.rule))
}

/// Runs the trials one after the other, and calls `each` with every result. Returns the
/// restrictions that this system can't enforce, in words: they are missing in the plugin host too.
pub fn check(spec: &CheckSpec, mut each: impl FnMut(Trial)) -> Vec<String> {
    let mut unenforced: Vec<String> = Vec::new();
    for trial in trials::ALL {
        if spec.only.is_empty() || spec.only.iter().any(|name| name == trial.name) {
            let (trial, found) = check_trial(spec, trial);
            let ends_here = spec.fail_fast && !trial.verdict.is_good();
            each(trial);
            for restriction in found {
                if !unenforced.contains(&restriction) {
                    unenforced.push(restriction);
                }
            }
            if ends_here {
                break;
            }
        }
    }
    unenforced
}

/// A child's report of its trial.
#[derive(Serialize, Deserialize)]
struct Report {
    verdict: Verdict,
    text: String,
}

/// One run of a trial.
struct TrialRun {
    report: Report,
    /// Restrictions that the sandbox couldn't enforce.
    unenforced: Vec<String>,
    /// Output of the process, mostly the plugin's.
    output: String,
}

fn check_trial(spec: &CheckSpec, trial: &'static trials::TrialDefinition) -> (Trial, Vec<String>) {
    let started = Instant::now();
    let TrialRun {
        report,
        unenforced,
        output,
    } = run_trial(spec, spec.sandbox, trial);
    let is_good = report.verdict.is_good();
    let lines: Vec<_> = output.lines().filter(|_| !is_good).collect();
    let first = lines.len().saturating_sub(REPORTED_LINES);
    let trial = Trial {
        name: trial.name,
        rule: trial.rule,
        verdict: report.verdict,
        text: plain_text(&report.text),
        output: lines[first..]
            .iter()
            .map(|line| printable(truncate(line, MAX_REPORTED_LINE)))
            .collect(),
        sandbox_suspected: suspect_sandbox(spec, report.verdict, trial),
        ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    (trial, unenforced)
}

/// Returns whether the trial passes without the sandbox and then fails in it once more, since some
/// trials vary from run to run. A trial that hung isn't repeated: that would take as long again.
fn suspect_sandbox(spec: &CheckSpec, verdict: Verdict, trial: &trials::TrialDefinition) -> bool {
    let passes = |sandbox| run_trial(spec, sandbox, trial).report.verdict == Verdict::Passed;
    let repeats = spec.sandbox && !matches!(verdict, Verdict::Passed | Verdict::Hung);
    let (without, within) = (false, true);
    repeats && passes(without) && !passes(within)
}

fn run_trial(spec: &CheckSpec, sandbox: bool, trial: &trials::TrialDefinition) -> TrialRun {
    run_in_child(spec, sandbox, trial.name).unwrap_or_else(|error| TrialRun {
        report: Report {
            // Perhaps nobody's fault, but it must not be taken for passed.
            verdict: Verdict::Failed,
            text: format!("the trial could not be started: {error}"),
        },
        unenforced: Vec::new(),
        output: String::new(),
    })
}

fn run_in_child(spec: &CheckSpec, sandbox: bool, name: &str) -> std::io::Result<TrialRun> {
    let task = TrialTask {
        trial: name.to_owned(),
        sandbox,
        network: spec.network,
        options: spec.options.clone(),
    };
    let marker = EnvMarker::new();
    let mut command = Command::new(&spec.exe);
    command
        .args([SUPERVISOR, CHECK, &serde_json::to_string(&task)?])
        // An absolute path, because the child has another working directory.
        .arg(spec.library.canonicalize()?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    isolate(&mut command, &marker);
    let mut child = command.spawn()?;
    // Dropping the process ends everything and reaps, on every way out. The end of the pipe, with
    // this process, does the same.
    let process = SupervisedProcess::new(Pid::from_child(&child), marker);
    let lifeline = child.stdin.take();
    let result = read_in_background(child.stdout.take());
    let output = read_in_background(child.stderr.take());
    let ending = wait_for_exit(&process, spec.timeout);
    process.end();
    process.wait(PIPE_CLOSE_TIMEOUT);
    drop(process);
    drop(lifeline);
    let (result, output) = (collect(&result), collect(&output));
    let (unenforced, report) = result.split_once('\n').unwrap_or_default();
    let report = match ending {
        None => Report {
            verdict: Verdict::Hung,
            text: format!("it didn't end within {} s", spec.timeout.as_secs()),
        },
        Some(ending) => serde_json::from_str(report).unwrap_or_else(|_| Report {
            verdict: Verdict::Crashed,
            text: format!("the process ended in the middle: {ending}"),
        }),
    };
    Ok(TrialRun {
        report,
        unenforced: serde_json::from_str(unenforced).unwrap_or_default(),
        output,
    })
}

/// Reads a pipe to its end on a thread. The text is bounded, and the rest is drained, so that no
/// writer blocks.
fn read_in_background(pipe: Option<impl std::io::Read + Send + 'static>) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let Some(mut pipe) = pipe else { return };
        let mut bytes = Vec::new();
        let _ = pipe.by_ref().take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes);
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        let _ = send.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receive
}

/// Returns the text of a pipe; empty when a process that hides from us keeps the pipe open.
fn collect(reader: &Receiver<String>) -> String {
    clock::poll_until(PIPE_CLOSE_TIMEOUT, || reader.try_recv().ok()).unwrap_or_default()
}

/// Returns how the child ended; `None` after the time-out.
fn wait_for_exit(process: &SupervisedProcess, timeout: Duration) -> Option<String> {
    clock::poll_until(timeout, || process.exit_description())
}

/// One trial, as a child gets it in its arguments.
#[derive(Serialize, Deserialize)]
struct TrialTask {
    trial: String,
    sandbox: bool,
    network: bool,
    options: serde_json::Value,
}

/// Runs one trial, by the arguments after [`CHECK`].
pub fn run_check_child(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    prepare();
    let Ok(ParentPipes { mut output, .. }) = ParentPipes::claim() else {
        return ExitCode::FAILURE;
    };
    let task = arguments.next().and_then(|task| parse_task(&task));
    let (Some((task, trial)), Some(library)) = (task, arguments.next()) else {
        return ExitCode::from(2);
    };
    let mut write = |line: String| writeln!(output, "{line}").is_ok();
    // While there is one thread.
    let unenforced = task.enter_sandbox(Path::new(&library));
    write(serde_json::to_string(&unenforced).unwrap_or_default());
    let report = task.run(trial, Path::new(&library));
    let written = write(serde_json::to_string(&report).unwrap_or_default());
    // Without the plugin's exit handlers, which may hang.
    crate::child::exit_now(i32::from(!written))
}

fn parse_task(task: &OsStr) -> Option<(TrialTask, &'static trials::TrialDefinition)> {
    let task: TrialTask = serde_json::from_str(task.to_str()?).ok()?;
    let trial = trials::ALL.iter().find(|trial| task.trial == trial.name)?;
    Some((task, trial))
}

impl TrialTask {
    /// Enters the sandbox, if the task has one. Returns the restrictions that couldn't be enforced.
    fn enter_sandbox(&self, library: &Path) -> Vec<String> {
        if !self.sandbox {
            return Vec::new();
        }
        sandbox::enter(sandbox::SandboxConfig {
            folder: library.parent().unwrap_or(library),
            options: &self.options,
            network: self.network,
        })
    }

    fn run(&self, trial: &trials::TrialDefinition, library: &Path) -> Report {
        let library = harness::Library::new(library, self.options.to_string(), self.network);
        let (verdict, text) = match (trial.run)(&library) {
            Ok(text) => (Verdict::Passed, text),
            Err(outcome::Stop::Failed(text)) => (Verdict::Failed, text),
            Err(outcome::Stop::Skipped(text)) => (Verdict::Skipped, text),
        };
        Report {
            verdict,
            text: printable(&text),
        }
    }
}

/// Returns a text that may hold the plugin's own words as one that can be shown: bounded, and
/// without control characters.
fn printable(text: &str) -> String {
    let shown = truncate(text, MAX_REPORTED_TEXT);
    let cut = text.len() - shown.len();
    let shown = shown
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut shown: String = shown.collect();
    if cut > 0 {
        shown += &format!("… and {cut} bytes more");
    }
    shown
}
