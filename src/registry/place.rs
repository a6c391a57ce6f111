//! Where the registry lies, whether that place can be trusted, and where its plugins are.
//!
//! The registry decides which keys may let support in, so that nobody but an administrator may be able
//! to write it. The rules are in `docs/registry.md`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::signature::{self, BadBuildKey, BuildTrust};
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
    /// Its signature isn't the vendor's, or not of this text.
    #[error(
        "the signature {} isn't the vendor's, or the registry was changed after it was signed; install both \
         again as the vendor ships them",
        signature.display()
    )]
    BadSignature {
        /// The signature's file.
        signature: PathBuf,
    },
    /// This build takes signed registries only.
    #[error(
        "the registry {} isn't signed, and this build takes none that isn't; put the vendor's {} beside it",
        file.display(), signature.display()
    )]
    Unsigned {
        /// The registry.
        file: PathBuf,
        /// Where its signature would be.
        signature: PathBuf,
    },
    /// Nothing says which plugin is meant.
    #[error(
        "the registry {} has no sha256 and no minisign key for backend `{id}`, so that any file could pass for \
         its plugin; add one (`sha256sum` prints the first)",
        file.display()
    )]
    Unpinned {
        /// The registry.
        file: PathBuf,
        /// The backend.
        id: String,
    },
    /// The build itself is wrong.
    #[error(transparent)]
    Build(#[from] BadBuildKey),
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
        Self::load_trusting(given, exe, &BuildTrust::of_build()?)
    }

    /// The same for a build that trusts this.
    ///
    /// # Errors
    /// Why there is none, in words for the integrator.
    pub fn load_trusting(
        given: Option<&Path>,
        exe: &Path,
        trust: &BuildTrust,
    ) -> Result<Self, PlaceError> {
        let (found, development) = match given {
            Some(file) => (file.to_owned(), true),
            None => (find(&candidates(exe))?, false),
        };
        let unreadable = |error| PlaceError::Unreadable {
            file: found.clone(),
            error,
        };
        let file = found.canonicalize().map_err(unreadable)?;
        // What is judged is this text, whatever the file says a moment later.
        let text = read(&file, MAX_BYTES).map_err(unreadable)?;
        let signed = !development && is_signed(&file, &text, trust)?;
        let writable = writable_by_others(&file).map_err(unreadable)?;
        if let (Some(writable), false) = (writable, signed || development) {
            return Err(PlaceError::NotTrusted { file, writable });
        }
        let registry = Registry::parse(&text, &file.to_string_lossy())?;
        if !development {
            all_pinned(&registry, &file)?;
        }
        let plugins = plugin_folder(&file, exe);
        Ok(Self {
            registry,
            file,
            plugins,
            development,
        })
    }
}

/// Whether the vendor has signed this text. No signature is a no; a wrong one is an error.
fn is_signed(file: &Path, text: &str, trust: &BuildTrust) -> Result<bool, PlaceError> {
    let mut signature = file.as_os_str().to_owned();
    signature.push(signature::EXTENSION);
    let signature = PathBuf::from(signature);
    let read = match read(&signature, signature::MAX_BYTES) {
        Ok(read) => Some(read),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => return Err(PlaceError::BadSignature { signature }),
    };
    match (&trust.key, read) {
        (Some(key), Some(read)) if key.has_signed(text.as_bytes(), &read) => Ok(true),
        (Some(_), Some(_)) => Err(PlaceError::BadSignature { signature }),
        _ if trust.signed_only => {
            let file = file.to_owned();
            Err(PlaceError::Unsigned { file, signature })
        }
        (Some(_), None) => {
            tracing::warn!("the registry {} isn't signed", file.display());
            Ok(false)
        }
        (None, _) => Ok(false),
    }
}

