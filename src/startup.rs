//! The steps that every way of starting takes: the log, and a display that answers.

use std::io::Write as _;

use etatuki_screen::{CancelToken, EscapeKey};

use crate::held_input;
use crate::launcher::Environment;
use crate::logging;

/// Starts the log, and writes into it what was noticed before.
pub(crate) fn begin_log(environment: &Environment) {
    logging::init(
        environment.folders().logs().as_deref(),
        environment.verbose(),
    );
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");
    if let Some(error) = &environment.settings_error {
        tracing::warn!("{error}");
    }
    let version = environment.unknown_version().map(|version| {
        format!("{version:?} of --app-version is no version, so that no entry is marked as fitting")
    });
    let language = environment.unknown_language().map(|language| {
        format!("{language:?} of --language is no language of ours: the system's is used")
    });
    for text in version.into_iter().chain(language) {
        // Also to the integrator, who sees no log while trying the command out.
        tracing::warn!("{text}");
        if !environment.verbose() {
            // A pipe that nobody reads is no reason to end.
            let _ = writeln!(std::io::stderr(), "warning: {text}");
        }
    }
}

/// Connects to the display, and has released what an earlier session left held there; `None` if
/// there is none, in which case FLTK would end the program.
///
/// Keep the connection until FLTK has one of its own: an X server that loses its last client resets
/// itself, which takes time.
pub(crate) fn display() -> Option<EscapeKey> {
    let cancel = CancelToken::new().ok()?;
    let connection = EscapeKey::open(None, &cancel).ok()?;
    held_input::release_of_earlier_sessions();
    Some(connection)
}
