//! The session window while support is connected. It lies in the task bar then, for the bar on top of
//! the screen says the same; this is where the keyboard reaches it.

use etatuki_session::{AgentIdentity, Permissions, View};

use super::page::{Action, Block, Button, Page, Tone};
use super::subject::{Subject, named};
use crate::texts::{Texts, clock, fill};

/// Who is connected and what he may do.
pub fn connected(subject: &Subject, agent: &AgentIdentity, view: &View) -> Page {
    let texts = &subject.texts;
    let mut page = subject.page();
    page.blocks.extend(subject.notices(view));
    let tone = if view.permissions.control {
        Tone::Alarm
    } else {
        Tone::Note
    };
    page.blocks.push(Block::Strip(
        tone,
        format!("{}.", doing(texts, agent, view)),
    ));
    let close = Button::plain(&texts.bar.close, Action::Close);
    if view.permissions.control {
        page.blocks.push(Block::Text(texts.bar.escape.clone()));
        page.buttons = vec![
            close,
            Button::primary(&texts.bar.take_back, Action::TakeBack),
        ];
    } else {
        page.buttons = vec![close.focused()];
    }
    page
}

/// What the support person does now, in one line.
pub fn doing(texts: &Texts, agent: &AgentIdentity, view: &View) -> String {
    let alone = view.app_sharing.as_ref().filter(|sharing| sharing.app_only);
    let text = match (view.permissions, alone) {
        (Permissions { control: true, .. }, None) => &texts.bar.controlling,
        (Permissions { control: true, .. }, Some(_)) => &texts.bar.controlling_program,
        (Permissions { view: true, .. }, None) => &texts.bar.viewing,
        (Permissions { view: true, .. }, Some(_)) => &texts.bar.viewing_program,
        _ => &texts.bar.connected,
    };
    let program = alone.map_or("", |program| program.name.as_str());
    fill(text, &[&named(agent)[..], &[("program", program)]].concat())
}

/// Somebody is connected by a tool's own transport. Who, only the tool knows.
pub fn own(subject: &Subject) -> Page {
    let texts = &subject.texts;
    let mut page = subject.page();
    let connected = format!("{}.", texts.own.connected);
    page.blocks.push(Block::Strip(Tone::Note, connected));
    page.blocks.push(Block::Text(texts.own.maybe.clone()));
    page.blocks.push(Block::Quiet(subject.promise()));
    page.buttons = vec![Button::plain(&texts.bar.close, Action::Close).focused()];
    page
}

/// The link dropped and may come back by itself.
pub fn interrupted(subject: &Subject, view: &View) -> Page {
    let texts = &subject.texts;
    let mut page = subject.page();
    let time = clock(view.interrupted_seconds_left.unwrap_or(0));
    page.blocks.push(Block::Text(fill(
        &texts.state.interrupted,
        &[("time", &time)],
    )));
    page.buttons = vec![Button::plain(&texts.bar.close, Action::Close).focused()];
    page
}
