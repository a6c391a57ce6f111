//! The session window with the code that is read aloud.

use etatuki_session::View;
use etatuki_trust::{FieldKind, ShownField};
use zeroize::Zeroizing;

use super::before;
use super::page::{Action, Block, Button, Code, Page};
use super::subject::Subject;
use crate::texts::{clock, fill};

/// The code, what to do with it, and for how long. `copied` is the field that was just copied.
pub fn waiting(subject: &Subject, view: &View, copied: Option<usize>) -> Page {
    let Some(code) = &view.code else {
        return between_codes(subject, view);
    };
    let texts = &subject.texts;
    let mut page = subject.page();
    page.blocks.extend(subject.notices(view));
    let phone = [("phone", subject.phone.as_str())];
    // A tool that shows its code itself has no field here.
    let call = if code.fields.is_empty() {
        &texts.own.window
    } else {
        &texts.code.call
    };
    page.blocks.push(Block::Text(fill(call, &phone)));
    let fields = code.fields.iter().enumerate();
    page.blocks
        .extend(fields.map(|(at, field)| field_block(subject, at, field, copied)));
    let state = if subject.own_transport {
        &texts.own.maybe
    } else {
        &texts.state.waiting
    };
    page.blocks.push(Block::Text(state.clone()));
    page.blocks.push(Block::Quiet(promise(subject, view)));
    page.buttons = vec![Button::plain(&texts.bar.close, Action::Close)];
    page
}

/// The old code is worthless, and its successor is on its way.
fn between_codes(subject: &Subject, view: &View) -> Page {
    let mut page = before::opening(subject);
    page.blocks.splice(2..2, subject.notices(view));
    page
}

fn field_block(subject: &Subject, at: usize, field: &ShownField, copied: Option<usize>) -> Block {
    let texts = &subject.texts.code;
    let label = match field.kind {
        FieldKind::ToolCode => &subject.texts.own.code,
        FieldKind::SessionCode => &texts.session_code,
        FieldKind::Id => &texts.id,
        FieldKind::Password => &texts.password,
    };
    // Alt with one letter can press one button: the first field's.
    let copy_label = match (copied == Some(at), at) {
        (true, _) => texts.copied.clone(),
        (false, 0) => texts.copy.clone(),
        (false, _) => texts.copy.replace('&', ""),
    };
    Block::Code(Code {
        label: label.clone(),
        digits: Zeroizing::new(field.digits.clone()),
        copy: Button {
            focus: at == 0,
            ..Button::plain(&copy_label, Action::Copy(at))
        },
    })
}

fn promise(subject: &Subject, view: &View) -> String {
    let texts = &subject.texts;
    let renews = view.waiting_seconds_left.map(|seconds| {
        let time = clock(seconds);
        fill(&texts.code.renews, &[("time", &time)])
    });
    [Some(subject.promise()), renews]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}
