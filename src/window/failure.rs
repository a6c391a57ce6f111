//! A failure: what happened, what to do, and that nobody sees the screen.

use etatuki_session::View;

use super::page::{Action, Block, Button, Page};
use super::receipt;
use super::subject::Subject;
use crate::texts::{Texts, fill};

/// The failure of a session, which can be tried again.
pub fn failure(subject: &Subject, view: &View) -> Page {
    let name = view
        .failure
        .as_ref()
        .map_or("internal", |failure| failure.name.as_str());
    let mut page = alone(&subject.texts, name, None);
    let support = subject.page().blocks.remove(1);
    page.blocks.insert(1, support);
    if view.receipt.is_some() {
        let done = receipt::what_was_done(&subject.texts, view.receipt.as_ref());
        page.blocks.splice(3..3, done);
    }
    page.buttons = vec![
        Button::plain(&subject.texts.window.close, Action::Leave),
        Button::primary(&subject.texts.failed.retry, Action::Open),
    ];
    page
}

/// A failure before there is a session. `detail` is for whoever installed this.
pub fn alone(texts: &Texts, name: &str, detail: Option<&str>) -> Page {
    let failure = texts.failure(name);
    let mut blocks = vec![
        Block::Heading(failure.happened.clone()),
        Block::Text(failure.todo.clone()),
        Block::Quiet(fill(&texts.failed.for_support, &[("name", name)])),
    ];
    blocks.extend(detail.map(|detail| Block::Quiet(detail.to_owned())));
    let buttons = vec![Button::primary(&texts.window.close, Action::Leave)];
    Page {
        blocks,
        buttons,
        wide_buttons: false,
    }
}
