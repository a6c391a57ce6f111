//! The receipt at the end: the agent, the time of viewing and of control, and that nobody sees the
//! screen any more.

use etatuki_session_core::{Receipt, View};

use super::page::{Action, Block, Button, Page, Tone};
use super::session_context::{SessionContext, agent_values};
use crate::texts::{Texts, fill};

/// Returns the page of a session that was closed.
pub fn receipt(context: &SessionContext, view: &View) -> Page {
    let texts = &context.texts;
    let mut page = context.page();
    page.blocks[0] = Block::Heading(texts.receipt.closed.clone());
    page.blocks
        .extend(context.notices(view).into_iter().filter(is_alert));
    if context.external_transport {
        page.blocks
            .push(Block::Callout(Tone::Success, texts.external.over.clone()));
    } else {
        page.blocks.extend(summary(texts, view.receipt.as_ref()));
    }
    page.buttons = vec![
        Button::plain(&texts.receipt.again, Action::Open),
        Button::primary(&texts.window.close, Action::CloseWindow),
    ];
    page
}

/// Returns what was seen and done, and that it is over; also after a failure.
pub fn summary(texts: &Texts, receipt: Option<&Receipt>) -> Vec<Block> {
    let Some(receipt) = receipt else {
        return vec![Block::Callout(Tone::Success, texts.receipt.never.clone())];
    };
    let seconds = (receipt.viewed_seconds, receipt.controlled_seconds);
    vec![
        Block::Text(sentence(texts, &agent_values(&receipt.agent), seconds)),
        Block::Callout(Tone::Success, texts.receipt.nobody.clone()),
    ]
}

/// Returns "Maija Virtanen katsoi näyttöäsi 12 min ja ohjasi 4 min." for `seconds` of viewing and
/// of control.
pub fn sentence(texts: &Texts, agent: &[(&str, &str)], seconds: (u64, u64)) -> String {
    let text = match seconds {
        (0, 0) => &texts.receipt.not_viewed,
        (_, 0) => &texts.receipt.viewed,
        _ => &texts.receipt.controlled,
    };
    let viewed = texts.duration(seconds.0);
    let controlled = texts.duration(seconds.1);
    let times = [
        ("viewed", viewed.as_str()),
        ("controlled", controlled.as_str()),
    ];
    fill(text, &[agent, &times].concat())
}

fn is_alert(block: &Block) -> bool {
    matches!(block, Block::Callout(Tone::Alert, _))
}
