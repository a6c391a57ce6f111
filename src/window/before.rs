//! The session window while there is no code: before opening, while opening, while closing.

use super::page::{Action, Block, Button, Page};
use super::subject::Subject;

/// Waits for the customer to open the connection.
pub fn before(subject: &Subject) -> Page {
    let texts = &subject.texts;
    let mut page = subject.page();
    page.blocks.push(Block::Text(subject.promise()));
    page.blocks.push(Block::Quiet(texts.state.closed.clone()));
    page.buttons = vec![
        Button::plain(&texts.window.close, Action::Leave),
        Button::primary(&texts.before.open, Action::Open),
    ];
    page
}

/// The code is being fetched.
pub fn opening(subject: &Subject) -> Page {
    let texts = &subject.texts;
    let mut page = subject.page();
    page.blocks.push(Block::Text(texts.state.opening.clone()));
    page.blocks.push(Block::Quiet(subject.promise()));
    page.buttons = vec![Button::plain(&texts.bar.close, Action::Close)];
    page
}

/// Everything is being ended.
pub fn closing(subject: &Subject) -> Page {
    let mut page = subject.page();
    page.blocks
        .push(Block::Text(subject.texts.state.closing.clone()));
    page
}
