//! The child by itself, for tests; what ships is `etatuki plugin-host`, which does the same.

use std::process::ExitCode;

use etatuki_plugin_host::{CHECK, SUPERVISOR, run_check_child, run_child, run_supervisor};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(first) if first == SUPERVISOR => run_supervisor(arguments, || {}),
        Some(first) if first == CHECK => run_check_child(arguments),
        _ => run_child(),
    }
}
