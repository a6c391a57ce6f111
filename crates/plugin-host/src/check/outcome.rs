//! Outcome of a trial, and helpers that make one.

use etatuki_backend_api::raw;

/// Reason why a trial didn't pass.
pub(super) enum Stop {
    /// The plugin breaks the contract.
    Failed(String),
    /// The plugin can't be tried.
    Skipped(String),
}

/// A trial's result; the text says what was tried.
pub(super) type Outcome<T = String> = Result<T, Stop>;

pub(super) fn failed<T>(text: impl Into<String>) -> Outcome<T> {
    Err(Stop::Failed(text.into()))
}

pub(super) fn skipped<T>(text: impl Into<String>) -> Outcome<T> {
    Err(Stop::Skipped(text.into()))
}

/// Returns the reason for a trial that the system didn't let begin: the plugin's fault when it has
/// taken every descriptor of the process, else nobody's.
pub(super) fn unavailable(what: &str, error: &std::io::Error) -> Stop {
    match error.raw_os_error() {
        Some(libc::EMFILE) => Stop::Failed(format!(
            "{what}: the plugin has as many files open as a process may, and leaves none to the host"
        )),
        _ => Stop::Skipped(format!("{what}: {error}")),
    }
}

/// Fails with the text unless the condition holds.
pub(super) fn ensure(condition: bool, text: impl FnOnce() -> String) -> Outcome<()> {
    if condition { Ok(()) } else { failed(text()) }
}

/// Puts what was being done before the text of a failure or skip.
pub(super) fn context<T>(what: &str, outcome: Outcome<T>) -> Outcome<T> {
    outcome.map_err(|stop| match stop {
        Stop::Failed(text) => Stop::Failed(format!("{what}: {text}")),
        Stop::Skipped(text) => Stop::Skipped(format!("{what}: {text}")),
    })
}

/// Fails unless the call returned the expected status.
pub(super) fn expect_status(call: &str, status: i32, expected: i32) -> Outcome<()> {
    ensure(status == expected, || {
        let (status, expected) = (status_name(status), status_name(expected));
        format!("{call} returned {status}; it must be {expected}")
    })
}

/// Returns a status with its name, if it has one: `104 (E_ARGUMENT)`.
pub(super) fn status_name(status: i32) -> String {
    let name = match status {
        raw::OK => "OK",
        raw::E_CALLER => "E_CALLER",
        raw::E_NULL => "E_NULL",
        raw::E_STATE => "E_STATE",
        raw::E_BUFFER => "E_BUFFER",
        raw::E_ARGUMENT => "E_ARGUMENT",
        raw::E_PLUGIN => "E_PLUGIN",
        raw::E_INTERNAL => "E_INTERNAL",
        raw::E_RESOURCES => "E_RESOURCES",
        raw::E_TOOL => "E_TOOL",
        raw::E_UNUSABLE => "E_UNUSABLE",
        _ => return status.to_string(),
    };
    format!("{status} ({name})")
}
