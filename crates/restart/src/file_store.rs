//! The ticket in a file of the user's own: mode 0600, in a folder of mode 0700.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use etatuki_trust::MAX_RESTART_TICKET;
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::restart_store::TakeError;

/// Access of anybody but the owner.
const OTHERS: u32 = 0o077;

/// The file of the ticket.
#[derive(Clone, Debug)]
pub(crate) struct FileStore {
    file: PathBuf,
}

impl FileStore {
    pub(crate) const fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Writes the ticket to the disk itself, in place of an older one.
    pub(crate) fn put(&self, text: &str) -> io::Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("/"));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let fresh = self.fresh_file();
        // Left by a launcher that ended between the two steps below.
        remove(&fresh)?;
        let written = write_private(&fresh, text).and_then(|()| fs::rename(&fresh, &self.file));
        if written.is_err() {
            let _ = remove(&fresh);
        }
        written?;
        File::open(folder)?.sync_all()
    }

    /// Removes the file and returns the text that was in it; `None` if there is no file. Of several
    /// callers at once only one gets the text.
    ///
    /// # Errors
    /// The file can't be trusted or read. It is gone all the same.
    pub(crate) fn take(&self) -> Result<Option<Zeroizing<String>>, TakeError> {
        match (self.open(), fs::remove_file(&self.file)) {
            (Ok(file), Ok(())) => read_private(&file).map(Some),
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            (Err(error), _)
                if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) =>
            {
                Err(TakeError::NotAFile)
            }
            (Err(error), _) | (_, Err(error)) => Err(TakeError::Unreadable(error.to_string())),
        }
    }

    /// Returns the text and leaves it there; `None` if there is none that can be trusted.
    pub(crate) fn peek(&self) -> Option<Zeroizing<String>> {
        read_private(&self.open().ok()?).ok()
    }

    fn open(&self) -> io::Result<File> {
        let no_follow = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        OpenOptions::new()
            .read(true)
            .custom_flags(no_follow.bits().cast_signed())
            .open(&self.file)
    }

    /// Removes the file, if there is one.
    pub(crate) fn remove(&self) -> io::Result<()> {
        remove(&self.fresh_file())?;
        remove(&self.file)
    }

    fn fresh_file(&self) -> PathBuf {
        let mut fresh = OsString::from(&self.file);
        fresh.push(".new");
        fresh.into()
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Reads a file that nobody but this user has written or could read.
fn read_private(file: &File) -> Result<Zeroizing<String>, TakeError> {
    let unreadable = |error: io::Error| TakeError::Unreadable(error.to_string());
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(TakeError::NotAFile);
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(TakeError::Foreign);
    }
    if metadata.mode() & OTHERS != 0 {
        return Err(TakeError::Exposed);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_RESTART_TICKET + 1));
    file.take(MAX_RESTART_TICKET as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| TakeError::Malformed)?;
    if text.len() > MAX_RESTART_TICKET {
        return Err(TakeError::Malformed);
    }
    Ok(Zeroizing::new(text.to_owned()))
}

pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    struct Place {
        folder: tempfile::TempDir,
        store: FileStore,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path().join("state/restart-ticket"));
        Place { folder, store }
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o777
    }

    #[test]
    fn a_ticket_is_its_owners_alone_and_is_taken_once() {
        let Place { folder, store } = place();
        store.put("one").unwrap();
        store.put("two").unwrap();
        assert_eq!(mode(&store.file), 0o600);
        assert_eq!(mode(&folder.path().join("state")), 0o700);
        assert_eq!(
            store.take().unwrap().as_deref().map(String::as_str),
            Some("two")
        );
        assert!(!store.file.exists());
        assert_eq!(store.take().unwrap(), None);
        store.remove().unwrap();
    }

    #[test]
    fn of_many_at_once_one_takes_the_ticket() {
        let Place {
            folder: _folder,
            store,
        } = place();
        for _ in 0..50 {
            store.put("ticket").unwrap();
            let taken = std::thread::scope(|scope| {
                let tries: Vec<_> = (0..4).map(|_| scope.spawn(|| store.take())).collect();
                let taken = tries.into_iter().map(|thread| thread.join().unwrap());
                taken.filter(|taken| matches!(taken, Ok(Some(_)))).count()
            });
            assert_eq!(taken, 1);
        }
    }

    #[test]
    fn what_others_could_read_or_didnt_stand_there_is_refused_and_removed() {
        let check = |prepare: &dyn Fn(&Path), expected: &TakeError| {
            let Place {
                folder: _folder,
                store,
            } = place();
            store.put("ticket").unwrap();
            prepare(&store.file);
            assert_eq!(store.take().as_ref(), Err(expected));
            assert!(store.file.symlink_metadata().is_err(), "{expected}");
        };
        for mode in [0o640, 0o604, 0o620, 0o601] {
            let expose = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(mode));
            check(&|path| expose(path).unwrap(), &TakeError::Exposed);
        }
        let link = |path: &Path| {
            let target = path.with_extension("target");
            fs::rename(path, &target).unwrap();
            symlink(&target, path).unwrap();
        };
        check(&link, &TakeError::NotAFile);
        let long = |path: &Path| fs::write(path, vec![b'a'; MAX_RESTART_TICKET + 1]).unwrap();
        check(&long, &TakeError::Malformed);
        check(
            &|path| fs::write(path, [0xff]).unwrap(),
            &TakeError::Malformed,
        );
    }

    /// Only root can give a file away.
    #[test]
    fn a_file_of_another_user_is_refused_and_removed() {
        if !rustix::process::geteuid().is_root() {
            println!("not root: not tried");
            return;
        }
        let Place {
            folder: _folder,
            store,
        } = place();
        store.put("ticket").unwrap();
        std::os::unix::fs::chown(&store.file, Some(65_534), None).unwrap();
        assert_eq!(store.take(), Err(TakeError::Foreign));
        assert!(!store.file.exists());
    }
}
