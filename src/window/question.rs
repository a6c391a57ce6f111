//! The questions: may support look, may it use mouse and keyboard, may it change the tool.

use etatuki_session::{AgentIdentity, Ask, Question};

use super::page::{Action, Block, Button, Page};
use super::subject::{Subject, named};
use crate::texts::{clock, fill};

/// The question, with the answer that changes nothing as the one that Enter gives.
pub fn question(subject: &Subject, agent: &AgentIdentity, question: &Question) -> Page {
    let texts = &subject.texts.question;
    let (asked, more, allow) = match &question.ask {
        Ask::View => (&texts.view, &texts.view_more, &texts.view_allow),
        Ask::Control => (&texts.control, &texts.control_more, &texts.control_allow),
        Ask::Switch { .. } => (&texts.switch, &texts.switch_more, &texts.switch_allow),
    };
    let label = match &question.ask {
        Ask::Switch { backend } => subject.label_of(backend),
        _ => &subject.label,
    };
    let values = [&named(agent)[..], &[("label", label)]].concat();
    let time = clock(question.seconds_left);
    let answer = |label: &str, allow| Button {
        enabled: question.answerable,
        ..Button::plain(
            label,
            Action::Answer {
                question: question.id,
                allow,
            },
        )
    };
    Page {
        blocks: vec![
            Block::Heading(fill(asked, &values)),
            Block::Text(fill(more, &values)),
            Block::Quiet(fill(&texts.countdown, &[("time", &time)])),
        ],
        buttons: vec![answer(allow, true), answer(&texts.deny, false).focused()],
        wide_buttons: true,
    }
}
