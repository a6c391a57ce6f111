//! Commands that the customer, or the launcher on their behalf, gives to a session.

use etatuki_protocol::{QuestionText, UsableBackend};

/// A command to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Opens the connection: asks for a code. Also taken after `Closed` and `Failed`.
    Open,
    /// Ends the session, whatever it is doing.
    Close,
    /// Answers the question with this id. Ignored if that question isn't open, and in the first
    /// second after it appeared.
    Answer {
        /// [`Question::id`](crate::Question::id).
        question: u32,
        /// Whether the customer allows what was asked.
        allow: bool,
    },
    /// Allows viewing, but lets the agent see and use the accounting program's windows only.
    /// Ignored as `Answer` is, and while [`View::app_sharing`](crate::View::app_sharing) doesn't
    /// offer it.
    AllowAppOnly {
        /// [`Question::id`](crate::Question::id).
        question: u32,
    },
    /// Says in which words the question with this id is shown, for the agent. Ignored if that
    /// question isn't open.
    QuestionShown {
        /// [`Question::id`](crate::Question::id).
        question: u32,
        /// Text and buttons.
        text: QuestionText,
    },
    /// Takes control back; viewing stays allowed.
    TakeBack,
    /// Withdraws the permission to come back after a restart.
    WithdrawRestart,
    /// Fails the session, because the display of the windows and the bar died, and with it
    /// everybody who could be asked.
    DisplayLost,
    /// Replaces the list of other backends with which the session was configured: the launcher may
    /// find out what else is usable here while the code is already waiting.
    OtherBackends(Vec<UsableBackend>),
}
