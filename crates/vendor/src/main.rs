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
    let cli = Cli::parse();
    match execute(&cli) {
        Ok(report) => print(&report),
        Err(error) => {
            eprintln!("etatuki-vendor: {error}");
            ExitCode::FAILURE
        }
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
