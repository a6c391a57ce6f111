//! The sentences of the log: what was asked and given, in the words of an agent's case notes.

use etatuki_protocol::{Ask, CustomerInfo, Permissions};
use etatuki_trust::CodeForm;

use crate::message::Message;

/// Names the code that was typed, by its part that is not secret.
pub(super) fn code_typed(form: CodeForm, caption: &str) -> Message {
    let key = match form {
        CodeForm::SingleCode => "log.code-typed",
        CodeForm::IdAndPassword => "log.id-typed",
    };
    Message::new(key).with("digits", caption)
}

/// The link is established.
pub(super) const CONNECTED: Message = Message::new("log.connected");

/// The customer has withdrawn the permission to come back after a restart, or its time is over.
pub(super) const RESTART_WITHDRAWN: Message = Message::new("log.restart-withdrawn");

/// Describes an interruption of the link, by a restart of the customer's machine perhaps.
pub(crate) const fn interruption(restart: bool) -> Message {
    Message::new(if restart {
        "log.restarting"
    } else {
        "log.interrupted"
    })
}

/// The link is resumed.
pub(super) const RESUMED: Message = Message::new("log.resumed");

/// Describes the customer's computer.
pub(super) fn customer(info: &CustomerInfo) -> Message {
    let mut parts = vec![info.label.clone()];
    if let Some(tool) = &info.tool {
        let version = info.tool_version.as_deref().unwrap_or_default();
        parts.push(format!("{tool} {version}").trim_end().to_owned());
    }
    parts.push(info.system.clone());
    let parts = parts.join(", ");
    match &info.app_version {
        Some(version) => Message::new("log.customer-program")
            .with("parts", parts)
            .with("version", version),
        None => Message::new("log.customer").with("parts", parts),
    }
}

/// Describes the agent's question.
pub(super) fn asked(ask: &Ask, customer: Option<&CustomerInfo>) -> Message {
    match ask {
        Ask::View => Message::new("log.asked-view"),
        Ask::Control => Message::new("log.asked-control"),
        Ask::Restart => Message::new("log.asked-restart"),
        Ask::Switch { backend } => {
            Message::new("log.asked-switch").with("label", label(backend, customer))
        }
    }
}

/// The first question, which the customer's side asks by itself.
pub(super) const VIEW_ASKED: Message = Message::new("log.view-asked");

/// Describes the customer's answer.
pub(super) fn answer(ask: &Ask, allowed: bool, customer: Option<&CustomerInfo>) -> Message {
    match (ask, allowed) {
        (Ask::View, true) => Message::new("log.view-given"),
        (Ask::View, false) => Message::new("log.view-refused"),
        (Ask::Control, true) => Message::new("log.control-given"),
        (Ask::Control, false) => Message::new("log.control-refused"),
        (Ask::Restart, true) => Message::new("log.restart-given"),
        (Ask::Restart, false) => Message::new("log.restart-refused"),
        (Ask::Switch { backend }, allowed) => {
            let key = if allowed {
                "log.switch-given"
            } else {
                "log.switch-refused"
            };
            Message::new(key).with("label", label(backend, customer))
        }
    }
}

/// Describes a permission that the customer has revoked; granted ones are described by the answer.
pub(super) const fn taken_back(before: Permissions, now: Permissions) -> Option<Message> {
    if before.view && !now.view {
        Some(Message::new("log.view-withdrawn"))
    } else if before.control && !now.control {
        Some(Message::new("log.control-withdrawn"))
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
