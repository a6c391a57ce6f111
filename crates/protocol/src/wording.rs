//! The customer's own words: the texts that the launcher's windows show, so that the agent can name
//! a button as the customer sees it.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::control::Ask;

/// The most bytes of a sentence that is quoted.
const MAX_SENTENCE: usize = 2000;
/// The most bytes of a label.
const MAX_LABEL: usize = 400;
/// The most bytes of a language's code.
const MAX_LANGUAGE: usize = 16;
/// The most buttons of a question.
const MAX_BUTTONS: usize = 8;

/// The language of the launcher's windows, and the labels of a code there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wording {
    /// ISO 639-1 code: two letters.
    #[serde(deserialize_with = "bounded::<_, MAX_LANGUAGE>")]
    pub language: String,
    /// Label of an ID.
    #[serde(deserialize_with = "bounded::<_, MAX_LABEL>")]
    pub id: String,
    /// Label of an ID's password.
    #[serde(deserialize_with = "bounded::<_, MAX_LABEL>")]
    pub password: String,
    /// Label of a session code.
    #[serde(deserialize_with = "bounded::<_, MAX_LABEL>")]
    pub session_code: String,
}

/// A question as it stands on the customer's screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownQuestion {
    /// The question.
    pub ask: Ask,
    /// Seconds until it counts as denied.
    pub seconds_left: u16,
    /// Its text and its buttons.
    pub text: QuestionText,
}

/// A question's text and buttons, word for word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuestionText {
    /// The question itself.
    #[serde(deserialize_with = "bounded::<_, MAX_SENTENCE>")]
    pub question: String,
    /// The explanation below it.
    #[serde(deserialize_with = "bounded::<_, MAX_SENTENCE>")]
    pub explanation: String,
    /// The buttons, from left to right.
    #[serde(deserialize_with = "few_buttons")]
    pub buttons: Vec<AnswerButton>,
}

/// A button that answers a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerButton {
    /// Its label.
    #[serde(deserialize_with = "bounded::<_, MAX_LABEL>")]
    pub label: String,
    /// The answer that it gives.
    pub answer: Answer,
}

/// An answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Yes, all of it.
    Allow,
    /// Yes, for the accounting program's windows alone.
    AllowProgram,
    /// No.
    Deny,
}

/// Deserializes a text of at most `MAX` bytes.
fn bounded<'de, D: Deserializer<'de>, const MAX: usize>(
    deserializer: D,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() > MAX {
        return Err(D::Error::custom("a text is too long"));
    }
    Ok(text)
}

/// Deserializes at most [`MAX_BUTTONS`] buttons.
fn few_buttons<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<AnswerButton>, D::Error> {
    let buttons = Vec::deserialize(deserializer)?;
    if buttons.len() > MAX_BUTTONS {
        return Err(D::Error::custom("no question has that many buttons"));
    }
    Ok(buttons)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ToAgent, Violation, parse_control};

    fn shown(question: &str, buttons: usize) -> String {
        let button = r#"{"label":"Salli katselu","answer":"allow"}"#;
        let buttons = vec![button; buttons].join(",");
        format!(
            r#"{{"shown":{{"ask":"view","seconds_left":59,"text":{{"question":"{question}","explanation":"","buttons":[{buttons}]}}}}}}"#
        )
    }

    #[test]
    fn a_shown_question_has_this_shape() {
        let json = shown("Saako Maija?", 1);
        let message: ToAgent = parse_control(json.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&message).unwrap(), json);
    }

    #[test]
    fn long_texts_and_many_buttons_are_refused() {
        let check = |json: String, good: bool| {
            let parsed = parse_control::<ToAgent>(json.as_bytes());
            assert_eq!(parsed.is_ok(), good, "{} bytes", json.len());
            assert!(good || parsed == Err(Violation::UnknownMessage));
        };
        check(shown(&"a".repeat(MAX_SENTENCE), MAX_BUTTONS), true);
        check(shown(&"a".repeat(MAX_SENTENCE + 1), 2), false);
        check(shown("a", MAX_BUTTONS + 1), false);
    }
}
