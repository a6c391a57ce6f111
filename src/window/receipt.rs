//! The receipt at the end: the agent, the time of viewing and of control, and that nobody sees the
//! screen any more.

use etatuki_session_core::{Receipt, View};

use super::page::{Button, ButtonAction, Page, PageItem, Tone};
use super::session_context::{SessionContext, agent_values};
use crate::texts::{Texts, fill};

/// Returns the page of a session that was closed.
pub fn receipt(context: &SessionContext, view: &View) -> Page {
    let texts = &context.texts;
    let mut page = context.page();
    page.items[0] = PageItem::Heading(texts.receipt.closed.clone());
    page.items.extend(context.past_notices(view));
    if context.external_transport {
        page.items.push(PageItem::Callout(
            Tone::Success,
            texts.external.over.clone(),
        ));
    } else {
        page.items.extend(summary(texts, view.receipt.as_ref()));
    }
    page.buttons = vec![
        Button::plain(&texts.receipt.again, ButtonAction::Open),
        Button::primary(&texts.window.close, ButtonAction::CloseWindow),
    ];
    page
}

/// Returns what was seen and done, and that it is over; also after a failure.
pub fn summary(texts: &Texts, receipt: Option<&Receipt>) -> Vec<PageItem> {
    let Some(receipt) = receipt else {
        return vec![PageItem::Callout(
            Tone::Success,
            texts.receipt.never.clone(),
        )];
    };
    let seconds = (receipt.viewed_seconds, receipt.controlled_seconds);
    let program = receipt.program.as_deref();
    let agent = agent_values(&receipt.agent);
    vec![
        PageItem::Text(sentence(texts, &agent, program, seconds)),
        PageItem::Callout(Tone::Success, texts.receipt.nobody.clone()),
    ]
}

/// Returns "Maija Virtanen katsoi näyttöäsi 12 min ja ohjasi konettasi 4 min." for `seconds` of
/// viewing and of control; with the `program`, if that was shared alone.
pub fn sentence(
    texts: &Texts,
    agent: &[(&str, &str)],
    program: Option<&str>,
    seconds: (u64, u64),
) -> String {
    let text = match (seconds, program) {
        ((0, 0), _) => &texts.receipt.not_viewed,
        ((_, 0), None) => &texts.receipt.viewed,
        ((_, 0), Some(_)) => &texts.receipt.viewed_program,
        (_, None) => &texts.receipt.controlled,
        (_, Some(_)) => &texts.receipt.controlled_program,
    };
    let viewed = texts.duration(seconds.0);
    let controlled = texts.duration(seconds.1);
    let values = [
        ("program", program.unwrap_or_default()),
        ("viewed", viewed.as_str()),
        ("controlled", controlled.as_str()),
    ];
    fill(text, &[agent, &values].concat())
}
