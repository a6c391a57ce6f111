//! The sentences of the log: what was asked and given, in the words of an agent's case notes.

use etatuki_protocol::{Ask, CustomerInfo, Permissions};
use etatuki_trust::CodeForm;

/// Names the code that was typed, by its part that is not secret.
pub(super) fn code_typed(form: CodeForm, caption: &str) -> String {
    match form {
        CodeForm::SingleCode => format!("Session code {caption}"),
        CodeForm::IdAndPassword => format!("ID {caption}"),
    }
}

/// Describes the customer's computer.
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

/// Describes the agent's question.
pub(super) fn asked(ask: &Ask, customer: Option<&CustomerInfo>) -> String {
    match ask {
        Ask::View => "You asked to see the screen".into(),
        Ask::Control => "You asked for control".into(),
        Ask::Switch { backend } => format!("You asked to switch to {}", label(backend, customer)),
    }
}

/// The first question, which the customer's side asks by itself.
pub(super) const VIEW_ASKED: &str = "The customer is asked whether you may see the screen";

/// Describes the customer's answer.
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

/// Describes a permission that the customer has revoked; granted ones are described by the answer.
pub(super) const fn taken_back(before: Permissions, now: Permissions) -> Option<&'static str> {
    if before.view && !now.view {
        Some("You may no longer see the screen")
    } else if before.control && !now.control {
        Some("The customer took control back")
    } else {
        None
    }
}

/// Returns a backend's label, or its id if the customer's side didn't list it.
fn label<'a>(backend: &'a str, customer: Option<&'a CustomerInfo>) -> &'a str {
    customer
        .and_then(|info| info.usable.iter().find(|usable| usable.id == backend))
        .map_or(backend, |usable| usable.label.as_str())
}
