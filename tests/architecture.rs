//! Checks of the map's invariants (ARCHITECTURE.md, 'Who may know whom'): a forbidden edge fails by
//! name.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The dependencies that each crate may have on our others, dev-dependencies aside. A crate that
/// isn't in here isn't on the map.
const ALLOWED_EDGES: &[(&str, &[&str])] = &[
    ("rfb", &[]),
    ("picture", &["rfb"]),
    ("protocol", &[]),
    ("viewer", &["rfb"]),
    ("testkit", &["picture", "rfb"]),
    ("texts", &[]),
    ("trust", &[]),
    ("backend-api", &[]),
    ("screen", &[]),
    ("legacy-tool", &["backend-api"]),
    ("ecom", &["backend-api", "rfb", "screen"]),
    ("own-tool", &["backend-api", "legacy-tool"]),
    ("tool", &["backend-api", "legacy-tool", "rfb", "screen"]),
    ("plugin-host", &["backend-api", "rfb"]),
    ("network", &[]),
    ("link", &["network", "protocol", "trust"]),
    ("session-core", &["picture", "protocol", "rfb", "trust"]),
    (
        "session",
        &[
            "link",
            "network",
            "picture",
            "plugin-host",
            "protocol",
            "session-core",
            "trust",
        ],
    ),
    ("restart", &["trust"]),
    ("service", &["trust"]),
    (
        "console",
        &[
            "link", "network", "protocol", "rfb", "texts", "trust", "viewer",
        ],
    ),
    ("vendor", &["trust"]),
    ("deployment", &[]),
    ("chaos", &["deployment", "rfb", "testkit"]),
    ("demo", &["deployment", "texts"]),
    ("cli-docs", &["console", "service", "vendor"]),
    (
        "etatuki",
        &[
            "plugin-host",
            "restart",
            "screen",
            "session",
            "session-core",
            "texts",
            "trust",
        ],
    ),
];

/// The pure crates (bytes and time in, bytes and actions out), and everything that each may depend
/// on: parsers, codecs and derives, nothing that does I/O. An allowed edge to another pure crate is
/// in [`ALLOWED_EDGES`].
const PURE: &[(&str, &[&str])] = &[
    ("rfb", &["des", "flate2", "subtle", "thiserror", "zeroize"]),
    ("picture", &["thiserror", "turbojpeg"]),
    ("protocol", &["serde", "serde_json", "thiserror", "zstd"]),
    (
        "session-core",
        &["serde", "serde_json", "thiserror", "zeroize"],
    ),
    ("viewer", &["thiserror", "zune-jpeg"]),
    ("texts", &["clap", "serde", "toml"]),
    (
        "trust",
        &[
            "base64",
            "ed25519-dalek",
            "serde",
            "serde_json",
            "sha2",
            "thiserror",
            "toml",
            "url",
            "zeroize",
        ],
    ),
];
/// Words that no pure source may contain.
const FORBIDDEN_IN_PURE: &[&str] = &[
    "std::net",
    "std::fs",
    "std::thread",
    "std::process",
    "Instant::now",
    "SystemTime::now",
    "getrandom",
    "tokio::",
    "rand::",
];
/// The only crates with `unsafe`.
const UNSAFE: &[&str] = &["backend-api", "plugin-host", "screen"];
/// The crates that load foreign code or are loaded: none may link a crate that holds keys.
const KEYLESS: &[&str] = &[
    "backend-api",
    "plugin-host",
    "screen",
    "legacy-tool",
    "ecom",
    "own-tool",
    "tool",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A package of the workspace.
struct Package {
    folder: PathBuf,
    /// Short names of our own crates that it depends on, dev-dependencies aside.
    own_dependencies: BTreeSet<String>,
    /// Names of all crates that it depends on, dev-dependencies aside.
    dependencies: BTreeSet<String>,
}

/// Returns the packages of the workspace by their short names.
fn packages() -> BTreeMap<String, Package> {
    let out = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&out.stdout).unwrap();
    let short = |name: &Value| {
        name.as_str()
            .unwrap()
            .trim_start_matches("etatuki-")
            .to_owned()
    };
    let package = |package: &Value| {
        let folder = Path::new(package["manifest_path"].as_str().unwrap())
            .parent()
            .unwrap()
            .to_owned();
        let normal = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|d| d["kind"].as_str() != Some("dev"));
        let dependencies: BTreeSet<_> = normal
            .map(|d| d["name"].as_str().unwrap().to_owned())
            .collect();
        let own_dependencies = dependencies
            .iter()
            .filter_map(|name| name.strip_prefix("etatuki-"))
            .map(str::to_owned)
            .collect();
        let made = Package {
            folder,
            own_dependencies,
            dependencies,
        };
        (short(&package["name"]), made)
    };
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(package)
        .collect()
}

