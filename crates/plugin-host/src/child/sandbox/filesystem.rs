//! Landlock: files, and what it knows of other processes (landlock(7)).

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, RestrictionStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};

use super::{SandboxConfig, readable_paths};

/// The system's folders; a missing one is ignored. /tmp: only the display's socket. /run: only name
/// lookup, since /run/user and /run/media are the user's. /var/lib: only keyboards and the
/// machine's id.
const SYSTEM_FOLDERS: [&str; 16] = [
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
];
/// Folder of the display's socket: read, and connected to where Landlock judges that too (V9).
const DISPLAY_SOCKETS: [&str; 1] = ["/tmp/.X11-unix"];
/// Writable devices. Not the terminal: a process that can open it may also type on it. No new
/// terminals, of which the system has a few thousand. Not /dev/shm, which is every program's.
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];
/// Newest Landlock ABI that the crate knows; an older kernel is asked for less. What older ones
/// lack is forbidden by seccomp and the supervisor: truncation (V3), signals and abstract sockets
/// (V6), sockets in the file system (V9).
const LANDLOCK_ABI: ABI = ABI::V10;

/// Restricts files, signals and Unix sockets. The private folder can be written.
pub(super) fn restrict(config: SandboxConfig<'_>, private: Option<&Path>) -> Result<(), String> {
    let status = apply_ruleset(&readable_paths(config), private);
    let status = status.map_err(|error| error.to_string())?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("the kernel has no Landlock".to_owned()),
        _ => Ok(()),
    }
}

fn apply_ruleset(
    readable: &[PathBuf],
    private: Option<&Path>,
) -> Result<RestrictionStatus, landlock::RulesetError> {
    let read = AccessFs::from_read(LANDLOCK_ABI);
    let all = AccessFs::from_all(LANDLOCK_ABI);
    // No devices, which root could make.
    let files = all & !(AccessFs::MakeChar | AccessFs::MakeBlock);
    let ruleset = Ruleset::default()
        .handle_access(all)?
        .scope(Scope::Signal)?
        .scope(Scope::AbstractUnixSocket)?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM_FOLDERS, read))?
        .add_rules(path_beneath_rules(
            DISPLAY_SOCKETS,
            read | AccessFs::ResolveUnix,
        ))?
        .add_rules(path_beneath_rules(readable, read))?
        .add_rules(path_beneath_rules(private, files))?
        .add_rules(path_beneath_rules(DEVICES, all))?;
    ruleset.restrict_self()
}
