//! What every journey stands on: a stage, a display, and a look at what is left afterwards.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use etatuki_demo::display::Display;
use etatuki_demo::stage::Stage;

/// How long anything may take before a journey fails. Nothing waits for this long when all is well.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The agent of the tests.
pub(crate) const AGENT: &str = "Maija Virtanen";
/// The agent's organisation.
pub(crate) const ORGANISATION: &str = "Ecomin asiakastuki";

/// A stage and a display.
pub(crate) struct World {
    pub(crate) stage: Stage,
    pub(crate) display: Display,
}

impl World {
    /// Sets it up; nobody else uses any of it.
    pub(crate) fn new() -> Self {
        Self::on(Display::start(1024, 768, false).unwrap())
    }

    /// With a window manager, for tests of windows.
    pub(crate) fn managed() -> Self {
        Self::on(Display::start(1024, 768, true).unwrap())
    }

    fn on(display: Display) -> Self {
        Self {
            stage: Stage::set_up(&bin(), AGENT, ORGANISATION).unwrap(),
            display,
        }
    }
}

/// The folder with the programs and plugins that cargo built.
pub(crate) fn bin() -> PathBuf {
    let launcher = Path::new(env!("CARGO_BIN_EXE_etatuki"));
    let bin = launcher.parent().unwrap().to_owned();
    for needed in [
        "etatuki-service",
        "etatuki-console",
        "etatuki-vendor",
        "libetatuki_ecom.so",
    ] {
        assert!(
            bin.join(needed).exists(),
            "{needed} is not built: run `cargo build --workspace` first"
        );
    }
    bin
}

/// Where a screenshot of that name is kept: `target/e2e/`.
pub(crate) fn artefact(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("e2e");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// Waits until `done` gives something, and fails with `what` after the limit.
pub(crate) fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < end, "still waiting for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The process and all that descend from it, by /proc.
pub(crate) fn family(root: u32) -> BTreeSet<u32> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        if let Some(parent) = parent_of(pid) {
            parents.push((pid, parent));
        }
    }
    let mut found = BTreeSet::from([root]);
    loop {
        let more: Vec<_> = parents
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()
}

/// Which of these processes still run (a zombie doesn't).
pub(crate) fn running(pids: &BTreeSet<u32>) -> Vec<String> {
    let line = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let state = stat.rsplit(") ").next()?.chars().next()?;
        (state != 'Z').then_some(stat)
    };
    pids.iter().filter_map(line).collect()
}

/// Fails unless all of them are gone within the limit.
pub(crate) fn all_gone(pids: &BTreeSet<u32>) {
    until("every process of the session to be gone", || {
        running(pids).is_empty().then_some(())
    });
}

/// TCP ports on which any of these processes listens, by /proc.
pub(crate) fn listening(pids: &BTreeSet<u32>) -> Vec<String> {
    let mut inodes = BTreeSet::new();
    for pid in pids {
        for link in std::fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten()
        {
            if let Ok(target) = std::fs::read_link(link.path())
                && let Some(inode) = target.to_string_lossy().strip_prefix("socket:[")
            {
                inodes.insert(inode.trim_end_matches(']').to_owned());
            }
        }
    }
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in std::fs::read_to_string(table)
            .unwrap_or_default()
            .lines()
            .skip(1)
        {
            let fields: Vec<_> = line.split_whitespace().collect();
            if fields[3] == "0A" && inodes.contains(fields[9]) {
                found.push(fields[1].to_owned());
            }
        }
    }
    found
}
