//! Trust in a plugin's file: whether it may be loaded. The file is opened one folder at a time from
//! the root, without following a link. Each folder is checked by the handle through which the next
//! step goes, so that nothing can be exchanged in between.
//!
//! The rule: every folder and the file belong to root or to our user, and nobody else can write
//! them. One exception: others may write a folder above the plugin folder if it is sticky, like
//! /tmp, since an entry of it can be exchanged by the entry's owner alone, whom the next step
//! checks.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::error::CallError;
use crate::plugin_spec::PluginSpec;
use crate::user_namespace::is_unmapped_owner;

/// Largest accepted library, in bytes.
const MAX_LIBRARY_BYTES: u64 = 256 * 1024 * 1024;
/// Largest signature file, in bytes; minisign's have some 300.
const MAX_SIGNATURE_BYTES: u64 = 4096;

/// Opens the plugin's file if it may be loaded. The caller must load the opened file, not its path.
pub(super) fn open(spec: &PluginSpec) -> Result<File, CallError> {
    let path = path_names(&spec.path)?;
    let folder = path_names(&spec.folder)?;
    if path.len() <= folder.len() || !path.starts_with(&folder) {
        return refuse(&spec.path, "it is not inside the plugin folder");
    }
    let file = open_checked(&spec.path, &path, folder.len())?;
    if let Some(wanted) = spec.sha256 {
        let found = hash(&file).or_else(|error| refuse(&spec.path, &error.to_string()))?;
        if found != wanted {
            return refuse(&spec.path, "its SHA-256 is not the registry's");
        }
    }
    if let Some(key) = &spec.minisign {
        let signature = read_signature(&spec.path, folder.len())?;
        let verified = verify_signature(key, &signature, &file);
        verified.or_else(|reason| refuse(&spec.path, &reason))?;
    }
    Ok(file)
}

/// Reads the signature's file, which is checked like the plugin's own.
fn read_signature(plugin: &Path, folder_depth: usize) -> Result<String, CallError> {
    let mut path = plugin.as_os_str().to_owned();
    path.push(".minisig");
    let path = PathBuf::from(path);
    let file = match open_checked(&path, &path_names(&path)?, folder_depth) {
        Err(CallError::Missing { .. }) => {
            return refuse(
                plugin,
                "it has no signature: there is no .minisig file beside it",
            );
        }
        file => file?,
    };
    let mut text = String::new();
    let read = file.take(MAX_SIGNATURE_BYTES).read_to_string(&mut text);
    read.or_else(|error| refuse(&path, &error.to_string()))?;
    Ok(text)
}

/// Verifies that this key has signed these bytes.
fn verify_signature(key: &str, signature: &str, file: &File) -> Result<(), String> {
    let wrong = |_| "its signature is not one of the registry's key".to_owned();
    let key = minisign_verify::PublicKey::from_base64(key);
    let key = key.map_err(|_| "the registry's minisign key is none".to_owned())?;
    let signature = minisign_verify::Signature::decode(signature).map_err(wrong)?;
    let mut verifier = key.verify_stream(&signature).map_err(wrong)?;
    let mut file = file;
    file.rewind().map_err(|error| error.to_string())?;
    let mut bytes = file.take(MAX_LIBRARY_BYTES);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match bytes.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => verifier.update(&buffer[..length]),
            Err(error) => return Err(error.to_string()),
        }
    }
    verifier.finalize().map_err(wrong)
}

/// Returns the names of an absolute path from the root on; refuses `..`.
fn path_names(path: &Path) -> Result<Vec<&Path>, CallError> {
    let mut names = Vec::new();
    let mut components = path.components();
    if components.next() != Some(Component::RootDir) {
        return refuse(path, "the path is not absolute");
    }
    for component in components {
        match component {
            Component::Normal(name) => names.push(Path::new(name)),
            _ => return refuse(path, "the path has '..' in it"),
        }
    }
    Ok(names)
}

/// Opens every folder from the root to the file, and checks each; the first `folder_depth` names
/// lead to the plugin folder.
fn open_checked(path: &Path, names: &[&Path], folder_depth: usize) -> Result<File, CallError> {
    let sticky = |above: bool| match above {
        true => StickyFolder::Allowed,
        false => StickyFolder::Refused,
    };
    let root = open_folder(rustix::fs::CWD, Path::new("/"))
        .or_else(|error| refuse(path, &error.to_string()))?;
    check_handle(path, Path::new("/"), &root, sticky(folder_depth > 0))?;
    let (mut folder, mut current) = (root, PathBuf::from("/"));
    for (depth, name) in names.iter().enumerate() {
        current.push(name);
        let last = depth + 1 == names.len();
        let next = if last {
            open_file(&folder, name)
        } else {
            open_folder(&folder, name)
        };
        let next = next.map_err(|error| open_error(path, &current, &folder, name, error))?;
        check_handle(path, &current, &next, sticky(depth + 1 < folder_depth))?;
        folder = next;
    }
    Ok(File::from(folder))
}

