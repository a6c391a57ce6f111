//! `etatuki-console`: the agent's program. The library has all of its code.

fn main() -> std::process::ExitCode {
    etatuki_console::cli::main()
}
