//! The page of a failure: the event, the remedy, and that nobody sees the screen.

use etatuki_session_core::{FailureName, View};

use super::page::{Button, ButtonAction, Page, PageItem};
use super::receipt;
use super::session_context::SessionContext;
use crate::texts::{Texts, fill};

/// Stable name of the failure of a second start while the first launcher hangs.
const SESSION_HUNG: &str = "session-hung";

/// The remedy of a failure, which decides the page's buttons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Another try.
    Retry,
    /// Another try, or another entry.
    RetryOrOther,
    /// Another entry: this one fails again.
    Other,
    /// Nothing that a button could do.
    None,
}

impl Remedy {
    /// Returns the remedy that the failure's sentence names.
    pub fn of(name: FailureName) -> Self {
        use FailureName as F;
        match name {
            F::ServiceUnreachable
            | F::NetworkOffline
            | F::DnsSilent
            | F::DnsNameUnknown
            | F::ConnectionRefused
            | F::ProxyUnreachable
            | F::ProxyLogin
            | F::ProxyRefused
            | F::ProxyUnsupported
            | F::CertificateUntrusted
            | F::LoginPage
            | F::ServiceError
            | F::RevocationsStale
            | F::NoNameplate
            | F::ToolDied
            | F::PluginDied
            | F::PluginHung
            | F::LinkFailed
            | F::LinkLost
            | F::RestartRefused
            | F::ClockWrong
            | F::SessionRunning
            | F::Internal => Remedy::Retry,
            F::ToolFailed | F::PluginFailed => Remedy::RetryOrOther,
            F::DisplayUnsupported
            | F::ToolMissing
            | F::ToolTooOld
            | F::RegistryBroken
            | F::PluginMissing
            | F::PluginRefused
            | F::PluginWrongVersion => Remedy::Other,
            // The display is every entry's.
            F::DisplayMissing
            | F::DisplayWayland
            | F::DisplayTooLarge
            | F::DisplayLost
            | F::PluginUnverifiable
            | F::AgentMisbehaved => Remedy::None,
        }
    }
}

/// Returns the page of a failed session.
pub fn failure(context: &SessionContext, view: &View) -> Page {
    let texts = &context.texts;
    let name = view
        .failure
        .as_ref()
        .map_or(FailureName::Internal, |failure| failure.name);
    let mut page = without_session(texts, name.as_str(), None, None);
    let support = context.page().items.remove(1);
    page.items.insert(1, support);
    if view.receipt.is_some() {
        let done = receipt::summary(texts, view.receipt.as_ref());
        page.items.splice(3..3, done);
    }
    let close = || Button::plain(&texts.window.close, ButtonAction::CloseWindow);
    let retry = || Button::plain(&texts.failed.retry, ButtonAction::Open);
    let other = || Button::plain(&texts.failed.other, ButtonAction::ChooseOther);
    let has_other = context.labels.len() > 1;
    page.buttons = match Remedy::of(name) {
        Remedy::RetryOrOther if has_other => vec![close(), other(), retry()],
        Remedy::Retry | Remedy::RetryOrOther => vec![close(), retry()],
        Remedy::Other if has_other => vec![close(), other()],
        Remedy::Other | Remedy::None => vec![close()],
    };
    if let Some(last) = page.buttons.last_mut() {
        (last.primary, last.focus) = (true, true);
    }
    page
}

/// Returns the page about a launcher that keeps the display and answers nobody.
pub fn hung_launcher(texts: &Texts, support: &str) -> Page {
    let mut page = without_session(texts, SESSION_HUNG, Some(support), None);
    page.buttons = vec![
        Button::plain(&texts.window.close, ButtonAction::CloseWindow),
        Button::primary(&texts.failed.end_hung, ButtonAction::EndHungLauncher),
    ];
    page
}

/// Returns the page of a failure before there is a session. `support` names the vendor and the
/// number, if they are known; `detail` is for the integrator.
pub fn without_session(
    texts: &Texts,
    name: &str,
    support: Option<&str>,
    detail: Option<&str>,
) -> Page {
    let failure = texts.failure(name);
    let secondary = |text: String| PageItem::Secondary(text);
    let mut items = vec![PageItem::Heading(failure.happened.clone())];
    items.extend(support.map(|support| PageItem::Support(support.to_owned())));
    items.push(PageItem::Text(failure.todo.clone()));
    items.push(secondary(fill(
        &texts.failed.for_support,
        &[("name", name)],
    )));
    items.extend(detail.map(|detail| secondary(detail.to_owned())));
    let buttons = vec![
        Button::plain(&texts.code.copy, ButtonAction::Copy),
        Button::primary(&texts.window.close, ButtonAction::CloseWindow),
    ];
    Page {
        items,
        buttons,
        wide_buttons: false,
    }
}
