//! Sandbox of this process and of every tool that it starts. It is entered before the library is
//! loaded, and can't be left. There must be one thread only: later threads inherit these
//! restrictions, earlier ones don't.
//!
//! - No new privileges, so that no set-uid program can help.
//! - Resource limits: address space, open files, size of a file.
//! - Landlock: the system's files can be read and run, the user's files can't be read, nothing but
//!   devices can be written, and no process outside can be signalled or inspected (the launcher
//!   holds the keys).
//! - seccomp: no network but Unix sockets, unless the registry allows it or `DISPLAY` names another
//!   machine; no change of a file's mode, owner, labels or times; no system call that evades the
//!   restrictions above.
//!
//! A kernel that lacks one of them doesn't stop a session, but the log says so. The kernels of
//! Debian 12 and 13 have all of them, except that Landlock restricts signals only since Linux 6.12
//! (Debian 13).

use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::plugin_spec::PluginSpec;

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
/// Open files.
const MAX_OPEN_FILES: u64 = 1024;
/// Size of a file that the plugin writes, in bytes. Landlock leaves no place for one but /dev; a
/// kernel without Landlock does.
const MAX_FILE_SIZE: u64 = 64 << 20;

/// Enters the sandbox. Returns the restrictions that couldn't be enforced, in words for the log.
pub(crate) fn enter(config: SandboxConfig<'_>) -> Vec<String> {
    let mut unenforced = Vec::new();
    let mut report = |what: &str, result: Result<(), String>| {
        unenforced.extend(result.err().map(|error| format!("{what}: {error}")));
    };
    let result = rustix::thread::set_no_new_privs(true).map_err(|error| error.to_string());
    report("new privileges are possible", result);
    lower_limit(Resource::As, MAX_ADDRESS_SPACE);
    lower_limit(Resource::Nofile, MAX_OPEN_FILES);
    lower_limit(Resource::Fsize, MAX_FILE_SIZE);
    let network = config.network || is_remote_display(std::env::var("DISPLAY").ok().as_deref());
    let gap = filesystem::restrict(config);
    report("the user's files are open", gap.clone().map(|_| ()));
    report("the network is open", system_calls::restrict(network));
    unenforced.extend(gap.ok().flatten().map(str::to_owned));
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

/// Returns whether the display is reached by TCP: on another machine (`host:0`), or by ssh
/// (`localhost:10.0`).
fn is_remote_display(display: Option<&str>) -> bool {
    display.is_some_and(|display| !display.starts_with([':', '/']) && !display.starts_with("unix"))
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

#[cfg(target_os = "linux")]
mod filesystem {
    use std::path::PathBuf;

    use landlock::{
        ABI, Access as _, AccessFs, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr as _,
        RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
    };

    use super::{SandboxConfig, readable_paths};

    /// The system's folders; a missing one is ignored. /tmp: only the display's socket. /run: only
    /// name lookup, since /run/user and /run/media are the user's. /var/lib: only keyboards and the
    /// machine's id.
    const SYSTEM_FOLDERS: [&str; 17] = [
        "/usr",
        "/bin",
        "/sbin",
        "/lib",
        "/lib32",
        "/lib64",
        "/libx32",
        "/etc",
        "/opt",
        "/proc",
        "/sys",
        "/run/systemd/resolve",
        "/run/NetworkManager",
        "/run/resolvconf",
        "/var/lib/xkb",
        "/var/lib/dbus",
        "/tmp/.X11-unix",
    ];
    /// Writable devices. Not the terminal: a process that can open it may also type on it.
    const DEVICES: [&str; 7] = [
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/dev/random",
        "/dev/urandom",
        "/dev/ptmx",
        "/dev/shm",
    ];
    /// Newest Landlock ABI that this is written for, Linux 6.12's; an older kernel is asked for
    /// less. Such a kernel lacks the restriction of signals alone: seccomp forbids truncation by
    /// path (V3), and devices (V5) that aren't listed can't be opened.
    const LANDLOCK_ABI: ABI = ABI::V6;

    /// Restricts files and processes. Returns a restriction that the kernel doesn't have, in words.
    pub(super) fn restrict(config: SandboxConfig<'_>) -> Result<Option<&'static str>, String> {
        let status = apply_ruleset(&readable_paths(config)).map_err(|error| error.to_string())?;
        match (status.ruleset, status.landlock) {
            (RulesetStatus::NotEnforced, _) => Err("the kernel has no Landlock".to_owned()),
            (_, LandlockStatus::Available { effective_abi, .. })
                if effective_abi < LANDLOCK_ABI =>
            {
                Ok(Some(
                    "the user's other programs can be signalled: the kernel is older than 6.12",
                ))
            }
            _ => Ok(None),
        }
    }

    fn apply_ruleset(readable: &[PathBuf]) -> Result<RestrictionStatus, landlock::RulesetError> {
        let read = AccessFs::from_read(LANDLOCK_ABI);
        let all = AccessFs::from_all(LANDLOCK_ABI);
        let ruleset = Ruleset::default()
            .handle_access(all)?
            .scope(Scope::Signal)?
            .create()?
            .add_rules(path_beneath_rules(SYSTEM_FOLDERS, read))?
            .add_rules(path_beneath_rules(readable, read))?
            .add_rules(path_beneath_rules(DEVICES, all))?;
        ruleset.restrict_self()
    }
}

#[cfg(target_os = "linux")]
mod system_calls {
    use std::collections::BTreeMap;

    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, apply_filter,
    };

    /// Calls that inspect other processes, reach the kernel, or make a socket without `socket`.
    const FORBIDDEN: [libc::c_long; 20] = [
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_kcmp,
        libc::SYS_io_uring_setup,
        libc::SYS_userfaultfd,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_init_module,
        libc::SYS_kexec_load,
    ];

    /// Calls that change a file without opening it. Landlock doesn't restrict mode, owner and
    /// labels (landlock(7), "Caveats"), and the length only since Linux 6.2. The last three, which
    /// have no name in libc yet, are setxattrat, removexattrat and file_setattr.
    const METADATA_CHANGES: [libc::c_long; 16] = [
        libc::SYS_truncate,
        libc::SYS_fchmod,
        libc::SYS_fchmodat,
        libc::SYS_fchmodat2,
        libc::SYS_fchown,
        libc::SYS_fchownat,
        libc::SYS_setxattr,
        libc::SYS_lsetxattr,
        libc::SYS_fsetxattr,
        libc::SYS_removexattr,
        libc::SYS_lremovexattr,
        libc::SYS_fremovexattr,
        libc::SYS_utimensat,
        463,
        466,
        469,
    ];
    /// Older calls of this kind, which newer architectures never had.
    #[cfg(target_arch = "x86_64")]
    const LEGACY_METADATA_CHANGES: [libc::c_long; 6] = [
        libc::SYS_chmod,
        libc::SYS_chown,
        libc::SYS_lchown,
        libc::SYS_utime,
        libc::SYS_utimes,
        libc::SYS_futimesat,
    ];
    #[cfg(not(target_arch = "x86_64"))]
    const LEGACY_METADATA_CHANGES: [libc::c_long; 0] = [];

    /// Bit of a call's second number on x86-64 kernels with the x32 interface.
    const X32_BIT: libc::c_long = 0x4000_0000;
    /// Calls of [`FORBIDDEN`] whose x32 number differs by more than the bit: ptrace, kexec_load,
    /// process_vm_readv and process_vm_writev.
    const FORBIDDEN_X32: [libc::c_long; 4] = [521, 528, 539, 540];

    pub(super) fn restrict(network: bool) -> Result<(), String> {
        let filter = build_filter(network).map_err(|error| error.to_string())?;
        apply_filter(&filter).map_err(|error| error.to_string())
    }

    fn build_filter(network: bool) -> Result<BpfProgram, seccompiler::BackendError> {
        let changes = METADATA_CHANGES.into_iter().chain(LEGACY_METADATA_CHANGES);
        let forbidden = FORBIDDEN.into_iter().chain(FORBIDDEN_X32).chain(changes);
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = forbidden
            .flat_map(|call| [call, X32_BIT | call])
            .map(|call| (call, vec![]))
            .collect();
        if !network {
            let unix = u64::from(libc::AF_UNIX.unsigned_abs());
            let (length, not_equal) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Ne);
            let not_unix = SeccompCondition::new(0, length, not_equal, unix)?;
            let not_unix = vec![SeccompRule::new(vec![not_unix])?];
            rules.insert(X32_BIT | libc::SYS_socket, not_unix.clone());
            rules.insert(libc::SYS_socket, not_unix);
        }
        let refused = SeccompAction::Errno(libc::EACCES.unsigned_abs());
        let architecture = std::env::consts::ARCH.try_into()?;
        SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture)?.try_into()
    }
}

#[cfg(not(target_os = "linux"))]
mod filesystem {
    pub(super) fn restrict(
        _config: super::SandboxConfig<'_>,
    ) -> Result<Option<&'static str>, String> {
        Err("this system has nothing for it yet".to_owned())
    }
}

#[cfg(not(target_os = "linux"))]
mod system_calls {
    pub(super) fn restrict(_network: bool) -> Result<(), String> {
        Err("this system has nothing for it yet".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn displays_of_this_machine_need_no_network() {
        for local in [":0", ":12.1", "unix:0", "/private/tmp/x:0"] {
            assert!(!is_remote_display(Some(local)), "{local}");
        }
        for remote in ["localhost:10.0", "192.0.2.1:0"] {
            assert!(is_remote_display(Some(remote)), "{remote}");
        }
        assert!(!is_remote_display(None));
    }

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
