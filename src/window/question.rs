//! The questions: may support look, may it use mouse and keyboard, may it change the tool.

use etatuki_session::{AgentIdentity, AppSharing, Ask, Question};

use super::page::{Action, Block, Button, Page};
use super::subject::{Subject, named};
use crate::texts::{clock, fill};

/// The question, with the answer that changes nothing as the one that Enter gives.
/// The first one offers to show the program alone, where that can be done.
pub fn question(
    subject: &Subject,
    agent: &AgentIdentity,
    question: &Question,
    program: Option<&AppSharing>,
) -> Page {
    let texts = &subject.texts.question;
    let offered = program.filter(|_| question.ask == Ask::View);
    let alone = program.is_some_and(|sharing| sharing.app_only);
    let (asked, more, allow) = match &question.ask {
        Ask::View if offered.is_some() => (&texts.view, &texts.view_program_more, &texts.view_all),
        Ask::View => (&texts.view, &texts.view_more, &texts.view_allow),
        Ask::Control if alone => (
            &texts.control_program,
            &texts.control_more,
            &texts.control_allow,
        ),
        Ask::Control => (&texts.control, &texts.control_more, &texts.control_allow),
        Ask::Switch { .. } => (&texts.switch, &texts.switch_more, &texts.switch_allow),
    };
    let label = match &question.ask {
        Ask::Switch { backend } => subject.label_of(backend),
        _ => &subject.label,
    };
    let name = program.map_or("", |program| program.name.as_str());
    let values = [&named(agent)[..], &[("label", label), ("program", name)]].concat();
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
    let program = offered.map(|_| Button {
        enabled: question.answerable,
        ..Button::plain(
            &fill(&texts.view_program, &values),
            Action::AllowProgram(question.id),
        )
    });
    let answers = [answer(allow, true), answer(&texts.deny, false).focused()];
    Page {
        blocks: vec![
            Block::Heading(fill(asked, &values)),
            Block::Text(fill(more, &values)),
            Block::Quiet(fill(&texts.countdown, &[("time", &time)])),
        ],
        buttons: program.into_iter().chain(answers).collect(),
        wide_buttons: true,
    }
}
