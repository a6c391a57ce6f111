//! The JSON lines of `etatuki session`: a session for an accounting program that shows it in
//! windows of its own. `docs/session.md` describes the lines, `docs/session.schema.json` is their
//! schema.

mod input;
mod presenter;
#[cfg(test)]
mod tests;

pub use input::{InputError, InputLine, MAX_LINE, parse, read_line};
pub use presenter::JsonPresenter;

use crate::command::Command;
use crate::view::State;

/// Version of the protocol, in `hello`. Fields and types may be added to it; nothing is taken away.
pub const PROTOCOL_VERSION: u32 = 1;

/// The customer's sentences, by stable name. The launcher has them in three languages.
pub trait Texts: Send + Sync {
    /// Returns the sentence with this name, with the arguments put in. `docs/session.md` lists
    /// both.
    fn text(&self, name: &str, args: &[(&str, &str)]) -> String;
}

impl<F: Fn(&str, &[(&str, &str)]) -> String + Send + Sync> Texts for F {
    fn text(&self, name: &str, args: &[(&str, &str)]) -> String {
        self(name, args)
    }
}

impl From<InputLine> for Command {
    fn from(input: InputLine) -> Self {
        match input {
            InputLine::Answer {
                id,
                allow: true,
                app_only: true,
            } => Command::AllowAppOnly { question: id },
            InputLine::Answer { id, allow, .. } => Command::Answer {
                question: id,
                allow,
            },
            InputLine::TakeBack {} => Command::TakeBack,
            InputLine::Close {} => Command::Close,
        }
    }
}

/// Returns whether no view follows one in this state.
fn is_final(state: State) -> bool {
    matches!(state, State::Closed | State::Failed)
}
