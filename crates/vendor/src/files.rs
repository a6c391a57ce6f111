//! Files that only their owner may read, and files that are replaced atomically.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::Path,
};

use etatuki_trust::MAX_LISTS_TEXT;
use zeroize::Zeroizing;

use crate::error::VendorError;

/// The most bytes of a key file.
const MAX_KEY_FILE: u64 = 16 * 1024;

/// A new, empty file that only its owner may read. It is removed again unless
/// [`write`](Self::write) succeeds.
pub(crate) struct NewPrivateFile<'a> {
    path: &'a Path,
    file: File,
    /// Whether the file has been written and stays.
    is_written: bool,
}

impl<'a> NewPrivateFile<'a> {
    /// Creates a file at `path`.
    ///
    /// # Errors
    /// There is a file already, or none can be created.
    pub(crate) fn create(path: &'a Path) -> Result<Self, VendorError> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        owner_only(&mut options);
        match options.open(path) {
            Ok(file) => Ok(Self {
                path,
                file,
                is_written: false,
            }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(VendorError::Exists(path.to_owned()))
            }
            Err(error) => Err(write_error(path)(error)),
        }
    }

    /// Writes the whole text, to the disk.
    pub(crate) fn write(mut self, text: &str) -> Result<(), VendorError> {
        let written = self
            .file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_all());
        written.map_err(write_error(self.path))?;
        self.is_written = true;
        Ok(())
    }
}

impl Drop for NewPrivateFile<'_> {
    fn drop(&mut self) {
        if !self.is_written {
            // If this fails, an empty file stays: nothing secret is in it.
            let _ = fs::remove_file(self.path);
        }
    }
}

/// Reads a key file, if nobody but its owner can read it.
pub(crate) fn read_key_file(path: &Path) -> Result<Zeroizing<String>, VendorError> {
    let read_error = |error| VendorError::Read {
        path: path.to_owned(),
        error,
    };
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => VendorError::NoKey(path.to_owned()),
        _ => read_error(error),
    })?;
    // The metadata of the open file, so that the file that is checked is the one that is read.
    let metadata = file.metadata().map_err(read_error)?;
    if !metadata.is_file() || metadata.len() > MAX_KEY_FILE {
        return Err(VendorError::NotKeyFile(path.to_owned()));
    }
    check_owner_only(path, &metadata)?;
    // With its full capacity, so that growing leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_FILE as usize + 1));
    file.take(MAX_KEY_FILE)
        .read_to_string(&mut text)
        .map_err(read_error)?;
    Ok(text)
}

/// Reads a file of signed lists.
pub(crate) fn read_list_file(path: &Path) -> Result<String, VendorError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_LISTS_TEXT as u64).read_to_string(&mut text))
        .map_err(|error| VendorError::Read {
            path: path.to_owned(),
            error,
        })?;
    Ok(text)
}

/// Writes `text` to `path` atomically: a reader sees the old file or the new one.
pub(crate) fn write_atomically(path: &Path, text: &str) -> Result<(), VendorError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(write_error(path))
}

/// Returns a function that makes a [`VendorError::Write`] about `path`.
pub(crate) fn write_error(path: &Path) -> impl FnOnce(io::Error) -> VendorError {
    let path = path.to_owned();
    |error| VendorError::Write { path, error }
}

/// Sets mode 0600 for a new file.
#[cfg(unix)]
pub(crate) fn owner_only(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600);
}

/// Does nothing: the folder's access list decides.
#[cfg(not(unix))]
pub(crate) fn owner_only(_: &mut OpenOptions) {}

#[cfg(unix)]
fn check_owner_only(path: &Path, metadata: &fs::Metadata) -> Result<(), VendorError> {
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
fn check_owner_only(_: &Path, _: &fs::Metadata) -> Result<(), VendorError> {
    Ok(())
}
