//! The session window without a code: before opening, while opening, while closing.

use super::page::{Button, ButtonAction, Page, PageItem};
use super::session_context::SessionContext;

/// Returns the page that waits for the customer to open the connection.
pub fn not_opened(context: &SessionContext) -> Page {
    let texts = &context.texts;
    let mut page = context.page();
    page.items.push(PageItem::Text(texts.before.hint.clone()));
    page.items.push(match context.external_transport {
        true => PageItem::Text(context.promise()),
        false => PageItem::Secondary(context.promise()),
    });
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
    page.items.push(PageItem::Busy(texts.state.opening.clone()));
    page.items.push(PageItem::Secondary(context.promise()));
    // Nothing is connected yet: closing the window is what this button does.
    let cancel = Button::plain(&texts.state.cancel, ButtonAction::CloseWindow);
    page.buttons = vec![cancel];
    page
}

/// Returns the page that is shown while the session is ended.
pub fn closing(context: &SessionContext) -> Page {
    let mut page = context.page();
    page.items
        .push(PageItem::Busy(context.texts.state.closing.clone()));
    page
}
