//! `etatuki`, the customer's launcher: a thin program around the library of the same name.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use etatuki::cli::{self, Cli, PLUGIN_HOST};
use etatuki::commands;
use etatuki::exit::Exit;

fn main() -> ExitCode {
    // First, because a plugin's host must not have opened, read or started anything of the launcher.
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(first) if first == PLUGIN_HOST => return etatuki_plugin_host::run_child(),
        Some(first) if first == etatuki_plugin_host::SUPERVISOR => {
            return etatuki_plugin_host::run_supervisor(arguments, etatuki::release_after_launcher);
        }
        Some(first) if first == etatuki_plugin_host::CHECK => {
            return etatuki_plugin_host::run_check_child(arguments);
        }
        _ => {}
    }
    // Before anything is opened: the keys are ours alone, and what the accounting program had open
    // goes no further.
    etatuki_plugin_host::forbid_inspection();
    etatuki_plugin_host::keep_inherited_descriptors();
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        let arguments: Vec<_> = std::env::args_os().skip(1).collect();
        if error.use_stderr()
            && let Some(hint) = cli::hint(&arguments)
        {
            let _ = writeln!(std::io::stderr(), "error: {hint}\n");
        }
        if error.use_stderr() {
            let _ = error.print();
            commands::show_wrong_command_line(&arguments, &error.to_string());
            std::process::exit(error.exit_code());
        }
        error.exit()
    });
    // Rust has printed the panic on stderr.
    std::panic::catch_unwind(|| commands::run(cli)).unwrap_or(Exit::Internal.into())
}
