//! Test support: builds plugins into a folder, starts hosts on them, and examines processes.

#![allow(dead_code, clippy::unwrap_used)] // each test binary uses its part

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use etatuki_plugin_host::{HostError, HostEvent, HostEvents, Origin, PluginHost, PluginSpec};
use serde_json::Value;
use tokio::time::timeout;

/// Time-out of everything that works.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// The child's executable.
pub(crate) fn exe() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_etatuki-plugin-host"))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// A temporary plugin folder.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        Folder(folder)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    /// Returns a spec of a library in this folder, which needn't exist.
    pub(crate) fn spec(&self, id: &str, file: &str) -> PluginSpec {
        PluginSpec {
            id: id.to_owned(),
            path: self.path().join(file),
            version: semver::VersionReq::STAR,
            sha256: None,
            minisign: None,
            folder: self.path(),
            options: Value::Null,
            external_transport: false,
            code_form: None,
            network: false,
            language: "fi".to_owned(),
            origin: Origin::default(),
        }
    }

    /// Builds a plugin of `tests/plugins`.
    pub(crate) fn misbehaving(&self, name: &str) -> PluginSpec {
        self.build(&repository().join(format!("tests/plugins/{name}.c")), name)
    }

    /// Builds the example in plain C.
    pub(crate) fn testcard_in_c(&self) -> PluginSpec {
        let source = repository().join("crates/backend-api/examples/c");
        for file in ["testcard.c", "Makefile"] {
            std::fs::copy(source.join(file), self.path().join(file)).unwrap();
        }
        let header = repository().join("crates/backend-api/include");
        let made = Command::new("make")
            .arg("-C")
            .arg(self.path())
            .arg(format!("INCLUDE={}", header.display()))
            .output()
            .expect("make is needed");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        set_trusted_mode(self.spec("testcard", "libtestcard.so"))
    }

    /// Copies the example in Rust, which cargo built.
    pub(crate) fn testcard_in_rust(&self) -> PluginSpec {
        set_trusted_mode(self.copy_built("testcard"))
    }

    /// Copies the SDK plugin that echoes its stream and obeys its options, which cargo built.
    pub(crate) fn echo(&self, options: Value) -> PluginSpec {
        set_trusted_mode(PluginSpec {
            options,
            ..self.copy_built("echo")
        })
    }

    /// Copies an example of this crate.
    fn copy_built(&self, id: &str) -> PluginSpec {
        let built = exe().with_file_name(format!("examples/lib{id}.so"));
        assert!(
            built.exists(),
            "build it first: cargo build -p etatuki-plugin-host --examples"
        );
        let spec = self.spec(id, &format!("{id}.so"));
        std::fs::copy(built, &spec.path).unwrap();
        spec
    }

    fn build(&self, source: &Path, id: &str) -> PluginSpec {
        let spec = self.spec(id, &format!("{id}.so"));
        let made = Command::new("gcc")
            .args([
                "-std=c11",
                "-Wall",
                "-fPIC",
                "-shared",
                "-pthread",
                "-Wno-unused-function",
                "-I",
            ])
            .arg(repository().join("crates/backend-api/include"))
            .arg("-o")
            .args([&spec.path, source])
            .output()
            .expect("gcc is needed");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        set_trusted_mode(spec)
    }
}

/// Sets the mode, whatever the umask: nobody else may write a plugin that is to be loaded.
fn set_trusted_mode(spec: PluginSpec) -> PluginSpec {
    std::fs::set_permissions(&spec.path, std::fs::Permissions::from_mode(0o755)).unwrap();
    spec
}

pub(crate) async fn start(spec: &PluginSpec) -> Result<(PluginHost, HostEvents), HostError> {
    timeout(TIMEOUT, PluginHost::start(exe(), spec))
        .await
        .expect("a start has a limit")
}

pub(crate) async fn start_well(spec: &PluginSpec) -> (PluginHost, HostEvents) {
    start(spec)
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", spec.id))
}

/// Returns the first value that `pick` gives for an event; `None` at the end.
pub(crate) async fn find<T>(
    events: &mut HostEvents,
    mut pick: impl FnMut(HostEvent) -> Option<T>,
) -> Option<T> {
    let search = async {
        while let Some(event) = events.recv().await {
            if let Some(found) = pick(event) {
                return Some(found);
            }
        }
        None
    };
    timeout(TIMEOUT, search)
        .await
        .expect("an event before long")
}

/// Waits for a state; returns its code and failure.
pub(crate) async fn wait_for(
    events: &mut HostEvents,
    wanted: &str,
) -> (Option<String>, Option<String>) {
    let found = find(events, |event| match event {
        HostEvent::Changed {
            state,
            code,
            failure,
        } if state.as_str() == wanted => Some((
            code.map(|code| code.to_string()),
            failure.map(|failure| failure.to_string()),
        )),
        _ => None,
    });
    found
        .await
        .unwrap_or_else(|| panic!("the events ended before {wanted}"))
}

/// Waits for the end; returns how the child died, and the log until then.
pub(crate) async fn wait_for_death(events: &mut HostEvents) -> (String, Vec<String>) {
    let mut log = Vec::new();
    let died = find(events, |event| match event {
        HostEvent::Died { description } => Some(description),
        HostEvent::Log { text, .. } => {
            log.push(text);
            None
        }
        HostEvent::Changed { .. } => None,
    });
    let died = died.await.expect("an event that says it died");
    assert_eq!(events.recv().await, None, "something came after the death");
    (died, log)
}

/// Returns the plugin host's process id: the supervisor's first child.
pub(crate) fn child_pid(host: &PluginHost) -> u32 {
    children_of(host.pid())[0]
}

/// Returns the children of a process, of all of its threads.
pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter();
    let lists = tasks
        .flatten()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .map(|pid| pid.parse().unwrap())
                .collect::<Vec<u32>>()
        })
        .collect()
}

/// Returns the living processes of a group.
pub(crate) fn group_members(group: u32) -> Vec<u32> {
    let numbers = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may have anything in it. After it: state, parent, group.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        (fields[0] != "Z" && fields[0] != "X" && fields[2] == group.to_string()).then_some(pid)
    });
    numbers.collect()
}

/// Waits until no process of the group is left.
pub(crate) fn assert_gone(group: u32) {
    eventually(&format!("the group {group} is gone"), || {
        group_members(group).is_empty()
    });
}

pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < TIMEOUT, "not before long: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns whether a process lives whose command line begins with this name.
pub(crate) fn runs(name: &str) -> bool {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.any(|line| line.starts_with(name.as_bytes()))
}

/// Returns the marker in the environment of everything that a host started.
pub(crate) fn marker_of(host: &PluginHost) -> Vec<u8> {
    let environment = std::fs::read(format!("/proc/{}/environ", child_pid(host))).unwrap();
    let mut lines = environment.split(|byte| *byte == 0);
    let marker = lines.find(|line| line.starts_with(b"ETATUKI_PLUGIN_HOST="));
    marker.unwrap().to_vec()
}

/// Returns the number of living processes that carry this marker, but for the supervisor, whose
/// environment only root can read.
pub(crate) fn marked_processes(marker: &[u8]) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let is_supervisor = |folder: &Path| {
        let name = std::fs::read_to_string(folder.join("comm")).unwrap_or_default();
        name.trim() == "etatuki-superv"
    };
    let others = entries
        .map(|entry| entry.path())
        .filter(|folder| !is_supervisor(folder));
    let environments = others.filter_map(|folder| std::fs::read(folder.join("environ")).ok());
    environments
        .filter(|found| found.split(|byte| *byte == 0).any(|line| line == marker))
        .count()
}
