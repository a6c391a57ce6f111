//! The Markdown pages of the tree: every relative link leads to a file, every anchor to a heading,
//! and every source file that a page names exists.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders that hold what is built or downloaded.
const SKIPPED: &[&str] = &["target", "node_modules", "dist", ".git"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Appends all files below `folder` with this extension.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !SKIPPED.contains(&name) {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|kind| kind == extension) {
            found.push(path);
        }
    }
}

/// Returns all Markdown pages below `folder`, with their texts.
fn pages(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(folder, "md", &mut found);
    let read = |page: PathBuf| {
        let text = std::fs::read_to_string(&page).unwrap();
        (page, text)
    };
    found.into_iter().map(read).collect()
}

/// Returns the lines outside of fenced code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !fence && !in_code
    })
}

/// Returns the targets of the links and images in a text, code aside.
fn targets(text: &str) -> Vec<String> {
    let prose: Vec<&str> = prose(text).collect();
    let prose = prose.join("\n");
    // Every second part is inline code; a link's text may be code, so a placeholder stays.
    let parts = prose.split('`').enumerate();
    let plain: String = parts
        .map(|(place, part)| if place % 2 == 0 { part } else { "code" })
        .collect();
    let links = plain.split("](").skip(1);
    links
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split(' ').next().unwrap().to_owned())
        .collect()
}

/// Returns the anchors of a page's headings, as GitHub makes them: lower case, without punctuation,
/// with a hyphen for each space, and a number behind a heading that is there already.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for heading in prose(text).filter(|line| line.starts_with('#')) {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        let free = std::iter::once(anchor.clone())
            .chain(numbered)
            .find(|anchor| !found.contains(anchor));
        found.insert(free.unwrap());
    }
    found
}

/// Checks the relative links of all pages below `folder`: files and anchors exist. Returns the
/// number of links.
fn check_links(folder: &Path) -> usize {
    let mut checked = 0;
    let mut broken = Vec::new();
    for (file, text) in pages(folder) {
        for target in targets(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let wanted = match path {
                "" => file.clone(),
                path => file.parent().unwrap().join(path),
            };
            checked += 1;
            let leads = wanted.exists()
                && (anchor.is_empty()
                    || std::fs::read_to_string(&wanted)
                        .is_ok_and(|text| anchors(&text).contains(anchor)));
            if !leads {
                let page = file.strip_prefix(folder).unwrap().display();
                broken.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    checked
}

#[test]
fn every_relative_link_leads_somewhere() {
    let checked = check_links(&root());
    assert!(checked > 50, "only {checked} links found");
}

/// The folder that a vendor ships has no link to a page that isn't in it.
#[test]
fn every_link_of_the_shipped_pages_leads_somewhere() {
    let folder = std::env::temp_dir().join(format!("etatuki-docs-{}", std::process::id()));
    let done = std::process::Command::new(root().join("scripts/dist-docs"))
        .arg(&folder)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    for file in [
        "customer/README.md",
        "customer/docs/session.md",
        "customer/docs/session.schema.json",
        "customer/share/icons/hicolor/scalable/apps/etatuki.svg",
        "vendor/docs/service.md",
    ] {
        assert!(folder.join(file).is_file(), "{file} isn't shipped");
    }
    let checked = check_links(&folder);
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(checked > 20, "only {checked} links found");
}

#[test]
fn every_source_file_that_a_page_names_exists() {
    let mut sources = Vec::new();
    files(&root(), "rs", &mut sources);
    let mut checked = 0;
    let mut missing = Vec::new();
    for (page, text) in pages(&root()) {
        // A decision is a record of its day.
        if page.starts_with(root().join("docs/decisions")) {
            continue;
        }
        let prose: Vec<&str> = prose(&text).collect();
        let prose = prose.join("\n");
        // Every second part is inline code.
        for code in prose.split('`').skip(1).step_by(2) {
            // `file.rs::test` names a test in the file.
            let name = code.split("::").next().unwrap();
            if !name.ends_with(".rs") || name.contains(['*', '{', ' ']) {
                continue;
            }
            checked += 1;
            if !sources.iter().any(|source| source.ends_with(name)) {
                let page = page.strip_prefix(root()).unwrap().display();
                missing.push(format!("{page}: {name}"));
            }
        }
    }
    assert!(checked > 30, "only {checked} files named");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn anchors_are_githubs() {
    let page =
        "# The `page`\n```\n# no heading\n```\n## What's new, in 2026?\n## Notes\n## Notes\n";
    let expected = ["the-page", "whats-new-in-2026", "notes", "notes-1"];
    assert_eq!(anchors(page), expected.map(str::to_owned).into());
}

#[test]
fn links_in_code_are_none() {
    let page = "[a](b.md) `[c](d.md)` [`e`](f.md#g)\n```\n[h](i.md)\n```\n![j](k.png \"title\")";
    assert_eq!(targets(page), ["b.md", "f.md#g", "k.png"]);
}
