//! Equality of the C header and its mirror in Rust; the header is plain C99 and C++11. A C program
//! prints the header's numbers as gcc computes them, and the test compares them with those of
//! `raw`.

use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;

use etatuki_backend_api::raw;

/// A number of the interface: its expression in C, and its value in Rust.
struct Fact {
    c: String,
    rust: i64,
}

macro_rules! layout {
    ($facts:ident, $c:literal, $rust:ty, $($field:ident),+) => {
        $facts.push(Fact { c: format!("sizeof({})", $c), rust: size_of::<$rust>() as i64 });
        $(
            let c = format!("offsetof({}, {})", $c, stringify!($field));
            $facts.push(Fact { c, rust: offset_of!($rust, $field) as i64 });
        )+
        assert!([$(offset_of!($rust, $field)),+].is_sorted(), "the mirror of {} has another order", $c);
    };
}

macro_rules! numbers {
    ($facts:ident, $($name:ident),+) => {
        $($facts.push(Fact { c: format!("ETATUKI_{}", stringify!($name)), rust: raw::$name as i64 });)+
    };
}

fn facts() -> Vec<Fact> {
    let mut facts = Vec::new();
    layout!(facts, "etatuki_text", raw::Text, data, capacity, length);
    layout!(
        facts,
        "etatuki_backend_host",
        raw::Host,
        struct_size,
        reserved,
        host_data,
        changed,
        log,
        options,
        language,
        extension
    );
    layout!(
        facts,
        "etatuki_backend",
        raw::Instance,
        struct_size,
        reserved,
        plugin_data,
        probe,
        open,
        close,
        state,
        session_code,
        last_error,
        attach,
        permissions,
        extension,
        destroy
    );
    layout!(
        facts,
        "etatuki_backend_descriptor",
        raw::Descriptor,
        struct_size,
        reserved,
        capabilities,
        id,
        name,
        vendor,
        version,
        code_form,
        create
    );
    layout!(
        facts,
        "etatuki_scope",
        raw::Scope,
        struct_size,
        reserved,
        limit
    );
    numbers!(
        facts,
        OK,
        E_CALLER,
        E_NULL,
        E_STATE,
        E_BUFFER,
        E_ARGUMENT,
        E_PLUGIN,
        E_INTERNAL,
        E_RESOURCES,
        E_TOOL
    );
    numbers!(
        facts,
        E_UNUSABLE,
        STATE_CLOSED,
        STATE_OPENING,
        STATE_WAITING,
        STATE_ATTACHED,
        STATE_CLOSING
    );
    numbers!(
        facts,
        STATE_FAILED,
        CAP_INPUT,
        CAP_CLIPBOARD,
        CAP_RESIZE,
        CAP_OWN_CODE,
        CAP_OWN_TRANSPORT
    );
    numbers!(
        facts,
        CAP_NETWORK,
        BACKEND_HOST_SIZE_1,
        PERMISSION_VIEW,
        PERMISSION_CONTROL,
        LOG_ERROR,
        LOG_WARN,
        LOG_INFO,
        LOG_DEBUG
    );
    facts
}

#[test]
fn header_and_mirror_agree_in_size_offset_and_number() {
    let facts = facts();
    let folder = tempfile::tempdir().expect("a folder");
    let lines: String = facts
        .iter()
        .map(|fact| format!("    printf(\"%lld\\n\", (long long)({}));\n", fact.c))
        .collect();
    let program = format!(
        "#include <stddef.h>\n#include <stdio.h>\n#include \"etatuki_backend.h\"\nint main(void) {{\n{lines}    return 0;\n}}\n"
    );
    let binary = compile(folder.path(), "gcc", "c", "c99", &program, &[]);
    let printed = Command::new(binary).output().expect("runs").stdout;
    let printed = String::from_utf8(printed).expect("digits");
    let found: Vec<i64> = printed
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    assert_eq!(found.len(), facts.len());
    for (fact, found) in facts.iter().zip(found) {
        assert_eq!(fact.rust, found, "{}", fact.c);
    }
}

#[test]
fn every_number_of_the_header_is_in_the_mirror() {
    let known: Vec<String> = facts().into_iter().map(|fact| fact.c).collect();
    let header = std::fs::read_to_string(include().join("etatuki_backend.h")).expect("the header");
    let numbers = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define ETATUKI_"))
        .map(|rest| rest.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.len() > 1 && words[0] != "EXPORT");
    let mut count = 0;
    for words in numbers {
        assert!(
            known.contains(&format!("ETATUKI_{}", words[0])),
            "{} is missing in raw.rs",
            words[0]
        );
        count += 1;
    }
    assert!(count > 20, "the header wasn't read");
}

#[test]
fn the_header_is_plain_c_and_cpp() {
    let folder = tempfile::tempdir().expect("a folder");
    let alone = "#include \"etatuki_backend.h\"\nint main(void) { return 0; }\n";
    for (compiler, language, standard) in [
        ("gcc", "c", "c99"),
        ("gcc", "c", "c17"),
        ("g++", "c++", "c++11"),
        ("g++", "c++", "c++20"),
    ] {
        compile(
            folder.path(),
            compiler,
            language,
            standard,
            alone,
            &["-Wconversion", "-Wshadow"],
        );
    }
}

#[test]
fn the_symbol_carries_the_major() {
    assert_eq!(
        raw::SYMBOL.to_str().expect("ASCII"),
        format!("etatuki_backend_v{}", raw::MAJOR)
    );
}

fn compile(
    folder: &Path,
    compiler: &str,
    language: &str,
    standard: &str,
    program: &str,
    more: &[&str],
) -> PathBuf {
    let source = folder.join("program.c");
    let binary = folder.join("program");
    std::fs::write(&source, program).expect("written");
    let done = Command::new(compiler)
        .args([
            "-x",
            language,
            &format!("-std={standard}"),
            "-Wall",
            "-Wextra",
            "-pedantic",
            "-Werror",
        ])
        .args(more)
        .arg("-I")
        .arg(include())
        .arg("-o")
        .args([&binary, &source])
        .output()
        .unwrap_or_else(|error| panic!("{compiler} is needed: {error}"));
    assert!(
        done.status.success(),
        "{compiler} -std={standard}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    binary
}

fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include")
}
