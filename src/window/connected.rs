//! The session window while an agent is connected. It is iconified then, because the bar at the top of
//! the screen shows the same; this window is where the keyboard reaches the buttons.

use etatuki_session_core::{AgentIdentity, Permissions, View};

use super::page::{Button, ButtonAction, Page, PageItem, Tone};
use super::sees::support_sees;
use super::session_context::{SessionContext, agent_values};
use crate::texts::{Texts, clock, fill};

/// Returns the page that says who is connected and what the agent may do.
pub fn connected(context: &SessionContext, agent: &AgentIdentity, view: &View) -> Page {
    let texts = &context.texts;
    let mut page = context.page();
    page.items.extend(context.notices(view));
    let tone = if view.permissions.control {
        Tone::Alert
    } else {
        Tone::Info
    };
    page.items.push(PageItem::Callout(
        tone,
        format!("{}.", activity(texts, agent, view)),
    ));
    let sees = support_sees(texts, view).map(str::to_owned);
    page.items.extend(sees.map(PageItem::Text));
    if view.restart_allowed {
        page.items
            .push(PageItem::Text(texts.bar.after_restart.clone()));
    }
    let close = Button::plain(&texts.bar.close, ButtonAction::Close);
    if view.permissions.control {
        page.items.push(PageItem::Text(texts.bar.escape.clone()));
        page.buttons = vec![
            close,
            Button::primary(&texts.bar.take_back, ButtonAction::TakeBack),
        ];
    } else {
        page.buttons = vec![close.focused()];
    }
    page.buttons.extend(withdraw_restart(texts, view));
    page
}

/// Returns the button that withdraws the permission to come back after a restart, while there is one.
pub fn withdraw_restart(texts: &Texts, view: &View) -> Option<Button> {
    let button = Button::plain(&texts.bar.withdraw_restart, ButtonAction::WithdrawRestart);
    view.restart_allowed.then_some(button)
}

/// Returns the agent's current activity in one line.
pub fn activity(texts: &Texts, agent: &AgentIdentity, view: &View) -> String {
    let app = view.app_sharing.as_ref().filter(|sharing| sharing.app_only);
    let text = match (view.permissions, app) {
        (Permissions { control: true, .. }, None) => &texts.bar.controlling,
        (Permissions { control: true, .. }, Some(_)) => &texts.bar.controlling_program,
        (Permissions { view: true, .. }, None) => &texts.bar.viewing,
        (Permissions { view: true, .. }, Some(_)) => &texts.bar.viewing_program,
        _ => &texts.bar.connected,
    };
    let program = app.map_or("", |app| app.name.as_str());
    fill(
        text,
        &[&agent_values(agent)[..], &[("program", program)]].concat(),
    )
}

/// Returns the page for an agent who is connected by a tool's own transport; only the tool knows
/// who.
pub fn external(context: &SessionContext) -> Page {
    let texts = &context.texts;
    let mut page = context.page();
    let connected = format!("{}.", texts.external.connected);
    page.items.push(PageItem::Callout(Tone::Info, connected));
    page.items
        .push(PageItem::Text(texts.external.maybe.clone()));
    page.items.push(PageItem::Secondary(context.promise()));
    page.buttons = vec![Button::plain(&texts.bar.close, ButtonAction::Close).focused()];
    page
}

/// Returns the page for a link that is interrupted and may be resumed by itself. The agent may do
/// afterwards what was allowed before; control can be taken back here.
pub fn interrupted(context: &SessionContext, agent: &AgentIdentity, view: &View) -> Page {
    let texts = &context.texts;
    let mut page = context.page();
    let time = clock(view.interrupted_seconds_left.unwrap_or(0));
    if view.coming_back {
        let waiting = fill(&texts.state.coming_back, &[("time", &time)]);
        page.items.push(PageItem::Callout(Tone::Info, waiting));
        page.buttons = vec![Button::plain(&texts.bar.close, ButtonAction::Close).focused()];
        return page;
    }
    let values = [&agent_values(agent)[..], &[("time", &time)]].concat();
    page.items.push(PageItem::Callout(
        Tone::Info,
        texts.state.interrupted_now.clone(),
    ));
    let more = fill(&texts.state.interrupted_more, &values);
    page.items.push(PageItem::Text(more));
    let close = Button::plain(&texts.bar.close, ButtonAction::Close);
    if view.kept_permissions.control {
        let control = fill(&texts.state.interrupted_control, &values);
        page.items.push(PageItem::Text(control));
        let take_back = Button::plain(&texts.bar.take_back, ButtonAction::TakeBack);
        page.buttons = vec![close, take_back.focused()];
    } else {
        page.buttons = vec![close.focused()];
    }
    page
}
