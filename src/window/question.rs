//! The questions to the customer: may the agent view the screen, control the machine, switch the
//! tool.

use etatuki_session_core::{AgentIdentity, AppSharing, Ask, Question};

use super::page::{Button, ButtonAction, Mark, Page, PageItem};
use super::session_context::{SessionContext, agent_values};
use crate::texts::{QuestionTexts, fill};

/// Returns the page of a question. The button that denies has the keyboard focus. If the accounting
/// program's windows can be shared alone, the first question offers that too.
pub fn question(
    context: &SessionContext,
    agent: &AgentIdentity,
    question: &Question,
    app_sharing: Option<&AppSharing>,
) -> Page {
    let texts = &context.texts.question;
    let offers_app_only = app_sharing.is_some() && question.ask == Ask::View;
    let app_only = app_sharing.is_some_and(|sharing| sharing.app_only);
    let (asked, more, allow) = words(texts, &question.ask, offers_app_only, app_only);
    let label = match &question.ask {
        Ask::Switch { backend } => context.label_of(backend),
        _ => &context.label,
    };
    let program = app_sharing.map_or("", |app| app.name.as_str());
    let values = [
        &agent_values(agent)[..],
        &[("label", label), ("program", program)],
    ]
    .concat();
    let countdown = countdown(texts, question);
    let button = |label: &str, action, mark| {
        let button = Button {
            enabled: question.answerable,
            ..Button::plain(label, action)
        };
        button.marked(mark)
    };
    let answer = |allow| ButtonAction::Answer {
        question: question.id,
        allow,
    };
    let mut buttons = Vec::new();
    if offers_app_only {
        let label = fill(&texts.view_program, &values);
        let action = ButtonAction::AllowAppOnly(question.id);
        buttons.push(button(&label, action, Mark::Allow));
    }
    buttons.push(button(allow, answer(true), Mark::Allow));
    buttons.push(button(&texts.deny, answer(false), Mark::Deny).focused());
    Page {
        items: vec![
            PageItem::Heading(fill(asked, &values)),
            PageItem::Text(fill(more, &values)),
            PageItem::Secondary(countdown),
        ],
        buttons,
        wide_buttons: true,
    }
}

/// Returns what is asked, what it means, and the label of the button that allows it.
fn words<'a>(
    texts: &'a QuestionTexts,
    ask: &Ask,
    offers_app_only: bool,
    app_only: bool,
) -> (&'a str, &'a str, &'a str) {
    match ask {
        Ask::View if offers_app_only => (&texts.view, &texts.view_program_more, &texts.view_all),
        Ask::View => (&texts.view, &texts.view_more, &texts.view_allow),
        Ask::Control if app_only => (
            &texts.control_program,
            &texts.control_more,
            &texts.control_allow,
        ),
        Ask::Control => (&texts.control, &texts.control_more, &texts.control_allow),
        Ask::Restart => (&texts.restart, &texts.restart_more, &texts.restart_allow),
        Ask::Switch { .. } => (&texts.switch, &texts.switch_more, &texts.switch_allow),
    }
}

/// Returns the time left, and how the keyboard answers.
fn countdown(texts: &QuestionTexts, question: &Question) -> String {
    let seconds = question.seconds_left.to_string();
    let left = fill(&texts.countdown, &[("seconds", &seconds)]);
    format!("{left} {}", texts.keys)
}
