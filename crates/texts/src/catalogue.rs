//! The texts of one language by their keys: for the console, whose page looks texts up in its own
//! language, JavaScript.

use std::collections::BTreeMap;

use crate::language::Language;
use crate::{fill, source};

/// The texts of one language. A key is the path in the message file: `console.bar.fit`.
#[derive(Clone, Debug)]
pub struct Catalogue {
    language: Language,
    texts: BTreeMap<String, String>,
}

impl Catalogue {
    /// Returns the texts of `language`.
    pub fn load(language: Language) -> Self {
        let table =
            toml::from_str(source(language)).expect("the message files are parsed by a test");
        let mut texts = BTreeMap::new();
        flatten(table, "", &mut texts);
        Self { language, texts }
    }

    /// Returns the language.
    pub fn language(&self) -> Language {
        self.language
    }

    /// Returns the text with that key; the key itself if there is none, which a test of the text's
    /// user rules out.
    pub fn text<'a>(&'a self, key: &'a str) -> &'a str {
        self.texts.get(key).map_or(key, String::as_str)
    }

    /// Returns the text with that key, its placeholders filled.
    pub fn fill(&self, key: &str, values: &[(&str, &str)]) -> String {
        fill(self.text(key), values)
    }

    /// Returns the texts whose keys begin with `prefix`, without it.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts
            .iter()
            .filter_map(move |(key, text)| Some((key.strip_prefix(prefix)?, text.as_str())))
    }
}

fn flatten(table: toml::Table, above: &str, found: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(table) => flatten(table, &format!("{above}{key}."), found),
            toml::Value::String(text) => drop(found.insert(format!("{above}{key}"), text)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_by_its_path() {
        let texts = Catalogue::load(Language::Fi);
        assert_eq!(texts.text("code.id"), "Tunnus (ID)");
        assert_eq!(texts.text("no.such"), "no.such");
        assert_eq!(
            texts.fill("console.bar.id", &[("digits", "123")]),
            "Tunnus 123"
        );
        assert!(texts.below("console.").any(|(key, _)| key == "bar.fit"));
    }
}
