//! The only folder where plugin and tools may write files. It lies in memory, and is removed at the
//! end.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

/// Where private folders lie: in memory.
const SHARED_MEMORY: &str = "/dev/shm";
/// Most files and folders. Each costs the kernel about a kilobyte, also an empty one, and time to
/// look at and to remove.
const MAX_FILES: usize = 10_000;
/// Deepest folder in the private folder.
const MAX_DEPTH: usize = 20;
/// Bytes that a file takes at least: a page.
const PAGE: u64 = 4096;

/// A private folder. Dropping it removes it.
#[derive(Debug)]
pub(super) struct PrivateFolder(TempDir);

impl PrivateFolder {
    pub(super) fn create() -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("etatuki-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(SHARED_MEMORY)?;
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Returns the bytes of the files, and `None` when there are too many of them, or too deep.
    pub(super) fn bytes(&self) -> Option<u64> {
        let mut left = MAX_FILES;
        bytes_in(self.path(), 0, &mut left)
    }
}

fn bytes_in(folder: &Path, depth: usize, left: &mut usize) -> Option<u64> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut bytes = 0_u64;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        *left = left.checked_sub(1)?;
        let Ok(about) = entry.metadata() else {
            continue; // removed meanwhile
        };
        bytes = bytes.saturating_add(about.len().max(PAGE));
        if about.is_dir() {
            bytes = bytes.saturating_add(bytes_in(&entry.path(), depth + 1, left)?);
        }
    }
    Some(bytes)
}
