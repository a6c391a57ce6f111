//! The child by itself, for tests; what ships is `etatuki plugin-host`, which does the same.

fn main() -> std::process::ExitCode {
    etatuki_plugin_host::run_child()
}
