//! The page of a failure: the event, the remedy, and that nobody sees the screen.

use etatuki_session_core::View;

use super::page::{Button, ButtonAction, Page, PageItem};
use super::receipt;
use super::session_context::SessionContext;
use crate::texts::{Texts, fill};

/// Returns the page of a failed session, which can be opened again.
pub fn failure(context: &SessionContext, view: &View) -> Page {
    let name = view
        .failure
        .as_ref()
        .map_or("internal", |failure| failure.name.as_str());
    let mut page = without_session(&context.texts, name, None);
    let support = context.page().items.remove(1);
    page.items.insert(1, support);
    if view.receipt.is_some() {
        let done = receipt::summary(&context.texts, view.receipt.as_ref());
        page.items.splice(3..3, done);
    }
    page.buttons = vec![
        Button::plain(&context.texts.window.close, ButtonAction::CloseWindow),
        Button::primary(&context.texts.failed.retry, ButtonAction::Open),
    ];
    page
}

/// Returns the page of a failure before there is a session. `detail` is for the integrator.
pub fn without_session(texts: &Texts, name: &str, detail: Option<&str>) -> Page {
    let failure = texts.failure(name);
    let mut items = vec![
        PageItem::Heading(failure.happened.clone()),
        PageItem::Text(failure.todo.clone()),
        PageItem::Secondary(fill(&texts.failed.for_support, &[("name", name)])),
    ];
    items.extend(detail.map(|detail| PageItem::Secondary(detail.to_owned())));
    let buttons = vec![Button::primary(
        &texts.window.close,
        ButtonAction::CloseWindow,
    )];
    Page {
        items,
        buttons,
        wide_buttons: false,
    }
}
