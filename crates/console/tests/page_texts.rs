//! The texts of page and terminal: every one that is used exists, and every one that exists is used.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use std::collections::BTreeSet;
use std::path::Path;

use etatuki_session_core::FailureName;
use etatuki_texts::{Language, catalogue::Catalogue};

/// Endings of texts whose number decides; the code names what stands before.
const PLURALS: [&str; 3] = ["-one", "-many", "-none"];

fn sources(folder: &Path, found: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if ["ts", "html", "rs"]
            .iter()
            .any(|kind| path.extension() == Some(kind.as_ref()))
        {
            found.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// Returns everything between quotation marks that looks like a key of one of the sections.
fn used_keys<'a>(source: &'a str, sections: &BTreeSet<&str>) -> BTreeSet<&'a str> {
    let is_key = |text: &&str| {
        text.split_once('.').is_some_and(|(section, name)| {
            let plain = |character: char| character.is_ascii_lowercase() || character == '-';
            sections.contains(section) && !name.is_empty() && name.chars().all(plain)
        })
    };
    source
        .split('"')
        .map(|text| text.strip_prefix("console.").unwrap_or(text))
        .filter(is_key)
        .collect()
}

/// The reasons why an entry can't be used at the customer's: the launcher's own list.
#[test]
fn every_reason_of_an_unusable_backend_has_its_text() {
    let page = include_str!("../web/src/status-text.ts");
    for name in FailureName::ALL {
        let told = FailureName::from_plugin(name.as_str()) == name;
        let row = format!("  \"{}\": \"panel.", name.as_str());
        assert!(!told || page.contains(&row), "{name:?}");
    }
}

#[test]
fn page_and_message_files_know_the_same_texts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut source = String::new();
    sources(&root.join("src"), &mut source);
    sources(&root.join("web/src"), &mut source);
    let texts = Catalogue::load(Language::En);
    let known: BTreeSet<_> = texts.below("console.").map(|(key, _)| key).collect();
    let sections = known
        .iter()
        .map(|key| key.split_once('.').unwrap().0)
        .collect();
    // Labels of the customer's own windows, and files of the page, look alike.
    let others = ["code.id", "code.session-code", "code.ts", "panel.ts"];
    let used: BTreeSet<_> = used_keys(&source, &sections)
        .into_iter()
        .filter(|key| !others.contains(key))
        .collect();
    let forms = |key: &str| PLURALS.map(|plural| format!("{key}{plural}"));
    for key in &used {
        let plural = forms(key).iter().any(|form| known.contains(form.as_str()));
        assert!(known.contains(key) || plural, "no text is called {key}");
    }
    for key in &known {
        let singular = PLURALS.iter().find_map(|plural| key.strip_suffix(plural));
        let is_used = used.contains(key) || singular.is_some_and(|key| used.contains(key));
        assert!(is_used, "nothing uses the text {key}");
    }
}
