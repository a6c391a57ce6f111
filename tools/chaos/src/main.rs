//! `make chaos`: the bad day as a program. Real sessions, each between network namespaces of its
//! own, live through what networks and machines do, and must be whole afterwards.
//!
//! It prints a line for each incident of each session, then the figures, and exits with 0 only if
//! every session ended as it must. Everything that it starts ends with it, also when it is killed:
//! all of it lives in the namespaces of a [lab](etatuki_testkit::lab).

mod bed;
mod certificate;
mod desk;
mod figures;
mod incident;
mod keys;
mod line_process;
mod report;
mod schedule;
mod session;
mod unprivileged;
mod viewer;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use schedule::Scenario;

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
    /// Exits with 0 where network namespaces can't be made, and says so.
    #[arg(long)]
    if_possible: bool,
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
    /// Those that give the figures of docs/performance.md.
    Figures,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let bin = args.bin.canonicalize()?;
    match unprivileged::become_root_of_a_namespace(&bin) {
        Err(error) if args.if_possible => {
            print(&format!("LEFT OUT: {error}"));
            return Ok(ExitCode::SUCCESS);
        }
        result => result?,
    }
    let processors = std::thread::available_parallelism()?.get();
    let count = args.side_by_side.unwrap_or(4 * processors);
    let began = Instant::now();
    let (good, all) = match args.which {
        Which::Figures => {
            let failed = figures::measure(&bin, count, print);
            (usize::from(failed == 0), 1)
        }
        Which::All => run(&args, &bin, schedule::all(), count),
        Which::Quick => run(&args, &bin, schedule::quick(), count),
    };
    let took = began.elapsed().as_secs_f32();
    if args.which != Which::Figures {
        print(&format!("{good} of {all} sessions ended as they must"));
    }
    print(&format!("It took {took:.0} s."));
    Ok(if good == all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs sessions and prints what became of them. Returns how many ended as they must, and how many
/// there were.
fn run(args: &Args, bin: &Path, mut scenarios: Vec<Scenario>, count: usize) -> (usize, usize) {
    scenarios.retain(|scenario| report::head(scenario).contains(&args.only));
    let repeated = std::iter::repeat_n(scenarios, args.rounds);
    let outcomes = schedule::side_by_side(
        count,
        repeated.flatten().collect(),
        |number, scenario| schedule::live(bin, number, &scenario),
        |outcome| print(&report::lines(outcome)),
    );
    print(&report::summary(&outcomes));
    let good = outcomes.iter().filter(|outcome| outcome.result.is_ok());
    (good.count(), outcomes.len())
}

/// Prints for the person who ran `make chaos`.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