/// Appends the Rust sources below `folder` to `found`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn only_the_edges_on_the_map() {
    let packages = packages();
    let mapped: BTreeSet<_> = ALLOWED_EDGES
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(
        packages.keys().cloned().collect::<BTreeSet<_>>(),
        mapped,
        "the workspace and the map name different crates"
    );
    for (name, allowed) in ALLOWED_EDGES {
        for dependency in &packages[*name].own_dependencies {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} may not depend on {dependency}: see ARCHITECTURE.md"
            );
        }
    }
}

#[test]
fn pure_crates_depend_on_nothing_that_does_io() {
    let packages = packages();
    for (name, allowed) in PURE {
        let package = &packages[*name];
        for dependency in &package.own_dependencies {
            assert!(
                PURE.iter().any(|(pure, _)| pure == dependency),
                "{name} is pure, and {dependency} is not"
            );
        }
        let foreign = package.dependencies.iter();
        for dependency in foreign.filter(|name| !name.starts_with("etatuki-")) {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} is pure and may not depend on {dependency}"
            );
        }
    }
}

#[test]
fn pure_sources_do_no_io() {
    let packages = packages();
    let mut files = Vec::new();
    for (name, _) in PURE {
        sources(&packages[*name].folder.join("src"), &mut files);
    }
    files.retain(|file| !file.ends_with("tests.rs"));
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        // Tests may do I/O.
        let text = text.split("#[cfg(test)]").next().unwrap();
        for line in text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            for word in FORBIDDEN_IN_PURE {
                assert!(
                    !line.contains(word),
                    "{}: '{word}' in a pure source: {}",
                    file.display(),
                    line.trim()
                );
            }
        }
    }
}

/// Windows know views of a session, not the network: `app.rs` alone starts sessions.
#[test]
fn windows_know_views_of_a_session_alone() {
    let mut files = Vec::new();
    sources(&root().join("src/window"), &mut files);
    files.retain(|file| !file.ends_with("window/app.rs"));
    assert!(files.len() > 5);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            !text.contains("etatuki_session::"),
            "{}: a window may know etatuki-session-core alone",
            file.display()
        );
    }
}

#[test]
fn unsafe_code_is_forbidden_outside_three_crates() {
    for (name, package) in packages() {
        let manifest = std::fs::read_to_string(package.folder.join("Cargo.toml")).unwrap();
        let inherits = manifest.contains("[lints]\nworkspace = true");
        assert_eq!(
            inherits,
            !UNSAFE.contains(&name.as_str()),
            "{name}: lints, and with them `unsafe_code = \"forbid\"`"
        );
    }
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("unsafe_code = \"forbid\""));
}

#[test]
fn what_loads_or_is_loaded_holds_no_keys() {
    let packages = packages();
    for name in KEYLESS {
        for banned in [
            "etatuki-trust",
            "etatuki-link",
            "iroh",
            "spake2",
            "ed25519-dalek",
            "reqwest",
        ] {
            assert!(
                !packages[*name].dependencies.contains(banned),
                "{name} may not link {banned}"
            );
        }
    }
}

#[test]
fn every_crate_has_a_line_on_the_map() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for (name, package) in packages() {
        let folder = package
            .folder
            .strip_prefix(root())
            .unwrap()
            .display()
            .to_string();
        let wanted = if folder.is_empty() {
            "`src/`".to_owned()
        } else {
            format!("`{folder}`")
        };
        assert!(
            map.contains(&wanted),
            "ARCHITECTURE.md does not name {wanted} ({name})"
        );
    }
}

/// Without its test a claim of the threat model is a wish.
#[test]
fn every_claim_of_the_threat_model_has_its_test() {
    let page = std::fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let named: Vec<_> = page
        .split('`')
        .filter_map(|part| part.split_once(".rs::"))
        .collect();
    assert!(named.len() > 30, "the page names {} tests", named.len());
    for (file, test) in named {
        let file = format!("{file}.rs");
        let source = std::fs::read_to_string(root().join(&file)).expect(&file);
        assert!(
            source.contains(&format!("fn {test}(")),
            "{file} has no test {test}"
        );
    }
}
