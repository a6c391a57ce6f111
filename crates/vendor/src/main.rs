//! `etatuki-vendor`: reads the command line, the clock and the system's randomness, and prints the
//! result.

use std::{
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Parser as _;
use etatuki_trust::UnixTime;
use etatuki_vendor::{Cli, Environment, Report, VendorError, run};

fn main() -> ExitCode {
    forbid_inspection();
    let cli = Cli::parse();
    match execute(&cli) {
        Ok(report) => print(&report),
        Err(error) => {
            eprintln!("etatuki-vendor: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Keeps this process's memory to itself, because it holds the vendor's key: no core dump, and no
/// look into it by the user's other programs.
fn forbid_inspection() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{
            DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit,
        };
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        // Neither can fail: less is always allowed, and the other is a plain flag.
        let _ = setrlimit(Resource::Core, none);
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

fn execute(cli: &Cli) -> Result<Report, VendorError> {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|_| VendorError::Clock)?;
    let mut random = |buffer: &mut [u8]| {
        getrandom::fill(buffer).map_err(|error| VendorError::Randomness(error.to_string()))
    };
    run(
        cli,
        &mut Environment {
            now: UnixTime(since_1970.as_secs()),
            random: &mut random,
        },
    )
}

/// Prints the output to stdout, for a script, and the notes to stderr, for a person.
fn print(report: &Report) -> ExitCode {
    use std::io::Write as _;
    eprint!("{}", report.notes);
    match std::io::stdout().write_all(report.output.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
