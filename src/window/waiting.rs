//! The session window with the code that is read aloud.

use etatuki_session_core::View;
use etatuki_trust::{FieldKind, ShownField};
use zeroize::Zeroizing;

use super::no_code;
use super::page::{Button, ButtonAction, CodeField, Page, PageItem};
use super::session_context::SessionContext;
use crate::texts::{clock, fill};

/// Returns the page with the code, what to do with it, and its remaining time. `copied` is the
/// index of the field that was just copied.
pub fn waiting(context: &SessionContext, view: &View, copied: Option<usize>) -> Page {
    let Some(code) = &view.code else {
        return between_codes(context, view);
    };
    let texts = &context.texts;
    let mut page = context.page();
    page.items.extend(context.notices(view));
    let phone = [("phone", context.phone.as_str())];
    // The code of a tool that shows it itself has no fields.
    let call = if code.fields.is_empty() {
        &texts.external.window
    } else {
        &texts.code.call
    };
    page.items.push(PageItem::Text(fill(call, &phone)));
    let fields = code.fields.iter().enumerate();
    page.items
        .extend(fields.map(|(index, field)| field_block(context, index, field, copied)));
    let state = if context.external_transport {
        &texts.external.maybe
    } else {
        &texts.state.waiting
    };
    page.items.push(PageItem::Text(state.clone()));
    page.items.push(PageItem::Secondary(promise(context, view)));
    page.buttons = vec![Button::plain(&texts.bar.close, ButtonAction::Close)];
    page
}

/// Returns the page while the old code is worthless and its successor is fetched.
fn between_codes(context: &SessionContext, view: &View) -> Page {
    let mut page = no_code::opening(context);
    page.items.splice(2..2, context.notices(view));
    page
}

fn field_block(
    context: &SessionContext,
    index: usize,
    field: &ShownField,
    copied: Option<usize>,
) -> PageItem {
    let texts = &context.texts.code;
    let label = match field.kind {
        FieldKind::ToolCode => &context.texts.external.code,
        FieldKind::SessionCode => &texts.session_code,
        FieldKind::Id => &texts.id,
        FieldKind::Password => &texts.password,
    };
    // Alt with a letter presses one button only: the first field's.
    let copy_label = match (copied == Some(index), index) {
        (true, _) => texts.copied.clone(),
        (false, 0) => texts.copy.clone(),
        (false, _) => texts.copy.replace('&', ""),
    };
    PageItem::Code(CodeField {
        label: label.clone(),
        digits: Zeroizing::new(field.digits.clone()),
        copy: Button {
            focus: index == 0,
            ..Button::plain(&copy_label, ButtonAction::CopyField(index))
        },
    })
}

fn promise(context: &SessionContext, view: &View) -> String {
    let texts = &context.texts;
    let renews = view.waiting_seconds_left.map(|seconds| {
        let time = clock(seconds);
        fill(&texts.code.renews, &[("time", &time)])
    });
    [Some(context.promise()), renews]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}