/// Every plugin must be known by its hash or its signature; who is developing one, changes it all day.
fn all_pinned(registry: &Registry, file: &Path) -> Result<(), PlaceError> {
    let unpinned =
        |backend: &&super::Backend| backend.sha256.is_none() && backend.minisign.is_none();
    match registry.backends.iter().find(unpinned) {
        None => Ok(()),
        Some(backend) => Err(PlaceError::Unpinned {
            file: file.to_owned(),
            id: backend.id.clone(),
        }),
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

fn read(file: &Path, most: usize) -> io::Result<String> {
    let mut text = String::new();
    // One byte more than allowed, so that whoever parses it sees that there is too much.
    File::open(file)?
        .take(most as u64 + 1)
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

    /// A registry that `minisign` 0.11 has signed, in a folder that is ours alone to write.
    struct Signed(tempfile::TempDir);

    impl Signed {
        fn new() -> Self {
            let signed = Self(folder());
            for name in ["backends.toml", "backends.toml.minisig"] {
                fs::copy(Self::fixture(name), signed.path(name)).unwrap();
            }
            signed
        }

        fn fixture(name: &str) -> PathBuf {
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/fixtures/signed")
                .join(name)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn trust() -> BuildTrust {
            let public = fs::read_to_string(Self::fixture("minisign.pub")).unwrap();
            let key = signature::RegistryKey::parse(public.lines().nth(1).unwrap());
            BuildTrust {
                key: Some(key.unwrap()),
                signed_only: true,
            }
        }

        fn change(&self, from: &str, to: &str) {
            let text = fs::read_to_string(self.path("backends.toml")).unwrap();
            assert!(text.contains(from));
            fs::write(self.path("backends.toml"), text.replace(from, to)).unwrap();
        }

        fn load(&self, trust: &BuildTrust) -> Result<Installed, PlaceError> {
            Installed::load_trusting(None, &self.path("etatuki"), trust)
        }
    }

    #[test]
    fn a_signed_registry_is_trusted_wherever_it_lies() {
        let signed = Signed::new();
        let installed = signed.load(&Signed::trust()).unwrap();
        assert!(!installed.development);
        // A build without a key believes nobody's signature.
        let refused = signed.load(&BuildTrust::default()).unwrap_err();
        assert!(
            matches!(refused, PlaceError::NotTrusted { .. }),
            "{refused}"
        );
    }

    #[test]
    fn a_changed_registry_or_a_wrong_signature_is_refused() {
        let signed = Signed::new();
        signed.change("02-2767 171", "0600 0 0000");
        let refused = signed.load(&Signed::trust()).unwrap_err();
        assert!(
            matches!(refused, PlaceError::BadSignature { .. }),
            "{refused}"
        );

        let check = |content: &[u8]| {
            let signed = Signed::new();
            fs::write(signed.path("backends.toml.minisig"), content).unwrap();
            let refused = signed.load(&Signed::trust()).unwrap_err();
            assert!(
                matches!(refused, PlaceError::BadSignature { .. }),
                "{refused}"
            );
        };
        check(b"");
        check(b"rubbish");
        check(&[0xff; 9000]);
        check(&fs::read(Signed::fixture("old-kind.minisig")).unwrap());
    }

    #[test]
    fn an_unsigned_registry_is_refused_where_the_build_says_so() {
        let signed = Signed::new();
        fs::remove_file(signed.path("backends.toml.minisig")).unwrap();
        let refused = signed.load(&Signed::trust()).unwrap_err();
        assert!(matches!(refused, PlaceError::Unsigned { .. }), "{refused}");
        let lenient = BuildTrust {
            signed_only: false,
            ..Signed::trust()
        };
        let refused = signed.load(&lenient).unwrap_err();
        assert!(
            matches!(refused, PlaceError::NotTrusted { .. }),
            "{refused}"
        );
    }

    #[test]
    fn every_plugin_needs_its_hash_or_its_signature() {
        let unpinned = fs::read_to_string(Signed::fixture("backends.toml")).unwrap();
        let unpinned = unpinned.replacen(&format!("sha256 = \"{}\"\n", "0f".repeat(32)), "", 1);
        let registry = Registry::parse(&unpinned, "backends.toml").unwrap();
        let refused = all_pinned(&registry, Path::new("backends.toml"));
        assert!(
            matches!(refused, Err(PlaceError::Unpinned { id, .. }) if id == "ecom"),
            "the first one has no hash"
        );
    }

    #[cfg(unix)]
    #[test]
    fn root_alone_may_write() {
        assert_eq!(writable_by_others(Path::new("/etc/passwd")).unwrap(), None);
        let shared = writable_by_others(Path::new("/tmp")).unwrap();
        assert_eq!(shared, Some(PathBuf::from("/tmp")));
    }
}
