//! The test bed of every journey: a deployment, a display, and helpers that look at processes and
//! ports.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use etatuki_deployment::deployment::Deployment;
use etatuki_deployment::display::{Display, WindowManager};
use etatuki_testkit::Hand;

/// Time-out for every step of a journey. Nothing waits for this long when all is well.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// The name of the agent.
pub(crate) const AGENT_NAME: &str = "Maija Virtanen";
/// The agent's organisation.
pub(crate) const ORGANISATION: &str = "Ecomin asiakastuki";

/// A deployment and a display that no other test uses.
pub(crate) struct Testbed {
    pub(crate) deployment: Deployment,
    pub(crate) display: Display,
}

impl Testbed {
    /// Starts one without a window manager.
    pub(crate) fn new() -> Self {
        Self::start(WindowManager::None)
    }

    /// Starts one with a window manager, for tests of windows.
    pub(crate) fn with_window_manager() -> Self {
        Self::start(WindowManager::Openbox)
    }

    /// Starts one with a window manager and a customer's hand, for tests of what only a hand may do.
    pub(crate) fn with_hand() -> (Self, Hand) {
        let display = Display::start_with_hand(1024, 768, WindowManager::Openbox).unwrap();
        let hand = Hand::connect(&display.hand_socket().unwrap());
        (Self::on(display), hand)
    }

    fn start(manager: WindowManager) -> Self {
        Self::on(Display::start(1024, 768, manager).unwrap())
    }

    fn on(display: Display) -> Self {
        Self {
            display,
            deployment: Deployment::start(&programs_folder(), AGENT_NAME, ORGANISATION).unwrap(),
        }
    }
}

/// Returns the folder with the programs and plugins that cargo built.
pub(crate) fn programs_folder() -> PathBuf {
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

/// Returns the path of a screenshot in `target/e2e/`.
pub(crate) fn screenshot_path(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("e2e");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// Waits until `poll` returns something, and returns that. Fails with `what` after the time limit.
pub(crate) fn wait_until<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + TIMEOUT;
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(Instant::now() < end, "still waiting for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Returns the process and all its descendants, by /proc.
pub(crate) fn process_tree(root: u32) -> BTreeSet<u32> {
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

/// Returns the `stat` lines of those processes that still run; a zombie doesn't.
pub(crate) fn running(pids: &BTreeSet<u32>) -> Vec<String> {
    let line = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let state = stat.rsplit(") ").next()?.chars().next()?;
        (state != 'Z').then_some(stat)
    };
    pids.iter().filter_map(line).collect()
}

/// Fails unless all these processes are gone within the time limit.
pub(crate) fn expect_all_gone(pids: &BTreeSet<u32>) {
    wait_until("every process of the session to be gone", || {
        running(pids).is_empty().then_some(())
    });
}

/// Returns the TCP ports on which any of these processes listens, by /proc.
pub(crate) fn listening_ports(pids: &BTreeSet<u32>) -> Vec<String> {
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
