//! The question on the customer's screen, word for word: the agent names the buttons by it.

use etatuki_session_core::{Answer, AnswerButton, QuestionText};

use super::page::{Button, ButtonAction, Page, PageItem};

/// Returns the words of a question's page: its heading, its texts, and the buttons that answer it.
pub(super) fn question_text(page: &Page) -> QuestionText {
    let mut quoted = QuestionText {
        question: String::new(),
        explanation: String::new(),
        buttons: page.buttons.iter().filter_map(answer_button).collect(),
    };
    for item in &page.items {
        match item {
            PageItem::Heading(text) => append(&mut quoted.question, text),
            PageItem::Text(text) => append(&mut quoted.explanation, text),
            _ => {}
        }
    }
    quoted
}

fn append(to: &mut String, text: &str) {
    if !to.is_empty() {
        to.push(' ');
    }
    to.push_str(text);
}

fn answer_button(button: &Button) -> Option<AnswerButton> {
    let answer = match button.action {
        ButtonAction::Answer { allow: true, .. } => Answer::Allow,
        ButtonAction::Answer { allow: false, .. } => Answer::Deny,
        ButtonAction::AllowAppOnly(_) => Answer::AllowProgram,
        _ => return None,
    };
    // `&` marks the letter for the Alt key and isn't seen.
    let label = button.label.replace('&', "");
    Some(AnswerButton { label, answer })
}
