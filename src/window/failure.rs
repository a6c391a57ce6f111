//! The page of a failure: the event, the remedy, and that nobody sees the screen.

use etatuki_session_core::View;

use super::page::{Action, Block, Button, Page};
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
    let support = context.page().blocks.remove(1);
    page.blocks.insert(1, support);
    if view.receipt.is_some() {
        let done = receipt::summary(&context.texts, view.receipt.as_ref());
        page.blocks.splice(3..3, done);
    }
    page.buttons = vec![
        Button::plain(&context.texts.window.close, Action::CloseWindow),
        Button::primary(&context.texts.failed.retry, Action::Open),
    ];
    page
}

/// Returns the page of a failure before there is a session. `detail` is for the integrator.
pub fn without_session(texts: &Texts, name: &str, detail: Option<&str>) -> Page {
    let failure = texts.failure(name);
    let mut blocks = vec![
        Block::Heading(failure.happened.clone()),
        Block::Text(failure.todo.clone()),
        Block::Secondary(fill(&texts.failed.for_support, &[("name", name)])),
    ];
    blocks.extend(detail.map(|detail| Block::Secondary(detail.to_owned())));
    let buttons = vec![Button::primary(&texts.window.close, Action::CloseWindow)];
    Page {
        blocks,
        buttons,
        wide_buttons: false,
    }
}
