//! The end: who looked for how long, who controlled for how long, and that nobody sees anything any more.

use etatuki_session::{Receipt, View};

use super::page::{Action, Block, Button, Page, Tone};
use super::subject::{Subject, named};
use crate::texts::{Texts, fill};

/// The receipt of a session that was closed.
pub fn receipt(subject: &Subject, view: &View) -> Page {
    let texts = &subject.texts;
    let mut page = subject.page();
    page.blocks[0] = Block::Heading(texts.receipt.closed.clone());
    page.blocks
        .extend(subject.notices(view).into_iter().filter(is_alarm));
    if subject.own_transport {
        page.blocks
            .push(Block::Strip(Tone::Good, texts.own.over.clone()));
    } else {
        page.blocks
            .extend(what_was_done(texts, view.receipt.as_ref()));
    }
    page.buttons = vec![
        Button::plain(&texts.receipt.again, Action::Open),
        Button::primary(&texts.window.close, Action::Leave),
    ];
    page
}

/// What was seen and done, and that it is over; after a failure too.
pub fn what_was_done(texts: &Texts, receipt: Option<&Receipt>) -> Vec<Block> {
    let Some(receipt) = receipt else {
        return vec![Block::Strip(Tone::Good, texts.receipt.never.clone())];
    };
    let seconds = (receipt.viewed_seconds, receipt.controlled_seconds);
    vec![
        Block::Text(sentence(texts, &named(&receipt.agent), seconds)),
        Block::Strip(Tone::Good, texts.receipt.nobody.clone()),
    ]
}

/// "Maija Virtanen katsoi näyttöäsi 12 min ja ohjasi 4 min.": `seconds` of looking and of controlling.
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

fn is_alarm(block: &Block) -> bool {
    matches!(block, Block::Strip(Tone::Alarm, _))
}