fn open_folder(parent: impl AsFd, name: &Path) -> Result<OwnedFd, Errno> {
    openat(
        parent,
        name,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Opens without blocking, in case that the file is a pipe.
fn open_file(parent: impl AsFd, name: &Path) -> Result<OwnedFd, Errno> {
    openat(
        parent,
        name,
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn open_error(
    path: &Path,
    current: &Path,
    folder: &OwnedFd,
    name: &Path,
    error: Errno,
) -> CallError {
    let is_link = || {
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| kind(&stat) == FileType::Symlink)
    };
    match error {
        Errno::NOENT => CallError::Missing {
            path: path.to_owned(),
        },
        Errno::LOOP | Errno::NOTDIR if is_link() => {
            refusal(path, &format!("{} is a link", current.display()))
        }
        error => refusal(path, &format!("{}: {error}", current.display())),
    }
}

/// Whether a folder that others can write is accepted when it is sticky.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StickyFolder {
    Allowed,
    Refused,
}

/// Checks an open handle: the file itself, or a folder above it.
fn check_handle(
    path: &Path,
    current: &Path,
    handle: &OwnedFd,
    sticky: StickyFolder,
) -> Result<(), CallError> {
    let stat = fstat(handle).or_else(|error| refuse(path, &error.to_string()))?;
    let is_folder = kind(&stat) == FileType::Directory;
    if !is_folder && (kind(&stat) != FileType::RegularFile || current != path) {
        return refuse(path, &format!("{} is not a plain file", current.display()));
    }
    if is_folder && current == path {
        return refuse(path, "it is a folder");
    }
    let user = rustix::process::geteuid().as_raw();
    let sticky = if is_folder {
        sticky
    } else {
        StickyFolder::Refused
    };
    match check_owner_and_mode(stat.st_uid, stat.st_mode, user, sticky) {
        Ok(()) => Ok(()),
        Err(_) if is_unmapped_owner(stat.st_uid) => Err(CallError::Unverifiable {
            text: format!(
                "{}: the owner of {} isn't known in this user namespace; start the launcher outside of \
                 the container",
                path.display(),
                current.display()
            ),
        }),
        Err(reason) => refuse(path, &format!("{} {reason}", current.display())),
    }
}

/// Applies the rule to an owner and mode. Pure.
fn check_owner_and_mode(
    owner: u32,
    mode: u32,
    user: u32,
    sticky: StickyFolder,
) -> Result<(), &'static str> {
    const OTHERS_WRITE: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    if owner != 0 && owner != user {
        return Err("belongs to another user");
    }
    if mode & OTHERS_WRITE != 0 && !(sticky == StickyFolder::Allowed && mode & STICKY != 0) {
        return Err("can be written by others");
    }
    Ok(())
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn hash(file: &File) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let length = io::copy(&mut file.take(MAX_LIBRARY_BYTES + 1), &mut hasher)?;
    if length > MAX_LIBRARY_BYTES {
        return Err(io::Error::other("the file is larger than 256 MiB"));
    }
    Ok(hasher.finalize().into())
}

fn refuse<T>(path: &Path, reason: &str) -> Result<T, CallError> {
    Err(refusal(path, reason))
}

fn refusal(path: &Path, reason: &str) -> CallError {
    CallError::Refused {
        text: format!("{}: {reason}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn only_root_and_the_user_may_write() {
        let user = 1000;
        let (refused, allowed) = (StickyFolder::Refused, StickyFolder::Allowed);
        assert_eq!(check_owner_and_mode(0, 0o755, user, refused), Ok(()));
        assert_eq!(check_owner_and_mode(user, 0o700, user, refused), Ok(()));
        assert!(check_owner_and_mode(1001, 0o755, user, refused).is_err());
        assert!(check_owner_and_mode(user, 0o775, user, refused).is_err());
        assert!(check_owner_and_mode(user, 0o757, user, refused).is_err());
        assert!(check_owner_and_mode(0, 0o1777, user, refused).is_err());
        assert_eq!(check_owner_and_mode(0, 0o1777, user, allowed), Ok(()));
        assert!(check_owner_and_mode(0, 0o777, user, allowed).is_err());
        assert!(check_owner_and_mode(1001, 0o1777, user, allowed).is_err());
    }

    /// Returns a plugin folder in a folder of its own, with one file.
    fn prepared() -> (tempfile::TempDir, PluginSpec) {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().canonicalize().unwrap().join("plugins");
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("a.so");
        std::fs::write(&path, "library").unwrap();
        // Whatever the umask says.
        chmod(top.path(), 0o700);
        chmod(&folder, 0o755);
        chmod(&path, 0o644);
        let spec = PluginSpec {
            id: "a".into(),
            path,
            version: semver::VersionReq::STAR,
            sha256: None,
            minisign: None,
            folder,
            options: serde_json::Value::Null,
            external_transport: false,
            code_form: None,
            network: false,
            language: "en".into(),
            origin: crate::plugin_spec::Origin::default(),
        };
        (top, spec)
    }

    fn check(change: impl FnOnce(&mut PluginSpec), expected: &str) {
        let (_top, mut spec) = prepared();
        change(&mut spec);
        let found = match open(&spec) {
            Ok(_) => "fine".to_owned(),
            Err(CallError::Missing { .. }) => "missing".to_owned(),
            Err(CallError::Refused { text }) => text,
            Err(other) => format!("{other:?}"),
        };
        assert!(
            found.ends_with(expected),
            "found {found:?}, expected {expected:?}"
        );
    }

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_in_order_is_opened() {
        check(|_| {}, "fine");
        check(
            |spec| spec.sha256 = Some(Sha256::digest("library").into()),
            "fine",
        );
        // A folder below the plugin folder is inside it.
        check(
            |spec| spec.folder = spec.folder.parent().unwrap().to_owned(),
            "fine",
        );
    }

    #[test]
    fn a_changed_file_is_refused() {
        check(
            |spec| spec.sha256 = Some(Sha256::digest("another").into()),
            "its SHA-256 is not the registry's",
        );
    }

    #[test]
    fn what_others_can_write_is_refused() {
        for mode in [0o664, 0o646] {
            check(
                |spec| chmod(&spec.path, mode),
                "a.so can be written by others",
            );
        }
        for mode in [0o775, 0o757, 0o1777] {
            check(
                |spec| chmod(&spec.folder, mode),
                "plugins can be written by others",
            );
        }
        check(
            |spec| chmod(spec.folder.parent().unwrap(), 0o777),
            "can be written by others",
        );
        check(|spec| chmod(spec.folder.parent().unwrap(), 0o1777), "fine");
    }

    #[test]
    fn links_are_refused_wherever_they_are() {
        let elsewhere = |spec: &mut PluginSpec| {
            let link = spec.folder.join("b.so");
            symlink("/etc/hostname", &link).unwrap();
            spec.path = link;
        };
        check(elsewhere, "b.so is a link");
        let inside = |spec: &mut PluginSpec| {
            let link = spec.folder.join("b.so");
            symlink("a.so", &link).unwrap();
            spec.path = link;
        };
        check(inside, "b.so is a link");
        let folder = |spec: &mut PluginSpec| {
            let link = spec.folder.with_file_name("link");
            symlink("plugins", &link).unwrap();
            spec.path = link.join("a.so");
            spec.folder = link;
        };
        check(folder, "link is a link");
    }

    #[test]
    fn the_path_is_absolute_and_inside_the_folder() {
        check(|spec| spec.path = "a.so".into(), "the path is not absolute");
        check(
            |spec| spec.path = spec.folder.join("../plugins/a.so"),
            "the path has '..' in it",
        );
        check(
            |spec| spec.path = "/etc/hostname".into(),
            "it is not inside the plugin folder",
        );
        check(
            |spec| spec.path = spec.folder.clone(),
            "it is not inside the plugin folder",
        );
        let sibling = |spec: &mut PluginSpec| spec.folder = spec.folder.with_file_name("plug");
        check(sibling, "it is not inside the plugin folder");
    }

    #[test]
    fn only_a_plain_file_is_opened() {
        check(|spec| spec.path = spec.folder.join("b.so"), "missing");
        check(
            |spec| spec.folder = spec.folder.with_file_name("nowhere"),
            "it is not inside the plugin folder",
        );
        let pipe = |spec: &mut PluginSpec| {
            spec.path = spec.folder.join("pipe");
            let made = std::process::Command::new("mkfifo")
                .arg(&spec.path)
                .status()
                .unwrap();
            assert!(made.success());
        };
        check(pipe, "pipe is not a plain file");
        let folder = |spec: &mut PluginSpec| {
            spec.path = spec.folder.join("folder.so");
            std::fs::create_dir(&spec.path).unwrap();
            chmod(&spec.path, 0o755);
        };
        check(folder, "it is a folder");
        check(
            |spec| spec.path = spec.path.join("deeper"),
            "Not a directory (os error 20)",
        );
    }

    #[test]
    fn a_signature_has_to_be_the_registrys_and_of_these_bytes() {
        let (_top, mut spec) = prepared();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/signed");
        let public = std::fs::read_to_string(fixtures.join("minisign.pub")).unwrap();
        spec.minisign = public.lines().nth(1).map(str::to_owned);
        let beside = |name: &str| {
            let mut path = spec.path.as_os_str().to_owned();
            path.push(name);
            PathBuf::from(path)
        };
        let refused = |spec: &PluginSpec, words: &str| match open(spec) {
            Err(CallError::Refused { text }) => assert!(text.contains(words), "{text}"),
            other => panic!("{:?}", other.map(|_| ())),
        };
        refused(&spec, "it has no signature");
        std::fs::copy(fixtures.join("library.minisig"), beside(".minisig")).unwrap();
        chmod(&beside(".minisig"), 0o644);
        assert!(open(&spec).is_ok());
        chmod(&beside(".minisig"), 0o666);
        refused(&spec, "can be written by others");
        chmod(&beside(".minisig"), 0o644);
        let stranger = PluginSpec {
            minisign: Some("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3".into()),
            ..spec.clone()
        };
        refused(&stranger, "not one of the registry's key");
        std::fs::write(&spec.path, "another library").unwrap();
        refused(&spec, "not one of the registry's key");
    }
}
