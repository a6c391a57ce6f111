//! The child by itself, for tests; what ships is `etatuki plugin-host`, which does the same.

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments
        .next()
        .is_some_and(|first| first == etatuki_plugin_host::CHECK)
    {
        return etatuki_plugin_host::run_check_child(arguments);
    }
    etatuki_plugin_host::run_child()
}
