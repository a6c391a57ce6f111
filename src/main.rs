//! `etatuki`, the customer's launcher: a thin program around the library of the same name.

use std::process::ExitCode;

use clap::Parser as _;
use etatuki::cli::{Cli, PLUGIN_HOST};
use etatuki::commands;
use etatuki::exit::Exit;

fn main() -> ExitCode {
    // First, because a plugin's host must not have opened, read or started anything of the launcher.
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(first) if first == PLUGIN_HOST => return etatuki_plugin_host::run_child(),
        Some(first) if first == etatuki_plugin_host::CHECK => {
            return etatuki_plugin_host::run_check_child(arguments);
        }
        _ => {}
    }
    etatuki_plugin_host::forbid_core_dumps();
    let cli = Cli::parse();
    // Rust has printed the panic on stderr.
    std::panic::catch_unwind(|| commands::run(cli)).unwrap_or(Exit::Internal.into())
}
