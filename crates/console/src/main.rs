//! `etatuki-console`: the agent's program. All of it is in the library.

fn main() -> std::process::ExitCode {
    etatuki_console::cli::main()
}
