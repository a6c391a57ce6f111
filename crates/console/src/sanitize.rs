//! Texts from other machines, made fit for the agent's screen and for logs.

use etatuki_protocol::{CustomerInfo, QuestionText, Wording};

/// Characters of a text from the customer's side; what is longer is cut.
const MAX_TEXT: usize = 200;
/// Characters of a sentence from the customer's window; what is longer is cut.
const MAX_SENTENCE: usize = 600;
/// Characters of a stable name; what is longer is cut.
const MAX_NAME: usize = 40;
/// Backends that a customer's side may list.
const MAX_BACKENDS: usize = 32;

/// Returns the letters, digits and dashes of a stable name from outside, at most [`MAX_NAME`] of
/// them.
pub(crate) fn stable_name(name: &str) -> String {
    name.chars()
        .filter(|character| character.is_ascii_alphanumeric() || *character == '-')
        .take(MAX_NAME)
        .collect()
}

/// Cuts the customer's texts to [`MAX_TEXT`] and drops control characters, which could move a
/// terminal's cursor.
pub(crate) fn customer_info(info: CustomerInfo) -> CustomerInfo {
    let mut usable = info.usable;
    usable.truncate(MAX_BACKENDS);
    for backend in &mut usable {
        backend.id = text(&backend.id);
        backend.label = text(&backend.label);
        backend.reason = backend.reason.as_deref().map(text);
    }
    CustomerInfo {
        backend: text(&info.backend),
        label: text(&info.label),
        tool: info.tool.as_deref().map(text),
        tool_version: info.tool_version.as_deref().map(text),
        plugin_version: text(&info.plugin_version),
        system: text(&info.system),
        app_version: info.app_version.as_deref().map(text),
        usable,
        launcher_version: text(&info.launcher_version),
        only_program: info.only_program.as_deref().map(text),
        unsupported: info.unsupported,
        wording: info.wording.map(wording),
    }
}

fn wording(wording: Wording) -> Wording {
    Wording {
        language: stable_name(&wording.language),
        id: text(&wording.id),
        password: text(&wording.password),
        session_code: text(&wording.session_code),
    }
}

/// Cuts a question that is quoted, and drops control characters as [`customer_info`] does.
pub(crate) fn question_text(mut quoted: QuestionText) -> QuestionText {
    quoted.question = sentence(&quoted.question);
    quoted.explanation = sentence(&quoted.explanation);
    for button in &mut quoted.buttons {
        button.label = text(&button.label);
    }
    quoted
}

fn text(text: &str) -> String {
    clean(text, MAX_TEXT)
}

fn sentence(text: &str) -> String {
    clean(text, MAX_SENTENCE)
}

fn clean(text: &str, max_characters: usize) -> String {
    text.chars()
        .filter(|character| !character.is_control() && !turns_direction(*character))
        .take(max_characters)
        .collect()
}

/// Whether a character changes the direction of the text around it (UAX #9), so that a quoted
/// sentence would read otherwise than it is.
const fn turns_direction(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_are_short_and_plain() {
        assert_eq!(stable_name("card-expired"), "card-expired");
        assert_eq!(stable_name("<b>\u{1b}[2J"), "b2J");
        assert_eq!(stable_name(&"a".repeat(99)).len(), 40);
    }

    #[test]
    fn a_quoted_question_is_short_and_reads_as_it_is_written() {
        let quoted = question_text(QuestionText {
            question: "May \u{202e}eve\u{202c}\u{1b}[2J?".into(),
            explanation: "ä".repeat(1000),
            buttons: vec![etatuki_protocol::AnswerButton {
                label: "\u{2066}Allow\n".into(),
                answer: etatuki_protocol::Answer::Allow,
            }],
        });
        assert_eq!(quoted.question, "May eve[2J?");
        assert_eq!(quoted.explanation.chars().count(), 600);
        assert_eq!(quoted.buttons[0].label, "Allow");
    }
}
