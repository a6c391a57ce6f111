//! A sentence for the agent before it is in a language: the page and the terminal each say it in
//! theirs.

use std::collections::BTreeMap;

use etatuki_texts::catalogue::Catalogue;
use serde::Serialize;

/// A text of the section `[console]` of the message files, with the values of its placeholders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Key below `console`: `log.asked-view`.
    pub(crate) key: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    values: BTreeMap<&'static str, String>,
}

impl Message {
    /// Creates a message without values.
    pub(crate) const fn new(key: &'static str) -> Self {
        Self {
            key,
            values: BTreeMap::new(),
        }
    }

    /// Adds the value of a placeholder.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.values.insert(name, value.into());
        self
    }

    /// Returns the sentence in the catalogue's language.
    #[must_use]
    pub fn text(&self, texts: &Catalogue) -> String {
        let values: Vec<_> = self
            .values
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        texts.fill(&format!("console.{}", self.key), &values)
    }
}

#[cfg(test)]
impl Message {
    /// Fails unless the text exists, and has exactly these placeholders.
    #[track_caller]
    pub(crate) fn check(&self) {
        let texts = Catalogue::load(etatuki_texts::Language::En);
        let key = format!("console.{}", self.key);
        let text = texts.text(&key);
        assert_ne!(text, key, "no such text");
        let parts = text.split('{').skip(1);
        let names: std::collections::BTreeSet<_> =
            parts.filter_map(|part| part.split('}').next()).collect();
        let given = self.values.keys().copied().collect();
        assert_eq!(names, given, "{text}");
    }
}
