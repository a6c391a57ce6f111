//! Lines that come in: bounded, parsed, or refused by name.

use std::io::BufRead;

use serde::Deserialize;

/// The longest line that is read, in bytes.
pub const MAX_LINE: usize = 4096;

/// What an accounting program may say.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Input {
    /// The customer's answer to the question of that id.
    Answer {
        /// The question's id.
        id: u32,
        /// Whether it is allowed.
        allow: bool,
        /// Allowed for the program alone.
        #[serde(default)]
        only_program: bool,
    },
    /// Takes control back.
    TakeBack {},
    /// Ends the session.
    Close {},
}

/// Why a line was refused; the session goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Above [`MAX_LINE`] bytes.
    #[error("the line is longer than {MAX_LINE} bytes")]
    LineTooLong,
    /// Not a line that exists.
    #[error("the line is not one of those that exist: {0}")]
    UnknownInput(String),
    /// No question of that id is open.
    #[error("no question {0} is open")]
    NoSuchQuestion(u32),
    /// This question doesn't offer to share the program alone.
    #[error("question {0} offers no program")]
    NoProgram(u32),
    /// In a question's first second.
    #[error("question {0} takes no answer in its first second")]
    TooEarly(u32),
}

impl InputError {
    /// The stable name.
    pub fn name(&self) -> &'static str {
        match self {
            InputError::LineTooLong => "line-too-long",
            InputError::UnknownInput(_) => "unknown-input",
            InputError::NoSuchQuestion(_) => "no-such-question",
            InputError::NoProgram(_) => "no-program",
            InputError::TooEarly(_) => "too-early",
        }
    }
}

/// What a line says; `None` for an empty one.
///
/// # Errors
/// It isn't one of those that exist.
pub fn parse(line: &[u8]) -> Result<Option<Input>, InputError> {
    if line.len() > MAX_LINE {
        return Err(InputError::LineTooLong);
    }
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    // what serde says may quote the line: only the place is told
    let place = |error: serde_json::Error| {
        InputError::UnknownInput(format!("see column {}", error.column()))
    };
    serde_json::from_slice(line).map(Some).map_err(place)
}

/// The next line without its end, or that it was too long; `None` at the end. Never holds more than a
/// line's bound.
pub(super) fn line(
    input: &mut impl BufRead,
) -> std::io::Result<Option<Result<Vec<u8>, InputError>>> {
    let mut line = Vec::new();
    let mut too_long = false;
    let mut any = false;
    loop {
        let buffer = match input.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if buffer.is_empty() {
            break;
        }
        any = true;
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        too_long |= line.len() + part.len() > MAX_LINE;
        if !too_long {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            break;
        }
    }
    Ok(any.then_some(if too_long {
        Err(InputError::LineTooLong)
    } else {
        Ok(line)
    }))
}
