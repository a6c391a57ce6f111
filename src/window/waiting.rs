//! The session window with the code that is read aloud.

use etatuki_session_core::View;
use etatuki_trust::{FieldKind, ShownField};
use zeroize::Zeroizing;

use super::no_code;
use super::page::{Button, ButtonAction, CodeField, Page, PageItem, Tone};
use super::session_context::{SessionContext, service_is_away};
use crate::texts::{clock, fill};

/// Seconds before the code's end from which on they are shown: before that they are stress without
/// use.
const COUNTDOWN_SECONDS: u32 = 120;

/// Returns the page with the code, what to do with it, and at last its remaining time. `copied` says
/// whether the code was just copied.
pub fn waiting(context: &SessionContext, view: &View, copied: bool) -> Page {
    let Some(code) = &view.code else {
        return between_codes(context, view);
    };
    let texts = &context.texts;
    let paused = service_is_away(view);
    let mut page = context.page();
    page.items.extend(context.notices(view));
    let phone = [("phone", context.vendor.phone.as_str())];
    // The code of a tool that shows it itself has no fields.
    let call = match code.fields.len() {
        0 => &texts.external.window,
        1 => &texts.code.call,
        _ => &texts.code.call_two,
    };
    page.items.push(match paused {
        true => PageItem::Callout(Tone::Info, texts.notice.service_lost.clone()),
        false => PageItem::Text(fill(call, &phone)),
    });
    let fields = code.fields.iter();
    page.items
        .extend(fields.map(|field| field_block(context, field, paused)));
    if context.external_transport {
        page.items
            .push(PageItem::Text(texts.external.maybe.clone()));
    } else if !paused {
        page.items.push(PageItem::Text(texts.state.waiting.clone()));
    }
    page.items.push(PageItem::Secondary(promise(context, view)));
    if !code.fields.is_empty() {
        let label = match copied {
            true => &texts.code.copied,
            false => &texts.code.copy,
        };
        page.buttons.push(Button {
            enabled: !paused,
            ..Button::plain(label, ButtonAction::Copy)
        });
    }
    page.buttons
        .push(Button::plain(&texts.bar.close, ButtonAction::Close));
    page
}

/// Returns the page while the old code is worthless and its successor is fetched.
fn between_codes(context: &SessionContext, view: &View) -> Page {
    let mut page = no_code::opening(context);
    page.items.splice(2..2, context.notices(view));
    page
}

fn field_block(context: &SessionContext, field: &ShownField, paused: bool) -> PageItem {
    let texts = &context.texts.code;
    let label = match field.kind {
        FieldKind::ToolCode => &context.texts.external.code,
        FieldKind::SessionCode => &texts.session_code,
        FieldKind::Id => &texts.id,
        FieldKind::Password => &texts.password,
    };
    PageItem::Code(CodeField {
        label: label.clone(),
        digits: Zeroizing::new(field.digits.clone()),
        paused,
    })
}

fn promise(context: &SessionContext, view: &View) -> String {
    let texts = &context.texts;
    let left = view.waiting_seconds_left;
    let renews = left.filter(|seconds| *seconds <= COUNTDOWN_SECONDS);
    let renews = renews.map(|seconds| {
        let time = clock(seconds);
        fill(&texts.code.renews, &[("time", &time)])
    });
    [Some(context.promise()), renews]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}
