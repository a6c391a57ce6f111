//! Lines from the accounting program: bounded, and parsed or refused by name.

use std::io::BufRead;

use serde::Deserialize;

/// Longest line that is read, in bytes.
pub const MAX_LINE: usize = 4096;

/// A line from the accounting program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum InputLine {
    /// The customer's answer to a question.
    Answer {
        /// Id of the question.
        id: u32,
        /// Whether the customer allows what was asked.
        allow: bool,
        /// Whether it is allowed for the accounting program alone.
        #[serde(default, rename = "only_program")]
        app_only: bool,
    },
    /// Takes control back.
    TakeBack {},
    /// Ends the session.
    Close {},
}

/// The reason why a line was refused. The session goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The line is longer than [`MAX_LINE`] bytes.
    #[error("the line is longer than {MAX_LINE} bytes")]
    LineTooLong,
    /// The line isn't one of those that exist.
    #[error("the line is not one of those that exist: {0}")]
    UnknownInput(String),
    /// No question with this id is open.
    #[error("no question {0} is open")]
    NoSuchQuestion(u32),
    /// The question doesn't offer to share the program alone.
    #[error("question {0} offers no program")]
    AppSharingNotOffered(u32),
    /// The question is in its first second.
    #[error("question {0} takes no answer in its first second")]
    TooEarly(u32),
}

impl InputError {
    /// Returns the stable name.
    pub fn name(&self) -> &'static str {
        match self {
            InputError::LineTooLong => "line-too-long",
            InputError::UnknownInput(_) => "unknown-input",
            InputError::NoSuchQuestion(_) => "no-such-question",
            InputError::AppSharingNotOffered(_) => "no-program",
            InputError::TooEarly(_) => "too-early",
        }
    }
}

/// Parses a line; `None` for an empty one.
///
/// # Errors
/// The line is too long, or isn't one of those that exist.
pub fn parse(line: &[u8]) -> Result<Option<InputLine>, InputError> {
    if line.len() > MAX_LINE {
        return Err(InputError::LineTooLong);
    }
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    // serde's message may quote the line, which may hold a secret: only the place is told.
    let place = |error: serde_json::Error| {
        InputError::UnknownInput(format!("see column {}", error.column()))
    };
    serde_json::from_slice(line).map(Some).map_err(place)
}

/// Reads the next line without its end, or that it was too long; `None` at the end of `input`.
/// Never holds more than [`MAX_LINE`] bytes.
///
/// # Errors
/// `input` can't be read.
pub fn read_line(input: &mut impl BufRead) -> std::io::Result<Option<Result<Vec<u8>, InputError>>> {
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
