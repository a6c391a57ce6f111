//! The user's settings: the language, and the order of the entries. Nothing else, because a file that
//! can be written without an administrator's rights must not decide who gets in.
//!
//! A settings file never stops the launcher: one that can't be used is ignored, with a line in the
//! log.

use std::path::Path;

use serde::Deserialize;

use crate::language::Language;
use crate::registry::Backend;

/// Largest settings file.
const MAX_BYTES: u64 = 64 * 1024;

/// The user's own choices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The language of the windows; the registry's goes before it.
    pub language: Option<Language>,
    /// Ids of entries that come first, in this order.
    #[serde(default)]
    pub order: Vec<String>,
}

/// The reason why the settings were ignored.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file exists and can't be read.
    #[error("can't read the settings: {0}")]
    Unreadable(#[from] std::io::Error),
    /// The file's content isn't settings.
    #[error("the settings can't be used: {0}")]
    Broken(String),
}

impl Settings {
    /// Reads the settings from `file`; a missing file is no error.
    ///
    /// # Errors
    /// The file can't be read, is too large, or isn't settings.
    pub fn read(file: &Path) -> Result<Self, SettingsError> {
        match file.metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
            Ok(metadata) if metadata.len() > MAX_BYTES => {
                Err(SettingsError::Broken("the file is too large".into()))
            }
            Ok(_) => Self::parse(&std::fs::read_to_string(file)?),
        }
    }

    /// Parses the settings in `text`.
    ///
    /// # Errors
    /// [`SettingsError::Broken`] names the line.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        toml::from_str(text).map_err(|error| SettingsError::Broken(error.to_string()))
    }

    /// Sorts entries: those of `order` first, the others after them in the registry's order.
    pub fn sort<'a>(&self, backends: impl IntoIterator<Item = &'a Backend>) -> Vec<&'a Backend> {
        let mut sorted: Vec<_> = backends.into_iter().collect();
        let rank = |id: &str| self.order.iter().position(|wanted| wanted == id);
        sorted.sort_by_key(|backend| rank(&backend.id).unwrap_or(usize::MAX));
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    #[test]
    fn language_and_order_alone() {
        let settings = Settings::parse("language = \"sv\"\norder = [\"b\", \"a\"]").unwrap();
        assert_eq!(settings.language, Some(Language::Sv));
        assert_eq!(settings.order, ["b", "a"]);
        assert_eq!(Settings::parse("").unwrap(), Settings::default());
        for bad in [
            "language = \"se\"",
            "[service]\nurl = \"https://x\"",
            "order = 3",
            "=",
        ] {
            assert!(Settings::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_file_is_no_error() {
        assert_eq!(
            Settings::read(Path::new("/nowhere/settings.toml")).unwrap(),
            Settings::default()
        );
        assert!(Settings::read(Path::new("/")).is_err());
    }

    #[test]
    fn the_users_order_comes_first() {
        let text = include_str!("../backends.toml");
        let key = etatuki_trust::VendorKey::from_seed([7; 32]).public();
        let text = text.replacen("keys = []", &format!("keys = [\"{key}\"]"), 1);
        let registry = Registry::parse(&text, "backends.toml").unwrap();
        let check = |order: &[&str], expected: &[&str]| {
            let order = order.iter().map(ToString::to_string).collect();
            let settings = Settings {
                language: None,
                order,
            };
            let sorted = settings.sort(&registry.backends);
            let ids: Vec<_> = sorted
                .into_iter()
                .map(|backend| backend.id.as_str())
                .collect();
            assert_eq!(ids, expected);
        };
        check(&[], &["ecom", "remoteus-2008", "remoteus-2010"]);
        check(
            &["remoteus-2010", "gone"],
            &["remoteus-2010", "ecom", "remoteus-2008"],
        );
    }
}
