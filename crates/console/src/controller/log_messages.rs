//! The log's sentences: what was asked and given, as an agent would note it down.

use etatuki_protocol::{Ask, CustomerInfo, Permissions};
use etatuki_trust::CodeForm;

pub(super) fn code_typed(form: CodeForm, caption: &str) -> String {
    match form {
        CodeForm::SingleCode => format!("Session code {caption}"),
        CodeForm::IdAndPassword => format!("ID {caption}"),
    }
}

pub(super) fn customer(info: &CustomerInfo) -> String {
    let mut parts = vec![info.label.clone()];
    if let Some(tool) = &info.tool {
        let version = info.tool_version.as_deref().unwrap_or_default();
        parts.push(format!("{tool} {version}").trim_end().to_owned());
    }
    parts.push(info.system.clone());
    if let Some(version) = &info.app_version {
        parts.push(format!("program version {version}"));
    }
    format!("The customer has {}", parts.join(", "))
}

/// What the agent asked for.
pub(super) fn asked(ask: &Ask, customer: Option<&CustomerInfo>) -> String {
    match ask {
        Ask::View => "You asked to see the screen".into(),
        Ask::Control => "You asked for control".into(),
        Ask::Switch { backend } => format!("You asked to switch to {}", label(backend, customer)),
    }
}

/// The first question, which the customer's side puts by itself.
pub(super) const VIEW_ASKED: &str = "The customer is asked whether you may see the screen";

pub(super) fn answer(ask: &Ask, allowed: bool, customer: Option<&CustomerInfo>) -> String {
    match (ask, allowed) {
        (Ask::View, true) => "The customer allowed you to see the screen".into(),
        (Ask::View, false) => "The customer didn't allow you to see the screen".into(),
        (Ask::Control, true) => "The customer gave you control".into(),
        (Ask::Control, false) => "The customer didn't give you control".into(),
        (Ask::Switch { backend }, true) => {
            format!(
                "The customer agreed to switch to {}",
                label(backend, customer)
            )
        }
        (Ask::Switch { backend }, false) => {
            format!(
                "The customer didn't want to switch to {}",
                label(backend, customer)
            )
        }
    }
}

/// What the customer has taken away; what he gave is in his answer.
pub(super) const fn taken_back(before: Permissions, now: Permissions) -> Option<&'static str> {
    if before.view && !now.view {
        Some("You may no longer see the screen")
    } else if before.control && !now.control {
        Some("The customer took control back")
    } else {
        None
    }
}

fn label<'a>(backend: &'a str, customer: Option<&'a CustomerInfo>) -> &'a str {
    customer
        .and_then(|info| info.usable.iter().find(|usable| usable.id == backend))
        .map_or(backend, |usable| usable.label.as_str())
}
