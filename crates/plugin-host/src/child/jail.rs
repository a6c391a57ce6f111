//! What foreign code may still do in this process, and every tool that it starts: closed for good before the library is
//! loaded, and while there is one thread only, for these locks are inherited by threads that come later and not by
//! those that are there.
//!
//! - No new privileges, so that no set-uid program helps out.
//! - Limits: memory, files, the size of a file.
//! - Landlock: what belongs to the system can be read and run, the user's files can't be read, nothing can be written
//!   but devices, and no process outside can be signalled or looked into (the launcher next door holds the keys).
//! - seccomp: no network but Unix sockets, unless the registry allows it; no file's mode, owner, labels or times can be
//!   changed; no way round what stands above.
//!
//! A kernel that lacks one of them doesn't stop a session: the log says so. Debian 12's and 13's have all of it, but for
//! signals, which Landlock keeps in since Linux 6.12 (Debian 13).

use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::spec::PluginSpec;

/// What a plugin needs besides the system, and may have.
#[derive(Clone, Copy)]
pub(crate) struct Needs<'a> {
    /// Where the library is: absolute.
    pub(crate) folder: &'a Path,
    /// The backend's options. Of the programs that they name, the folders can be read.
    pub(crate) options: &'a serde_json::Value,
    /// Whether it may use the network.
    pub(crate) network: bool,
}

impl<'a> From<&'a PluginSpec> for Needs<'a> {
    fn from(spec: &'a PluginSpec) -> Self {
        Self {
            folder: &spec.folder,
            options: &spec.options,
            network: spec.network,
        }
    }
}

/// Bytes of address space. Threads reserve some 70 MB each and use little of it; the picture of two 4K screens has 66 MB.
const MEMORY: u64 = 3 << 30;
/// Open files.
const FILES: u64 = 1024;
/// Bytes of one file that is written, should there be a place for it.
const FILE_SIZE: u64 = 64 << 20;

/// Closes everything that can be closed. What couldn't be is returned, in words for the log.
pub(crate) fn close(needs: Needs<'_>) -> Vec<String> {
    let mut open = Vec::new();
    let mut note = |what: &str, done: Result<(), String>| {
        open.extend(done.err().map(|error| format!("{what}: {error}")));
    };
    let done = rustix::thread::set_no_new_privs(true).map_err(|error| error.to_string());
    note("new privileges are possible", done);
    limit(Resource::As, MEMORY);
    limit(Resource::Nofile, FILES);
    limit(Resource::Fsize, FILE_SIZE);
    let network = needs.network || is_remote(std::env::var("DISPLAY").ok().as_deref());
    let left = files::close(needs);
    note("the user's files are open", left.clone().map(|_| ()));
    note("the network is open", calls::close(network));
    open.extend(left.ok().flatten().map(str::to_owned));
    open
}

/// Less is always allowed; one that is stricter already stays.
fn limit(resource: Resource, most: u64) {
    let now = rustix::process::getrlimit(resource);
    let lower = |limit: Option<u64>| Some(limit.map_or(most, |limit| limit.min(most)));
    let _ = setrlimit(
        resource,
        Rlimit {
            current: lower(now.current),
            maximum: lower(now.maximum),
        },
    );
}

/// A display on another machine (`host:0`, or ssh's `localhost:10.0`) is reached by TCP.
fn is_remote(display: Option<&str>) -> bool {
    display.is_some_and(|display| !display.starts_with([':', '/']) && !display.starts_with("unix"))
}

/// What may be read and run besides the system: the plugin's folder, the key to the display, and every absolute path
/// that the registry names in the backend's options (the tool's).
fn allowed(needs: Needs<'_>) -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let authority = std::env::var_os("XAUTHORITY").map(PathBuf::from);
    let authority = authority.or_else(|| home.map(|home| home.join(".Xauthority")));
    let mut paths = vec![needs.folder.to_owned()];
    paths.extend(authority);
    named(needs.options, &mut paths);
    paths
}

