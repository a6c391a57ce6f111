//! The rules of STYLE.md that a test can hold: comments begin with the thing, constants say what they bound, files and
//! functions stay small, and no crate includes another one's source.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders of Rust sources, from the root.
const SOURCES: &[&str] = &[
    "src",
    "crates",
    "plugins",
    "tools",
    "tests",
    "examples",
    "fuzz/src",
    "fuzz/fuzz_targets",
    "bench",
];
/// Openings of a doc comment that tell a reader nothing about the thing.
const RIDDLES: &[&str] = &[
    "What ", "So many", "So long", "So much", "Of ", "The same", "How much", "How many",
    "How long", "How far",
];
/// Names that say neither what is bounded nor in which unit.
const NAMELESS: &[&str] = &["LIMIT", "MOST", "PIECE", "SIDE", "PATIENCE"];
/// Words for a person whom nobody has met.
const PRONOUNS: &[&str] = &["he", "his", "him", "himself"];
/// Lines that a file of what ships may have.
const MAX_FILE_LINES: usize = 500;
/// Lines that a function of what ships may have, its signature included.
const MAX_FUNCTION_LINES: usize = 60;
/// Longer functions, and why they are.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];

/// A source file: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Whether it is part of what ships, and not of a test, a benchmark or an example.
    fn ships(&self) -> bool {
        let aside = |part: &str| {
            [
                "tests", "examples", "benches", "fuzz", "bench", "tools", "testkit",
            ]
            .contains(&part)
        };
        !self.path.split('/').any(aside) && !self.path.ends_with("tests.rs")
    }

    /// Its lines, counted from 1, up to the tests at its end.
    fn shipped_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self
            .text
            .find("#[cfg(test)]\nmod tests {")
            .unwrap_or(self.text.len());
        self.text[..tests]
            .lines()
            .zip(1..)
            .map(|(line, number)| (number, line))
    }

    /// Its comments: line number, whether it opens a doc comment, and the words.
    fn comments(&self) -> impl Iterator<Item = (usize, bool, &str)> {
        let mut in_doc = false;
        self.text
            .lines()
            .zip(1..)
            .filter_map(move |(line, number)| {
                let line = line.trim_start();
                let doc = line
                    .strip_prefix("///")
                    .or_else(|| line.strip_prefix("//!"));
                let opens = doc.is_some() && !in_doc;
                in_doc = doc.is_some();
                let words = doc.or_else(|| line.strip_prefix("//"))?;
                Some((number, opens, words.trim_start()))
            })
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for folder in SOURCES {
        collect(&root.join(folder), &mut paths);
    }
    let read = |path: PathBuf| Source {
        text: std::fs::read_to_string(&path).unwrap(),
        path: path
            .strip_prefix(root)
            .unwrap()
            .to_str()
            .unwrap()
            .replace('\\', "/"),
    };
    let sources: Vec<_> = paths.into_iter().map(read).collect();
    assert!(
        sources.len() > 200,
        "only {} sources were found",
        sources.len()
    );
    sources
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !["target", "node_modules"].contains(&name) {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

/// Fails with one line for each thing found.
#[track_caller]
fn check(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn a_doc_comment_begins_with_the_thing() {
    let mut found = Vec::new();
    for source in sources() {
        for (line, opens, words) in source.comments() {
            if opens && RIDDLES.iter().any(|riddle| words.starts_with(riddle)) {
                found.push(format!("{}:{line}: {words}", source.path));
            }
        }
    }
    check(&found, "begin with a noun phrase or a verb (STYLE.md)");
}

#[test]
fn agents_and_customers_are_they() {
    let mut found = Vec::new();
    for source in sources() {
        for (line, _, words) in source.comments() {
            let mut parts = words.split(|c: char| !c.is_alphanumeric() && c != '_');
            if parts.any(|part| PRONOUNS.contains(&part.to_lowercase().as_str())) {
                found.push(format!("{}:{line}: {words}", source.path));
            }
        }
    }
    check(&found, "nobody is 'he' (STYLE.md)");
}

#[test]
fn a_constant_says_what_it_bounds() {
    let mut found = Vec::new();
    for source in sources() {
        for (line, number) in source.text.lines().zip(1..) {
            let declared = line
                .trim_start_matches("pub(crate) ")
                .trim_start_matches("pub(super) ");
            let declared = declared.trim_start_matches("pub ");
            let name = declared
                .strip_prefix("const ")
                .and_then(|rest| rest.split(':').next());
            if name.is_some_and(|name| NAMELESS.contains(&name)) {
                found.push(format!("{}:{number}: {line}", source.path));
            }
        }
    }
    check(&found, "name what is bounded, and its unit (STYLE.md)");
}

#[test]
fn a_file_holds_one_noun() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.ships()) {
        let lines = source.text.lines().count();
        if lines > MAX_FILE_LINES {
            found.push(format!("{}: {lines} lines", source.path));
        }
    }
    check(&found, "split it by noun");
}

/// Rustfmt closes a function by a brace at the indentation at which it begins.
#[test]
fn a_long_function_has_a_reason() {
    let (mut found, mut named) = (Vec::new(), BTreeSet::new());
    for source in sources().iter().filter(|source| source.ships()) {
        let lines: Vec<_> = source.shipped_lines().collect();
        for (at, (number, line)) in lines.iter().enumerate() {
            let Some(name) = function_name(line) else {
                continue;
            };
            let indent = &line[..line.len() - line.trim_start().len()];
            let end = format!("{indent}}}");
            let length = lines[at..]
                .iter()
                .position(|(_, line)| *line == end)
                .map_or(1, |length| length + 1);
            if length <= MAX_FUNCTION_LINES {
                continue;
            }
            let place = format!("{}::{name}", source.path);
            if LONG_FUNCTIONS.iter().any(|(known, _)| *known == place) {
                named.insert(place);
            } else {
                found.push(format!(
                    "{}:{number}: {name} has {length} lines",
                    source.path
                ));
            }
        }
    }
    check(
        &found,
        "split it, or name it with its reason in LONG_FUNCTIONS",
    );
    assert_eq!(
        named.len(),
        LONG_FUNCTIONS.len(),
        "LONG_FUNCTIONS names a function that isn't long any more"
    );
}

/// The name of the function that begins on this line; `None` for a declaration without a body.
fn function_name(line: &str) -> Option<&str> {
    let code = line.trim_start();
    if code.starts_with("//") || code.ends_with(';') {
        return None;
    }
    let (before, after) = code.split_once("fn ")?;
    let words = [
        "pub",
        "pub(crate)",
        "pub(super)",
        "const",
        "async",
        "unsafe",
        "extern",
        "\"C\"",
    ];
    before
        .split_whitespace()
        .all(|word| words.contains(&word))
        .then_some(())?;
    after.split(['(', '<']).next()
}

#[test]
fn no_crate_includes_the_source_of_another() {
    let mut found = Vec::new();
    for source in sources() {
        for (line, number) in source.text.lines().zip(1..) {
            if line.trim_start().starts_with("#[path = \"") && line.contains("../") {
                found.push(format!("{}:{number}: {line}", source.path));
            }
        }
    }
    check(&found, "make it a crate, and depend on it");
}
