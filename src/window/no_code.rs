//! The session window without a code: before opening, while opening, while closing.

use super::page::{Button, ButtonAction, Page, PageItem};
use super::session_context::SessionContext;

/// Returns the page that waits for the customer to open the connection.
pub fn not_opened(context: &SessionContext) -> Page {
    let texts = &context.texts;
    let mut page = context.page();
    page.items.push(PageItem::Text(context.promise()));
    page.items
        .push(PageItem::Secondary(texts.state.closed.clone()));
    page.buttons = vec![
        Button::plain(&texts.window.close, ButtonAction::CloseWindow),
        Button::primary(&texts.before.open, ButtonAction::Open),
    ];
    page
}

/// Returns the page that is shown while the code is fetched.
pub fn opening(context: &SessionContext) -> Page {
    let texts = &context.texts;
    let mut page = context.page();
    page.items.push(PageItem::Text(texts.state.opening.clone()));
    page.items.push(PageItem::Secondary(context.promise()));
    page.buttons = vec![Button::plain(&texts.bar.close, ButtonAction::Close)];
    page
}

/// Returns the page that is shown while the session is ended.
pub fn closing(context: &SessionContext) -> Page {
    let mut page = context.page();
    page.items
        .push(PageItem::Text(context.texts.state.closing.clone()));
    page
}