/// The absolute paths in an option, however deep. Of a program its folder, for it may bring libraries.
fn named(options: &serde_json::Value, paths: &mut Vec<PathBuf>) {
    match options {
        serde_json::Value::String(text) => {
            let path = Path::new(text);
            if path.is_absolute() && path.is_file() {
                paths.extend(path.parent().map(Path::to_owned));
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| named(item, paths)),
        serde_json::Value::Object(items) => items.values().for_each(|item| named(item, paths)),
        _ => {}
    }
}

#[cfg(target_os = "linux")]
mod files {
    use std::path::PathBuf;

    use landlock::{
        ABI, Access as _, AccessFs, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr as _,
        RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
    };

    use super::{Needs, allowed};

    /// What belongs to the system; what isn't there is left out. Of /tmp only where the display's socket is; of /run not
    /// /run/user and /run/media, which are the user's, only how names are looked up; of /var/lib the keyboards and the
    /// machine's id.
    const SYSTEM: [&str; 17] = [
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
    /// Without the terminal: what can open it may type on it, too.
    const DEVICES: [&str; 7] = [
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/dev/random",
        "/dev/urandom",
        "/dev/ptmx",
        "/dev/shm",
    ];
    /// The newest that this is written for, Linux 6.12's; a kernel that knows less is asked for less. What it then lacks are
    /// signals: truncation by path (V3) is forbidden by seccomp, and devices (V5) that aren't listed can't be opened.
    const KNOWN: ABI = ABI::V6;

    /// Closes files and processes. What is left open of them comes back.
    pub(super) fn close(needs: Needs<'_>) -> Result<Option<&'static str>, String> {
        let status = restrict(&allowed(needs)).map_err(|error| error.to_string())?;
        match (status.ruleset, status.landlock) {
            (RulesetStatus::NotEnforced, _) => Err("the kernel has no Landlock".to_owned()),
            (_, LandlockStatus::Available { effective_abi, .. }) if effective_abi < KNOWN => Ok(
                Some("the user's other programs can be signalled: the kernel is older than 6.12"),
            ),
            _ => Ok(None),
        }
    }

    fn restrict(more: &[PathBuf]) -> Result<RestrictionStatus, landlock::RulesetError> {
        let read = AccessFs::from_read(KNOWN);
        let all = AccessFs::from_all(KNOWN);
        let ruleset = Ruleset::default()
            .handle_access(all)?
            .scope(Scope::Signal)?
            .create()?
            .add_rules(path_beneath_rules(SYSTEM, read))?
            .add_rules(path_beneath_rules(more, read))?
            .add_rules(path_beneath_rules(DEVICES, all))?;
        ruleset.restrict_self()
    }
}

#[cfg(target_os = "linux")]
mod calls {
    use std::collections::BTreeMap;

    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, apply_filter,
    };

    /// Ways to look into other processes, to get at the kernel, or to make a socket without `socket`.
    const NEVER: [libc::c_long; 20] = [
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

    /// Ways to change a file without opening it, which Landlock doesn't know (landlock(7), "Caveats"): its mode, owner and
    /// labels; and its length, which Landlock knows since Linux 6.2 only. Those that have no name in libc yet are
    /// setxattrat, removexattrat and file_setattr.
    const CHANGES: [libc::c_long; 16] = [
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
    /// Older ones that newer machines never had.
    #[cfg(target_arch = "x86_64")]
    const OLD_CHANGES: [libc::c_long; 6] = [
        libc::SYS_chmod,
        libc::SYS_chown,
        libc::SYS_lchown,
        libc::SYS_utime,
        libc::SYS_utimes,
        libc::SYS_futimesat,
    ];
    #[cfg(not(target_arch = "x86_64"))]
    const OLD_CHANGES: [libc::c_long; 0] = [];

    /// x86-64 kernels may know every call by a second number, with this bit set (the x32 interface).
    const X32: libc::c_long = 0x4000_0000;
    /// Those of [`NEVER`] that have another number there: ptrace, kexec_load, process_vm_readv and process_vm_writev.
    const NEVER_X32: [libc::c_long; 4] = [521, 528, 539, 540];

    pub(super) fn close(network: bool) -> Result<(), String> {
        let filter = filter(network).map_err(|error| error.to_string())?;
        apply_filter(&filter).map_err(|error| error.to_string())
    }

    fn filter(network: bool) -> Result<BpfProgram, seccompiler::BackendError> {
        let changes = CHANGES.into_iter().chain(OLD_CHANGES);
        let never = NEVER.into_iter().chain(NEVER_X32).chain(changes);
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = never
            .flat_map(|call| [call, X32 | call])
            .map(|call| (call, vec![]))
            .collect();
        if !network {
            let unix = u64::from(libc::AF_UNIX.unsigned_abs());
            let (length, differs) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Ne);
            let other = SeccompCondition::new(0, length, differs, unix)?;
            let other = vec![SeccompRule::new(vec![other])?];
            rules.insert(X32 | libc::SYS_socket, other.clone());
            rules.insert(libc::SYS_socket, other);
        }
        let refused = SeccompAction::Errno(libc::EACCES.unsigned_abs());
        let here = std::env::consts::ARCH.try_into()?;
        SeccompFilter::new(rules, SeccompAction::Allow, refused, here)?.try_into()
    }
}

#[cfg(not(target_os = "linux"))]
mod files {
    pub(super) fn close(_needs: super::Needs<'_>) -> Result<Option<&'static str>, String> {
        Err("this system has nothing for it yet".to_owned())
    }
}

#[cfg(not(target_os = "linux"))]
mod calls {
    pub(super) fn close(_network: bool) -> Result<(), String> {
        Err("this system has nothing for it yet".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn displays_of_this_machine_need_no_network() {
        for here in [":0", ":12.1", "unix:0", "/private/tmp/x:0"] {
            assert!(!is_remote(Some(here)), "{here}");
        }
        for there in ["localhost:10.0", "192.0.2.1:0"] {
            assert!(is_remote(Some(there)), "{there}");
        }
        assert!(!is_remote(None));
    }

    #[test]
    fn the_folders_of_named_programs_are_open() {
        let options = json!({
            "paths": ["/bin/sh", "relative/sh", "/nonexistent/tool"],
            "more": { "deep": "/etc/passwd" },
            "count": 3,
        });
        let mut paths = Vec::new();
        named(&options, &mut paths);
        assert_eq!(paths, [PathBuf::from("/etc"), PathBuf::from("/bin")]);
    }
}
