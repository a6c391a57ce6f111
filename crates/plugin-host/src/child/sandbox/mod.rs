//! Sandbox of this process and of every tool that it starts. It is entered before the library is
//! loaded, and can't be left. There must be one thread only: later threads inherit these
//! restrictions, earlier ones don't.
//!
//! - No new privileges, so that no set-uid program can help.
//! - Resource limits: address space, open files, size of a file.
//! - Landlock (`filesystem`): the system's files can be read and run, the user's files can't be
//!   read, nothing but devices can be written, and no process outside can be signalled or inspected
//!   (the launcher holds the keys).
//! - seccomp (`system_calls`): a list of allowed system calls; no network unless the registry
//!   allows it; no call on another process; no change of a file's mode, owner, labels or times.
//! - seccomp's user notification (`supervised_calls`): the supervisor carries out or allows the
//!   calls that a filter can't judge, such as a connection to a Unix socket.
//!
//! A kernel that lacks one of them doesn't stop a session, but the log says so in one line. The
//! kernels of Debian 12 and 13 have all that is needed for what `docs/threat-model.md` claims.

mod filesystem;
mod supervised_calls;
mod system_calls;

use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::plugin_spec::PluginSpec;
use crate::supervisor::{DisplayAddress, Guard, PRIVATE_FOLDER};

/// A plugin's rights besides the system's files.
#[derive(Clone, Copy)]
pub(crate) struct SandboxConfig<'a> {
    /// The library's folder, absolute: can be read.
    pub(crate) folder: &'a Path,
    /// The backend's options: the folders of the programs that they name can be read.
    pub(crate) options: &'a serde_json::Value,
    /// Whether the plugin may use the network.
    pub(crate) network: bool,
}

impl<'a> From<&'a PluginSpec> for SandboxConfig<'a> {
    fn from(spec: &'a PluginSpec) -> Self {
        Self {
            folder: &spec.folder,
            options: &spec.options,
            network: spec.network,
        }
    }
}

/// Bytes of address space. Threads reserve some 70 MB each and use little of it; the picture of two
/// 4K screens has 66 MB.
const MAX_ADDRESS_SPACE: u64 = 3 << 30;
/// Open files of a process. Half of what most programs may have (1024): the descriptors under way in
/// sockets count for all programs of the user, and each compares them with its own limit (unix(7)).
pub(crate) const MAX_OPEN_FILES: usize = 512;
/// Signals and timers that wait, which the kernel counts for all programs of the user.
const MAX_PENDING_SIGNALS: u64 = 1024;
/// Score of the processes that the system ends first when it runs out of memory
/// (proc_pid_oom_score_adj(5)): rather a tool than the customer's program.
const FIRST_OUT_OF_MEMORY: &str = "1000";
/// Size of a file that the plugin writes, in bytes. Landlock leaves no place for one but /dev; a
/// kernel without Landlock does.
pub(crate) const MAX_FILE_SIZE: u64 = 64 << 20;

/// Enters the sandbox. Returns the restrictions that couldn't be enforced, in words for the log.
pub(crate) fn enter(config: SandboxConfig<'_>) -> Vec<String> {
    let mut unenforced = Vec::new();
    let mut report = |what: &str, result: Result<(), String>| {
        unenforced.extend(result.err().map(|error| format!("{what}: {error}")));
    };
    // First, while its descriptor can't be anything else.
    let guard = Guard::claim();
    let result = rustix::thread::set_no_new_privs(true).map_err(|error| error.to_string());
    report("new privileges are possible", result);
    lower_limit(Resource::As, MAX_ADDRESS_SPACE);
    lower_limit(Resource::Nofile, MAX_OPEN_FILES as u64);
    lower_limit(Resource::Sigpending, MAX_PENDING_SIGNALS);
    // Some desktops let their user have a processor to themselves (limits.conf(5)).
    lower_limit(Resource::Rtprio, 0);
    lower_limit(Resource::Nice, 0);
    // A kernel without it ends whom it finds.
    let _ = std::fs::write("/proc/self/oom_score_adj", FIRST_OUT_OF_MEMORY);
    lower_limit(Resource::Fsize, MAX_FILE_SIZE);
    // By its supervisor alone: others may have set the variable too.
    let private = guard
        .as_ref()
        .and_then(|_| std::env::var_os(PRIVATE_FOLDER));
    let private = private.map(PathBuf::from);
    let files = filesystem::restrict(config, private.as_deref());
    report("the user's files are open", files);
    let display = display_name(config.options);
    let sockets = if config.network {
        system_calls::Sockets::Network
    } else if DisplayAddress::parse(&display).is_remote() {
        system_calls::Sockets::RemoteDisplay
    } else {
        system_calls::Sockets::LocalDisplay
    };
    report("system calls are open", system_calls::restrict(sockets));
    let supervised = supervised_calls::restrict(guard, config.network, &display);
    report(
        "Unix sockets, shared memory, signals and new processes are open",
        supervised,
    );
    unenforced
}

/// Lowers a resource limit, which is always allowed; a stricter one stays.
fn lower_limit(resource: Resource, limit: u64) {
    let now = rustix::process::getrlimit(resource);
    let lower = |current: Option<u64>| Some(current.map_or(limit, |current| current.min(limit)));
    let _ = setrlimit(
        resource,
        Rlimit {
            current: lower(now.current),
            maximum: lower(now.maximum),
        },
    );
}

/// Returns the name of the display that the plugin uses: the one in its options, by the registry,
/// else the process's own. Empty when there is none.
fn display_name(options: &serde_json::Value) -> String {
    let named = options.get("display").and_then(serde_json::Value::as_str);
    let named = named.filter(|name| !name.is_empty()).map(str::to_owned);
    named.unwrap_or_else(|| std::env::var("DISPLAY").unwrap_or_default())
}

/// Returns the paths that can be read and run besides the system's: the plugin's folder, the X
/// authority file, and the folders of the files that the backend's options name (the tool's).
fn readable_paths(config: SandboxConfig<'_>) -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let authority = std::env::var_os("XAUTHORITY").map(PathBuf::from);
    let authority = authority.or_else(|| home.map(|home| home.join(".Xauthority")));
    let mut paths = vec![config.folder.to_owned()];
    paths.extend(authority);
    collect_program_folders(config.options, &mut paths);
    paths
}

/// Appends the folder of every file whose absolute path is in the options, however deep. The whole
/// folder, because a program may bring libraries.
fn collect_program_folders(options: &serde_json::Value, paths: &mut Vec<PathBuf>) {
    match options {
        serde_json::Value::String(text) => {
            let path = Path::new(text);
            if path.is_absolute() && path.is_file() {
                paths.extend(path.parent().map(Path::to_owned));
            }
        }
        serde_json::Value::Array(items) => items
            .iter()
            .for_each(|item| collect_program_folders(item, paths)),
        serde_json::Value::Object(items) => items
            .values()
            .for_each(|item| collect_program_folders(item, paths)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_folders_of_named_programs_are_open() {
        let options = json!({
            "paths": ["/bin/sh", "relative/sh", "/nonexistent/tool"],
            "more": { "deep": "/etc/passwd" },
            "count": 3,
        });
        let mut paths = Vec::new();
        collect_program_folders(&options, &mut paths);
        assert_eq!(paths, [PathBuf::from("/etc"), PathBuf::from("/bin")]);
    }
}
