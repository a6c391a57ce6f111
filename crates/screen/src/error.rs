//! Errors of the screen.

use std::io;

/// Why the screen can't be captured, or input can't be given.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// No display was named, and `DISPLAY` isn't set.
    #[error("DISPLAY is not set")]
    DisplayNotSet,
    /// No window system answers at this address, or it refuses the connection.
    #[error("the display {display} can't be opened: {reason}")]
    NoDisplay {
        /// The display's name as asked for, or `$DISPLAY`.
        display: String,
        /// The answer of the window system or of the operating system.
        reason: String,
    },
    /// The display lacks something without which it can't be shared.
    #[error("the display can't be shared: {0}")]
    Unsupported(String),
    /// The desktop runs on Wayland.
    #[error(
        "this desktop runs on Wayland, which shows programs no screen but their own windows; sign out, and choose 'Xorg' or 'X11' where you sign in"
    )]
    Wayland,
    /// The window system went away, or no longer answers.
    #[error("the display was lost: {0}")]
    Lost(String),
    /// The [`CancelToken`](crate::CancelToken) was cancelled while waiting for the window system.
    #[error("stopped")]
    Cancelled,
    /// The operating system refused something that has nothing to do with the display.
    #[error("the operating system refused: {0}")]
    System(#[from] io::Error),
}

impl ScreenError {
    /// Returns the stable name that the customer's texts are keyed by.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::DisplayNotSet | Self::NoDisplay { .. } => "display-missing",
            Self::Unsupported(_) => "display-unsupported",
            Self::Wayland => "display-wayland",
            Self::Lost(_) => "display-lost",
            Self::Cancelled => "stopped",
            Self::System(_) => "internal",
        }
    }
}
