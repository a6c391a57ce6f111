//! Texts from other machines, made fit for the agent's screen and for logs.

use etatuki_protocol::CustomerInfo;

/// Characters of a text from the customer's side; what is longer is cut.
const MAX_TEXT: usize = 200;
/// Characters of a stable name; what is longer is cut.
const MAX_NAME: usize = 40;
/// Backends that a customer's side may list.
const MAX_BACKENDS: usize = 32;

/// Returns the letters, digits and dashes of a stable name from outside, at most [`MAX_NAME`] of
/// them.
pub(crate) fn stable_name(name: &str) -> String {
    name.chars()
        .filter(|character| character.is_ascii_alphanumeric() || *character == '-')
        .take(MAX_NAME)
        .collect()
}

/// Cuts the customer's texts to [`MAX_TEXT`] and drops control characters, which could move a
/// terminal's cursor.
pub(crate) fn customer_info(info: CustomerInfo) -> CustomerInfo {
    let mut usable = info.usable;
    usable.truncate(MAX_BACKENDS);
    for backend in &mut usable {
        backend.id = text(&backend.id);
        backend.label = text(&backend.label);
        backend.reason = backend.reason.as_deref().map(text);
    }
    CustomerInfo {
        backend: text(&info.backend),
        label: text(&info.label),
        tool: info.tool.as_deref().map(text),
        tool_version: info.tool_version.as_deref().map(text),
        plugin_version: text(&info.plugin_version),
        system: text(&info.system),
        app_version: info.app_version.as_deref().map(text),
        usable,
        launcher_version: text(&info.launcher_version),
        only_program: info.only_program.as_deref().map(text),
        unsupported: info.unsupported,
    }
}

fn text(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(MAX_TEXT)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_are_short_and_plain() {
        assert_eq!(stable_name("card-expired"), "card-expired");
        assert_eq!(stable_name("<b>\u{1b}[2J"), "b2J");
        assert_eq!(stable_name(&"a".repeat(99)).len(), 40);
    }
}
