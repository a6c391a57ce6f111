//! What can go wrong with a screen.

use std::io;

/// Why the screen can't be captured, or input can't be given.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// No window system answers at this address, or it doesn't let us in.
    #[error("the display {display} can't be opened: {reason}")]
    NoDisplay {
        /// The display's name as asked for, or `$DISPLAY`.
        display: String,
        /// What the window system or the operating system said.
        reason: String,
    },
    /// The display is there, but lacks something without which it can't be shared.
    #[error("the display can't be shared: {0}")]
    Unsupported(String),
    /// The window system went away, or stopped to answer.
    #[error("the display was lost: {0}")]
    Lost(String),
    /// [`Stop`](crate::Stop) was asked for while waiting for the window system.
    #[error("stopped")]
    Stopped,
    /// The operating system refused something that has nothing to do with the display.
    #[error("the operating system refused: {0}")]
    System(#[from] io::Error),
}

impl ScreenError {
    /// The stable name that texts for the customer are keyed by.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoDisplay { .. } => "display-missing",
            Self::Unsupported(_) => "display-unsupported",
            Self::Lost(_) => "display-lost",
            Self::Stopped => "stopped",
            Self::System(_) => "internal",
        }
    }
}
