//! May this file be loaded? It is opened one folder at a time from the root, without following a link, and every
//! folder is judged by the handle that the next step goes through: nothing can be exchanged in between.
//!
//! The rule: every folder and the file belong to root or to the user that we run as, and nobody else can write them.
//! One exception: a folder above the plugin folder that others can write is fine when it is sticky, like /tmp, since
//! what is in it can be exchanged by its owner alone, who is judged at the next step.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::error::Refusal;
use crate::spec::PluginSpec;

/// The largest library that is taken, in bytes.
const MAX_SIZE: u64 = 256 * 1024 * 1024;
/// The longest signature's file, in bytes; minisign's own have some 300.
const MAX_SIGNATURE: u64 = 4096;

/// Opens the plugin's file, or says why it may not be loaded. What was opened is what must be loaded.
pub(super) fn open(spec: &PluginSpec) -> Result<File, Refusal> {
    let path = names(&spec.path)?;
    let folder = names(&spec.folder)?;
    if path.len() <= folder.len() || !path.starts_with(&folder) {
        return refuse(&spec.path, "it is not inside the plugin folder");
    }
    let file = walk(&spec.path, &path, folder.len())?;
    if let Some(wanted) = spec.sha256 {
        let found = hash(&file).or_else(|error| refuse(&spec.path, &error.to_string()))?;
        if found != wanted {
            return refuse(&spec.path, "its SHA-256 is not the registry's");
        }
    }
    if let Some(key) = &spec.minisign {
        let signature = signature(&spec.path, folder.len())?;
        let signed = has_signed(key, &signature, &file);
        signed.or_else(|reason| refuse(&spec.path, &reason))?;
    }
    Ok(file)
}

/// What stands in the signature's file, which is judged like the plugin's own.
fn signature(plugin: &Path, above: usize) -> Result<String, Refusal> {
    let mut path = plugin.as_os_str().to_owned();
    path.push(".minisig");
    let path = std::path::PathBuf::from(path);
    let file = match walk(&path, &names(&path)?, above) {
        Err(Refusal::Missing { .. }) => {
            return refuse(
                plugin,
                "it has no signature: there is no .minisig file beside it",
            );
        }
        file => file?,
    };
    let mut text = String::new();
    let read = file.take(MAX_SIGNATURE).read_to_string(&mut text);
    read.or_else(|error| refuse(&path, &error.to_string()))?;
    Ok(text)
}

