//! Generates `docs/plugin-reference.md` from the header, so that the two can't disagree. After a
//! change of the header, run `UPDATE=1 cargo test -p etatuki-backend-api --test reference`.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_reference_is_the_headers() {
    let header =
        std::fs::read_to_string(repository().join("crates/backend-api/include/etatuki_backend.h"));
    let page = reference(&header.unwrap());
    let file = repository().join("docs/plugin-reference.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let existing = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        existing == page,
        "docs/plugin-reference.md is old: run this test with UPDATE=1"
    );
}

/// Returns the header as a page: its sections, and each declaration with the comment above it.
fn reference(header: &str) -> String {
    let mut page = String::from(
        "# The plugin interface, item by item\n\n\
         Made from [`etatuki_backend.h`](../crates/backend-api/include/etatuki_backend.h), which is the contract; \
         [plugins.md](plugins.md) is the way in.\n",
    );
    let mut comment: Vec<String> = Vec::new();
    let mut inside = false;
    let mut code = String::new();
    for line in header.lines() {
        let line = line.trim_end();
        if let Some(section) = section(line) {
            write_code(&mut page, &mut code);
            comment.clear();
            let _ = write!(page, "\n## {}\n", capitalize(section));
        } else if line.trim_start().starts_with("/*") && !line.contains("*/") {
            write_code(&mut page, &mut code);
            inside = true;
            comment.clear();
            comment.push(strip_markers(line));
        } else if inside {
            comment.push(strip_markers(line));
            inside = !line.contains("*/");
        } else if is_comment(line) {
            write_code(&mut page, &mut code);
            comment = vec![strip_markers(line)];
        } else if line.trim().is_empty() || is_scaffold(line) {
            write_code(&mut page, &mut code);
            write_comment(&mut page, &mut comment);
        } else {
            write_comment(&mut page, &mut comment);
            let _ = writeln!(code, "{line}");
        }
    }
    write_code(&mut page, &mut code);
    page
}

/// Returns the title of a section line such as `/* ---- status codes ------- */`.
fn section(line: &str) -> Option<&str> {
    let line = line.strip_prefix("/* ---- ")?;
    Some(
        line.trim_end_matches("*/")
            .trim()
            .trim_end_matches('-')
            .trim(),
    )
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("/*")
}

/// Returns whether a line is for the compiler alone.
fn is_scaffold(line: &str) -> bool {
    let scaffold = [
        "#if",
        "#else",
        "#elif",
        "#endif",
        "#include",
        "extern \"C\"",
        "}",
    ];
    line == "#define ETATUKI_BACKEND_H"
        || line.starts_with("#define ETATUKI_EXPORT")
        || scaffold.iter().any(|start| line.starts_with(start)) && !line.contains("etatuki_")
}

fn strip_markers(line: &str) -> String {
    let line = line.trim().trim_start_matches("/*").trim_end_matches("*/");
    line.trim_start_matches('*')
        .strip_prefix(' ')
        .unwrap_or(line.trim_start_matches('*'))
        .trim_end()
        .to_owned()
}

fn write_comment(page: &mut String, comment: &mut Vec<String>) {
    if comment.is_empty() {
        return;
    }
    // Drawings and tables of the header keep their lines.
    let is_drawing = |line: &String| line.starts_with("  ");
    page.push('\n');
    let mut in_drawing = false;
    for line in comment.drain(..) {
        if is_drawing(&line) != in_drawing && !line.is_empty() {
            in_drawing = !in_drawing;
            page.push_str("```\n");
        }
        let _ = writeln!(page, "{line}");
    }
    if in_drawing {
        page.push_str("```\n");
    }
}

fn write_code(page: &mut String, code: &mut String) {
    if !code.trim().is_empty() {
        let _ = write!(page, "\n```c\n{code}```\n");
    }
    code.clear();
}

fn capitalize(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
