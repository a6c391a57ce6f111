//! The check whether this display can be shared at all, the same for every entry.

use etatuki_screen::{CancelToken, check_display};
use etatuki_session_core::{Failure, FailureName, check_screen_size};

/// Checks the display: Wayland, restricted rights, size. A display that is missing is each plugin's
/// own to report.
pub(crate) fn check() -> Result<(), Failure> {
    let Ok(cancel) = CancelToken::new() else {
        return Ok(());
    };
    match check_display(None, &cancel) {
        Ok(size) => check_screen_size(size.width, size.height),
        Err(error) => match FailureName::from_name(error.name()) {
            Some(name @ (FailureName::DisplayUnsupported | FailureName::DisplayWayland)) => {
                Err(Failure::new(name, error.to_string()))
            }
            _ => Ok(()),
        },
    }
}
