//! `backends.toml` and the user's settings: files that somebody else wrote.

use etatuki::registry::{MAX_BACKENDS, MAX_TEXT, Registry, app_version};
use etatuki::settings::Settings;

const FILE: &str = "backends.toml";

pub(crate) fn registry(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match Registry::parse(text, FILE) {
        Ok(registry) => check(&registry),
        Err(error) => {
            let lines = text.matches('\n').count() + 1;
            assert!((1..=lines).contains(&error.line), "{error}");
            assert!(error.to_string().starts_with("backends.toml, line "));
        }
    }
    let _ = app_version(text);
    if let Ok(settings) = Settings::parse(text) {
        assert!(settings.order.len() <= text.len());
    }
}

/// Checks the invariants that everything behind the registry relies on.
fn check(registry: &Registry) {
    assert!((1..=MAX_BACKENDS).contains(&registry.backends.len()));
    assert!(!registry.vendor.keys.is_empty());
    let loopback = ["http://localhost", "http://127.", "http://[::1]"];
    let safe = registry.service.starts_with("https://")
        || loopback
            .iter()
            .any(|start| registry.service.starts_with(start));
    assert!(safe, "{}", registry.service);
    assert!(!registry.service.ends_with('/'));
    for backend in &registry.backends {
        let same = registry
            .backends
            .iter()
            .filter(|other| other.id == backend.id);
        assert_eq!(same.count(), 1);
        assert!(!backend.plugin.contains(['/', '\\']) && !backend.plugin.starts_with('.'));
    }
    for shown in [&registry.vendor.name, &registry.vendor.phone] {
        assert!(shown.chars().count() <= MAX_TEXT && !shown.chars().any(char::is_control));
    }
}
