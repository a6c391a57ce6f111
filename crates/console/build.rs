//! Builds the page from `web/` with `npm ci` and `npm run build` when its sources are newer than
//! `web/dist`.

#![allow(
    clippy::print_stdout,
    reason = "a build script speaks to cargo on standard output"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

const SOURCES: [&str; 5] = [
    "src",
    "build.mjs",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
];
/// The file that the build writes last: its modification time is that of a complete `dist/`.
const LAST_BUILT: &str = "dist/index.html";
/// The file that npm writes last when it installs packages.
const LAST_INSTALLED: &str = "node_modules/.package-lock.json";

fn main() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", web.join(source).display());
    }
    println!("cargo::rerun-if-changed={}", web.join(LAST_BUILT).display());
    let newest = newest(SOURCES.map(|source| web.join(source)));
    if is_older(&web.join(LAST_BUILT), newest) {
        build(&web);
        // Dated like its sources: a newer file would make cargo run this script again.
        let last = fs::File::options()
            .write(true)
            .open(web.join(LAST_BUILT))
            .expect("the build has just written it");
        last.set_modified(newest.expect("there are sources"))
            .expect("a file's time can be set");
    }
}

fn build(web: &Path) {
    if is_older(
        &web.join(LAST_INSTALLED),
        modified(&web.join("package-lock.json")),
    ) {
        // No package needs its install scripts.
        npm(web, &["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    }
    npm(web, &["run", "--silent", "build"]);
}

/// Runs npm in `web`.
///
/// # Panics
/// npm is missing or fails; a build script reports errors by a panic.
fn npm(web: &Path, arguments: &[&str]) {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(program)
        .args(arguments)
        .current_dir(web)
        .output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let messages = [output.stdout, output.stderr].concat();
            panic!(
                "npm {} failed in {}:\n{}",
                arguments.join(" "),
                web.display(),
                String::from_utf8_lossy(&messages)
            );
        }
        Err(error) => panic!(
            "the console's page can't be made, for npm doesn't start ({error}): install Node.js 18 or newer \
             with npm (on Debian: apt-get install nodejs npm)"
        ),
    }
}

fn is_older(file: &Path, than: Option<SystemTime>) -> bool {
    match (modified(file), than) {
        (Some(file), Some(than)) => file < than,
        (None, _) => true,
        (Some(_), None) => false,
    }
}

/// Returns the latest modification time of all files under `paths`.
fn newest(paths: impl IntoIterator<Item = PathBuf>) -> Option<SystemTime> {
    paths
        .into_iter()
        .filter_map(|path| {
            if path.is_dir() {
                newest(children(&path))
            } else {
                modified(&path)
            }
        })
        .max()
}

fn children(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map_or_else(
        |_| Vec::new(),
        |entries| entries.flatten().map(|entry| entry.path()).collect(),
    )
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
}
