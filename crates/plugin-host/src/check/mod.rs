//! `etatuki plugin check`: any library against the contract in `etatuki_backend.h`. Each trial runs in a child of its own
//! (this program, started as [`CHECK`]), which is killed when it takes too long: a plugin may crash or hang in one and
//! still be tried in the others. The child closes itself off as the plugin host does, so that a plugin's author meets here
//! what the jail refuses.
//!
//! What is tried is in `trials`; the plugin as it is handled there, in `bench`; the other end of its socket, in `viewer`.

mod bench;
mod clock;
mod printed;
mod trials;
mod viewer;

use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::child::{Stdio as ChildStdio, forbid_core_dumps, jail};
use crate::group::Group;
use crate::lines::cut;
use crate::parent::set_apart;
use crate::strays::Mark;

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
    /// Whether the plugin may use the network, as the registry would say it.
    pub network: bool,
    /// Whether the trials run behind the plugin host's jail, as they should; else the plugin can do what its author can.
    pub jail: bool,
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
    /// Whether the jail is probably the reason: without it the trial passes, behind it it doesn't.
    pub jailed: bool,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// The names of all trials with their rules, in the order in which they run.
pub fn trials() -> impl Iterator<Item = (&'static str, &'static str)> {
    trials::ALL.iter().map(|trial| (trial.name, trial.rule))
}

/// Runs the trials one after the other and calls `each` with every result. Gives what this system couldn't close, in
/// words: it is open in the plugin host too.
pub fn check(spec: &CheckSpec, mut each: impl FnMut(Trial)) -> Vec<String> {
    let mut open = Vec::new();
    for trial in trials::ALL {
        if spec.only.is_empty() || spec.only.iter().any(|name| name == trial.name) {
            let (trial, found) = try_one(spec, trial);
            each(trial);
            open.extend(
                found
                    .into_iter()
                    .filter(|what| !open.contains(what))
                    .collect::<Vec<_>>(),
            );
        }
    }
    open
}

/// What a child says of its trial.
#[derive(Serialize, Deserialize)]
struct Said {
    verdict: Verdict,
    text: String,
}

/// One trial as it went.
struct Ran {
    said: Said,
    /// What couldn't be closed.
    open: Vec<String>,
    /// By the plugin, mostly.
    printed: String,
}

fn try_one(spec: &CheckSpec, trial: &'static trials::Known) -> (Trial, Vec<String>) {
    let started = Instant::now();
    let Ran {
        said,
        open,
        printed,
    } = try_once(spec, spec.jail, trial);
    let good = matches!(said.verdict, Verdict::Passed | Verdict::Skipped);
    let lines: Vec<_> = printed.lines().filter(|_| !good).collect();
    let last = lines.len().saturating_sub(5);
    let trial = Trial {
        name: trial.name,
        rule: trial.rule,
        verdict: said.verdict,
        text: said.text,
        printed: lines[last..]
            .iter()
            .map(|line| cut(line, 200).to_owned())
            .collect(),
        jailed: is_jails_doing(spec, said.verdict, trial),
        ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    (trial, open)
}

/// Without the jail it passes, and behind it it doesn't, once more: some trials go now this way and now that. What hung
/// isn't tried again, for that would take as long.
fn is_jails_doing(spec: &CheckSpec, verdict: Verdict, trial: &trials::Known) -> bool {
    let passes = |jail| try_once(spec, jail, trial).said.verdict == Verdict::Passed;
    let again = spec.jail && !matches!(verdict, Verdict::Passed | Verdict::Hung);
    again && passes(false) && !passes(true)
}

fn try_once(spec: &CheckSpec, jail: bool, trial: &trials::Known) -> Ran {
    run(spec, jail, trial.name).unwrap_or_else(|error| Ran {
        said: Said {
            // Nobody's fault perhaps, but who asks must not take it for passed.
            verdict: Verdict::Failed,
            text: format!("the trial could not be started: {error}"),
        },
        open: Vec::new(),
        printed: String::new(),
    })
}

fn run(spec: &CheckSpec, jail: bool, name: &str) -> std::io::Result<Ran> {
    let task = Task {
        trial: name.to_owned(),
        jail,
        network: spec.network,
        options: spec.options.clone(),
    };
    let mark = Mark::new();
    let mut command = Command::new(&spec.exe);
    command
        .args([CHECK, &serde_json::to_string(&task)?])
        // The child is in another folder.
        .arg(spec.library.canonicalize()?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    set_apart(&mut command, &mark);
    let mut child = command.spawn()?;
    let leader = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let leader = leader.ok_or_else(|| std::io::Error::other("the child has no process id"))?;
    // Whatever happens, dropping it kills and reaps.
    let group = Group::new(leader, mark);
    let result = read_in_background(child.stdout.take());
    let printed = read_in_background(child.stderr.take());
    let ended = wait(&group, spec.limit);
    // What the plugin started holds the pipes: it ends first.
    group.end();
    drop(group);
    let (result, printed) = (collect(&result), collect(&printed));
    let (open, said) = result.split_once('\n').unwrap_or_default();
    let said = match ended {
        None => Said {
            verdict: Verdict::Hung,
            text: format!("it didn't end within {} s", spec.limit.as_secs()),
        },
        Some(how) => serde_json::from_str(said).unwrap_or_else(|_| Said {
            verdict: Verdict::Crashed,
            text: format!("the process ended in the middle: {how}"),
        }),
    };
    Ok(Ran {
        said,
        open: serde_json::from_str(open).unwrap_or_default(),
        printed,
    })
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

/// One trial, as a child is told of it.
#[derive(Serialize, Deserialize)]
struct Task {
    trial: String,
    jail: bool,
    network: bool,
    options: serde_json::Value,
}

/// What the program runs when its first argument is [`CHECK`]: one trial, with the arguments after that.
pub fn run_check_child(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    forbid_core_dumps();
    let Ok(ChildStdio { mut output, .. }) = ChildStdio::take() else {
        return ExitCode::FAILURE;
    };
    let task = arguments.next().and_then(|task| read(&task));
    let (Some((task, trial)), Some(library)) = (task, arguments.next()) else {
        return ExitCode::from(2);
    };
    let mut say = |line: String| writeln!(output, "{line}").is_ok();
    // While there is one thread.
    let open = task.close(Path::new(&library));
    say(serde_json::to_string(&open).unwrap_or_default());
    let said = task.run(trial, Path::new(&library));
    let written = say(serde_json::to_string(&said).unwrap_or_default());
    // Without the plugin's exit handlers, which may hang.
    crate::child::leave(i32::from(!written))
}

fn read(task: &OsStr) -> Option<(Task, &'static trials::Known)> {
    let task: Task = serde_json::from_str(task.to_str()?).ok()?;
    let trial = trials::ALL.iter().find(|trial| task.trial == trial.name)?;
    Some((task, trial))
}

impl Task {
    /// Closes this process off, if it is to be. What couldn't be closed comes back.
    fn close(&self, library: &Path) -> Vec<String> {
        if !self.jail {
            return Vec::new();
        }
        jail::close(jail::Needs {
            folder: library.parent().unwrap_or(library),
            options: &self.options,
            network: self.network,
        })
    }

    fn run(&self, trial: &trials::Known, library: &Path) -> Said {
        let library = bench::Library::new(library, self.options.to_string(), self.network);
        let (verdict, text) = match (trial.run)(&library) {
            Ok(text) => (Verdict::Passed, text),
            Err(bench::Stop::Failed(text)) => (Verdict::Failed, text),
            Err(bench::Stop::Skipped(text)) => (Verdict::Skipped, text),
        };
        Said { verdict, text }
    }
}