/// Whether this key has signed these bytes; else why not.
fn has_signed(key: &str, signature: &str, file: &File) -> Result<(), String> {
    let wrong = |_| "its signature is not one of the registry's key".to_owned();
    let key = minisign_verify::PublicKey::from_base64(key);
    let key = key.map_err(|_| "the registry's minisign key is none".to_owned())?;
    let signature = minisign_verify::Signature::decode(signature).map_err(wrong)?;
    let mut verifier = key.verify_stream(&signature).map_err(wrong)?;
    let mut file = file;
    file.rewind().map_err(|error| error.to_string())?;
    let mut bytes = file.take(MAX_SIZE);
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

/// The names from the root on.
fn names(path: &Path) -> Result<Vec<&Path>, Refusal> {
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

/// Goes from the root to the file; `above` is how many names lead to the plugin folder.
fn walk(path: &Path, names: &[&Path], above: usize) -> Result<File, Refusal> {
    let root = open_folder(rustix::fs::CWD, Path::new("/"))
        .or_else(|error| refuse(path, &error.to_string()))?;
    judge(path, Path::new("/"), &root, above > 0)?;
    let (mut folder, mut here) = (root, std::path::PathBuf::from("/"));
    for (depth, name) in names.iter().enumerate() {
        here.push(name);
        let last = depth + 1 == names.len();
        let next = if last {
            open_file(&folder, name)
        } else {
            open_folder(&folder, name)
        };
        let next = next.map_err(|error| explain(path, &here, &folder, name, error))?;
        judge(path, &here, &next, depth + 1 < above)?;
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

/// Not blocking, in case that it is a pipe.
fn open_file(parent: impl AsFd, name: &Path) -> Result<OwnedFd, Errno> {
    openat(
        parent,
        name,
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn explain(path: &Path, here: &Path, folder: &OwnedFd, name: &Path, error: Errno) -> Refusal {
    let is_link = || {
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| kind(&stat) == FileType::Symlink)
    };
    match error {
        Errno::NOENT => Refusal::Missing {
            path: path.to_owned(),
        },
        Errno::LOOP | Errno::NOTDIR if is_link() => {
            refusal(path, &format!("{} is a link", here.display()))
        }
        error => refusal(path, &format!("{}: {error}", here.display())),
    }
}

/// Judges what `handle` is open on: the file itself, or a folder above it.
fn judge(path: &Path, here: &Path, handle: &OwnedFd, sticky_will_do: bool) -> Result<(), Refusal> {
    let stat = fstat(handle).or_else(|error| refuse(path, &error.to_string()))?;
    let is_folder = kind(&stat) == FileType::Directory;
    if !is_folder && (kind(&stat) != FileType::RegularFile || here != path) {
        return refuse(path, &format!("{} is not a plain file", here.display()));
    }
    if is_folder && here == path {
        return refuse(path, "it is a folder");
    }
    match verdict(
        stat.st_uid,
        stat.st_mode,
        rustix::process::geteuid().as_raw(),
        is_folder && sticky_will_do,
    ) {
        Ok(()) => Ok(()),
        Err(reason) => refuse(path, &format!("{} {reason}", here.display())),
    }
}

/// The rule, pure.
fn verdict(owner: u32, mode: u32, user: u32, sticky_will_do: bool) -> Result<(), &'static str> {
    const OTHERS_WRITE: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    if owner != 0 && owner != user {
        return Err("belongs to another user");
    }
    if mode & OTHERS_WRITE != 0 && !(sticky_will_do && mode & STICKY != 0) {
        return Err("can be written by others");
    }
    Ok(())
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn hash(file: &File) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let length = io::copy(&mut file.take(MAX_SIZE + 1), &mut hasher)?;
    if length > MAX_SIZE {
        return Err(io::Error::other("the file is larger than 256 MiB"));
    }
    Ok(hasher.finalize().into())
}

fn refuse<T>(path: &Path, reason: &str) -> Result<T, Refusal> {
    Err(refusal(path, reason))
}

fn refusal(path: &Path, reason: &str) -> Refusal {
    Refusal::Refused {
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
        assert_eq!(verdict(0, 0o755, user, false), Ok(()));
        assert_eq!(verdict(user, 0o700, user, false), Ok(()));
        assert!(verdict(1001, 0o755, user, false).is_err());
        assert!(verdict(user, 0o775, user, false).is_err());
        assert!(verdict(user, 0o757, user, false).is_err());
        assert!(verdict(0, 0o1777, user, false).is_err());
        assert_eq!(verdict(0, 0o1777, user, true), Ok(()));
        assert!(verdict(0, 0o777, user, true).is_err());
        assert!(verdict(1001, 0o1777, user, true).is_err());
    }

    /// A plugin folder in a folder of its own, with one file.
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
            own_transport: false,
            network: false,
            language: "en".into(),
            origin: crate::spec::Origin::default(),
        };
        (top, spec)
    }

    fn check(change: impl FnOnce(&mut PluginSpec), expected: &str) {
        let (_top, mut spec) = prepared();
        change(&mut spec);
        let found = match open(&spec) {
            Ok(_) => "fine".to_owned(),
            Err(Refusal::Missing { .. }) => "missing".to_owned(),
            Err(Refusal::Refused { text }) => text,
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
            std::path::PathBuf::from(path)
        };
        let refused = |spec: &PluginSpec, words: &str| match open(spec) {
            Err(Refusal::Refused { text }) => assert!(text.contains(words), "{text}"),
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
