//! The session window without a code: before opening, while opening, while closing.

use super::page::{Action, Block, Button, Page};
use super::session_context::SessionContext;

/// Returns the page that waits for the customer to open the connection.
pub fn not_opened(context: &SessionContext) -> Page {
    let texts = &context.texts;
    let mut page = context.page();
    page.blocks.push(Block::Text(context.promise()));
    page.blocks
        .push(Block::Secondary(texts.state.closed.clone()));
    page.buttons = vec![
        Button::plain(&texts.window.close, Action::CloseWindow),
        Button::primary(&texts.before.open, Action::Open),
    ];
    page
}

/// Returns the page that is shown while the code is fetched.
pub fn opening(context: &SessionContext) -> Page {
    let texts = &context.texts;
    let mut page = context.page();
    page.blocks.push(Block::Text(texts.state.opening.clone()));
    page.blocks.push(Block::Secondary(context.promise()));
    page.buttons = vec![Button::plain(&texts.bar.close, Action::Close)];
    page
}

/// Returns the page that is shown while the session is ended.
pub fn closing(context: &SessionContext) -> Page {
    let mut page = context.page();
    page.blocks
        .push(Block::Text(context.texts.state.closing.clone()));
    page
}
