//! `make chaos`: the bad day as a program. Real sessions, each between network namespaces of its
//! own, live through what networks and machines do, and must be whole afterwards.
//!
//! It prints a line for each incident of each session, then the figures, and exits with 0 only if
//! every session ended as it must. Everything that it starts ends with it, also when it is killed:
//! all of it lives in the namespaces of a [lab](etatuki_testkit::lab).

mod bed;
mod certificate;
mod desk;
mod incident;
mod keys;
mod line_process;
mod report;
mod schedule;
mod session;
mod unprivileged;
mod viewer;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::{Parser, ValueEnum};

/// Sessions between network namespaces, and everything that a network does to them.
#[derive(Parser)]
struct Args {
    /// The folder of the programs.
    bin: PathBuf,
    /// The set of sessions.
    #[arg(long, value_enum, default_value_t = Which::All)]
    which: Which,
    /// Number of times that each runs.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Number of sessions side by side; four on each processor if it isn't given.
    #[arg(long)]
    side_by_side: Option<usize>,
    /// A part of the words of those that run alone.
    #[arg(long, default_value = "")]
    only: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Every incident, on both kinds of path, with two backends.
    All,
    /// The short ones.
    Quick,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let bin = args.bin.canonicalize()?;
    unprivileged::become_root_of_a_namespace(&bin)?;
    let mut scenarios = match args.which {
        Which::All => schedule::all(),
        Which::Quick => schedule::quick(),
    };
    scenarios.retain(|scenario| report::head(scenario).contains(&args.only));
    let scenarios: Vec<_> = std::iter::repeat_n(scenarios, args.rounds)
        .flatten()
        .collect();
    let processors = std::thread::available_parallelism()?.get();
    let side_by_side = args.side_by_side.unwrap_or(4 * processors);
    let began = Instant::now();
    let outcomes = schedule::run(&bin, scenarios, side_by_side, |outcome| {
        print(&report::lines(outcome));
    });
    let good = outcomes
        .iter()
        .filter(|outcome| outcome.result.is_ok())
        .count();
    print(&report::summary(&outcomes));
    print(&format!(
        "{good} of {} sessions ended as they must, in {:.0} s",
        outcomes.len(),
        began.elapsed().as_secs_f32()
    ));
    Ok(if good == outcomes.len() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints for the person who ran `make chaos`.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
