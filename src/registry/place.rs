//! Where the registry lies, whether that place can be trusted, and where its plugins are.
//!
//! The registry decides which keys may let support in, so that nobody but an administrator may be able
//! to write it. The rules are in `docs/registry.md`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::{MAX_BYTES, Registry, RegistryError};

/// The registry's file name.
pub const FILE_NAME: &str = "backends.toml";
/// Where a package of a distribution puts the registry.
const SYSTEM_FOLDER: &str = "/etc/etatuki";

/// A registry together with the place that it came from.
#[derive(Clone, Debug)]
pub struct Installed {
    /// What it says.
    pub registry: Registry,
    /// The file, canonical.
    pub file: PathBuf,
    /// The only folder that plugins come from, canonical where it exists.
    pub plugins: PathBuf,
    /// Named with `--registry`: nobody vouches for it, and every window says so.
    pub development: bool,
}

/// Why there is no registry to work with.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// No file in any of the places.
    #[error(
        "there is no registry: looked for {}; install one there, or name one with --registry FILE \
         while developing",
        list(looked)
    )]
    Nowhere {
        /// The places.
        looked: Vec<PathBuf>,
    },
    /// The file can't be read.
    #[error("can't read the registry {}: {error}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Somebody else than an administrator could have written it.
    #[error(
        "the registry {} isn't trusted, for others than administrators can write {}; install it where \
         only root can write, or name it with --registry FILE while developing",
        file.display(), writable.display()
    )]
    NotTrusted {
        /// The registry.
        file: PathBuf,
        /// The file or the folder above it that others can write.
        writable: PathBuf,
    },
    /// It was read, and is wrong.
    #[error(transparent)]
    Broken(#[from] RegistryError),
}

impl Installed {
    /// Finds, checks and reads the registry: the one that was `given` with `--registry`, or the one of
    /// the installation whose executable is `exe`.
    ///
    /// # Errors
    /// Why there is none, in words for the integrator.
    pub fn load(given: Option<&Path>, exe: &Path) -> Result<Self, PlaceError> {
        let (found, development) = match given {
            Some(file) => (file.to_owned(), true),
            None => (find(&candidates(exe))?, false),
        };
        let unreadable = |error| PlaceError::Unreadable {
            file: found.clone(),
            error,
        };
        let file = found.canonicalize().map_err(unreadable)?;
        if !development && let Some(writable) = writable_by_others(&file).map_err(unreadable)? {
            return Err(PlaceError::NotTrusted { file, writable });
        }
        let text = read(&file).map_err(unreadable)?;
        let registry = Registry::parse(&text, &file.to_string_lossy())?;
        let plugins = plugin_folder(&file, exe);
        Ok(Self {
            registry,
            file,
            plugins,
            development,
        })
    }
}

fn candidates(exe: &Path) -> Vec<PathBuf> {
    let beside = exe.parent().map(|folder| folder.join(FILE_NAME));
    let system = cfg!(unix).then(|| Path::new(SYSTEM_FOLDER).join(FILE_NAME));
    beside.into_iter().chain(system).collect()
}

/// The first that exists is taken, or refused: a registry that can't be trusted must not be passed over
/// in silence for another one.
fn find(candidates: &[PathBuf]) -> Result<PathBuf, PlaceError> {
    let found = candidates
        .iter()
        .find(|file| file.symlink_metadata().is_ok());
    found.cloned().ok_or_else(|| PlaceError::Nowhere {
        looked: candidates.to_vec(),
    })
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    // One byte more than allowed, so that the parser sees that there is too much.
    File::open(file)?
        .take(MAX_BYTES as u64 + 1)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// `plugins` beside the registry, or beside the executable; a development build falls back on the
/// executable's own folder, which is where cargo puts the libraries.
fn plugin_folder(registry: &Path, exe: &Path) -> PathBuf {
    let beside = |file: &Path| file.parent().map(|folder| folder.join("plugins"));
    let existing = [beside(registry), beside(exe)]
        .into_iter()
        .flatten()
        .find(|path| path.is_dir());
    let cargos = exe
        .parent()
        .filter(|_| cfg!(debug_assertions))
        .map(Path::to_owned);
    let folder = existing
        .or(cargos)
        .or_else(|| beside(registry))
        .unwrap_or_default();
    folder.canonicalize().unwrap_or(folder)
}

/// The first of the file and the folders above it that somebody else than root can write.
#[cfg(unix)]
fn writable_by_others(file: &Path) -> io::Result<Option<PathBuf>> {
    use std::os::unix::fs::MetadataExt as _;
    const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
    for path in file.ancestors() {
        let metadata = path.metadata()?;
        if metadata.uid() != 0 || metadata.mode() & GROUP_OR_OTHERS_WRITE != 0 {
            return Ok(Some(path.to_owned()));
        }
    }
    Ok(None)
}

/// Access lists of other systems aren't read yet: nothing is trusted there.
#[cfg(not(unix))]
fn writable_by_others(file: &Path) -> io::Result<Option<PathBuf>> {
    Ok(Some(file.to_owned()))
}

fn list(paths: &[PathBuf]) -> String {
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn valid() -> String {
        super::super::tests::valid()
    }

    #[test]
    fn a_named_registry_is_for_development() {
        let folder = folder();
        let file = folder.path().join("mine.toml");
        fs::write(&file, valid()).unwrap();
        let exe = folder.path().join("bin/etatuki");
        let installed = Installed::load(Some(&file), &exe).unwrap();
        assert!(installed.development);
        assert_eq!(installed.file, file.canonicalize().unwrap());
    }

    #[test]
    fn a_registry_in_a_folder_that_everybody_can_write_is_refused() {
        let folder = folder();
        fs::write(folder.path().join(FILE_NAME), valid()).unwrap();
        let error = Installed::load(None, &folder.path().join("etatuki")).unwrap_err();
        assert!(matches!(error, PlaceError::NotTrusted { .. }), "{error}");
        assert!(error.to_string().contains("--registry FILE"), "{error}");
    }

    #[test]
    fn no_registry_names_the_places() {
        let folder = folder();
        let error = Installed::load(None, &folder.path().join("etatuki"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&folder.path().join(FILE_NAME).display().to_string()),
            "{error}"
        );
        assert!(error.contains("/etc/etatuki/backends.toml"), "{error}");
    }

    #[test]
    fn a_missing_file_and_a_folder_are_unreadable() {
        let folder = folder();
        for file in [folder.path().join("none.toml"), folder.path().to_owned()] {
            let error = Installed::load(Some(&file), Path::new("/nowhere/etatuki")).unwrap_err();
            assert!(matches!(error, PlaceError::Unreadable { .. }), "{error}");
        }
    }

    #[test]
    fn plugins_lie_beside_the_registry_then_beside_the_executable() {
        let folder = folder();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir_all(root.join("bin")).unwrap();
        let place = || plugin_folder(&root.join("etc/backends.toml"), &root.join("bin/etatuki"));
        assert_eq!(place(), root.join("bin"), "a development build");
        fs::create_dir(root.join("bin/plugins")).unwrap();
        assert_eq!(place(), root.join("bin/plugins"));
        fs::create_dir(root.join("etc/plugins")).unwrap();
        assert_eq!(place(), root.join("etc/plugins"));
    }

    #[cfg(unix)]
    #[test]
    fn root_alone_may_write() {
        assert_eq!(writable_by_others(Path::new("/etc/passwd")).unwrap(), None);
        let shared = writable_by_others(Path::new("/tmp")).unwrap();
        assert_eq!(shared, Some(PathBuf::from("/tmp")));
    }
}
