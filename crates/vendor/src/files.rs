//! Files that only their owner may read, and files that are replaced as a whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::Path,
};

use zeroize::Zeroizing;

use crate::error::VendorError;

/// Longer than any file of secrets that we make, in bytes.
const MAX_PRIVATE: u64 = 16 * 1024;

/// A file that was just made for its owner alone, still empty. Unless [`write`](Self::write) succeeds,
/// it is removed again.
pub(crate) struct NewPrivateFile<'a> {
    path: &'a Path,
    file: File,
    keep: bool,
}

impl<'a> NewPrivateFile<'a> {
    /// # Errors
    /// Something is at `path` already, or nothing can be made there.
    pub(crate) fn create(path: &'a Path) -> Result<Self, VendorError> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        owner_only(&mut options);
        match options.open(path) {
            Ok(file) => Ok(Self {
                path,
                file,
                keep: false,
            }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(VendorError::Exists(path.to_owned()))
            }
            Err(error) => Err(write_error(path)(error)),
        }
    }

    pub(crate) fn write(mut self, text: &str) -> Result<(), VendorError> {
        let written = self
            .file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_all());
        written.map_err(write_error(self.path))?;
        self.keep = true;
        Ok(())
    }
}

impl Drop for NewPrivateFile<'_> {
    fn drop(&mut self) {
        if !self.keep {
            // Nothing secret is in it if this fails: at worst an empty file stays.
            let _ = fs::remove_file(self.path);
        }
    }
}

/// The text of a private key's file, if nobody but its owner can read it.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<String>, VendorError> {
    let read_error = |error| VendorError::Read {
        path: path.to_owned(),
        error,
    };
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => VendorError::NoKey(path.to_owned()),
        _ => read_error(error),
    })?;
    // Asked of the open file, so that what is judged is what is read.
    let metadata = file.metadata().map_err(read_error)?;
    if !metadata.is_file() || metadata.len() > MAX_PRIVATE {
        return Err(VendorError::Odd(path.to_owned()));
    }
    refuse_exposed(path, &metadata)?;
    // Reserved beforehand, so that growing leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_PRIVATE as usize + 1));
    file.take(MAX_PRIVATE)
        .read_to_string(&mut text)
        .map_err(read_error)?;
    Ok(text)
}

/// Puts `text` at `path` as a whole: whoever reads it sees the old file or the new one.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), VendorError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = path.with_file_name(name);
    let written = File::create(&fresh)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written.map_err(write_error(path))
}

pub(crate) fn write_error(path: &Path) -> impl FnOnce(io::Error) -> VendorError {
    let path = path.to_owned();
    |error| VendorError::Write { path, error }
}

/// Mode 0600, whatever the umask allows.
#[cfg(unix)]
pub(crate) fn owner_only(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600);
}

/// Elsewhere the folder's access list decides.
#[cfg(not(unix))]
pub(crate) fn owner_only(_: &mut OpenOptions) {}

#[cfg(unix)]
fn refuse_exposed(path: &Path, metadata: &fs::Metadata) -> Result<(), VendorError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(VendorError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_exposed(_: &Path, _: &fs::Metadata) -> Result<(), VendorError> {
    Ok(())
}
