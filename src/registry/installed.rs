//! The registry as it is installed: found, checked and read, together with the folder of its
//! plugins.
//!
//! The registry decides which keys may let support in, so that nobody but an administrator may be
//! able to write it. The rules are in `docs/registry.md`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::signature::BuildTrust;
use super::{Backend, MAX_BYTES, Registry};
use super::{locate, trust};

pub use super::load_error::{LoadError, VendorContact};
pub use super::locate::FILE_NAME;

/// A registry together with the place that it came from.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The parsed registry.
    pub registry: Registry,
    /// The file, canonical.
    pub file: PathBuf,
    /// The only folder that plugins come from, canonical if it exists.
    pub plugins: PathBuf,
    /// Whether it was named with `--registry`: nobody vouches for it, and every window says so.
    pub development: bool,
}

impl Installed {
    /// Finds, checks and reads the registry: the one that was `given` with `--registry`, or the one
    /// of the installation whose executable is `exe`.
    ///
    /// # Errors
    /// The reason why there is none, in words for the integrator.
    pub fn load(given: Option<&Path>, exe: &Path) -> Result<Self, LoadError> {
        Self::load_trusting(given, exe, &BuildTrust::of_build()?)
    }

    /// Does what [`load`](Self::load) does, with `trust` instead of the build's own.
    ///
    /// # Errors
    /// The reason why there is none, in words for the integrator.
    pub fn load_trusting(
        given: Option<&Path>,
        exe: &Path,
        trust: &BuildTrust,
    ) -> Result<Self, LoadError> {
        let (path, development) = match given {
            Some(file) => (file.to_owned(), true),
            None => (locate::registry_file(exe)?, false),
        };
        let unreadable = |error| LoadError::Unreadable {
            file: path.clone(),
            error,
        };
        let file = path.canonicalize().map_err(unreadable)?;
        // All checks are of this text, whatever the file contains a moment later.
        let text = read_bounded(&file, MAX_BYTES).map_err(unreadable)?;
        let signed = !development && trust::is_signed(&file, &text, trust)?;
        let writable = trust::writable_by_others(&file).map_err(unreadable)?;
        if let (Some(writable), false) = (writable, signed || development) {
            return Err(LoadError::NotTrusted { file, writable });
        }
        let registry = Registry::parse(&text, &file.to_string_lossy()).map_err(|error| {
            let vendor = VendorContact::find(&text).map(Box::new);
            LoadError::Broken { error, vendor }
        })?;
        // A plugin under development changes all day: its hash isn't asked for.
        if !development {
            check_pinned(&registry, &file)?;
        }
        let plugins = locate::plugin_folder(&file, exe);
        Ok(Self {
            registry,
            file,
            plugins,
            development,
        })
    }
}

/// Checks that every plugin is identified by its hash or its signature.
fn check_pinned(registry: &Registry, file: &Path) -> Result<(), LoadError> {
    let is_unpinned = |backend: &&Backend| backend.sha256.is_none() && backend.minisign.is_none();
    match registry.backends.iter().find(is_unpinned) {
        None => Ok(()),
        Some(backend) => Err(LoadError::Unpinned {
            file: file.to_owned(),
            id: backend.id.clone(),
        }),
    }
}

/// Reads at most `max_bytes` of a file, and one more if there is one: so the caller sees that it is
/// too long.
pub(super) fn read_bounded(file: &Path, max_bytes: usize) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?
        .take(max_bytes as u64 + 1)
        .read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::registry::signature::RegistryKey;

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
        assert!(matches!(error, LoadError::NotTrusted { .. }), "{error}");
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
            assert!(matches!(error, LoadError::Unreadable { .. }), "{error}");
        }
    }

    /// A registry signed by `minisign` 0.11, in a folder that others than root can write.
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
            let key = RegistryKey::parse(public.lines().nth(1).unwrap());
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

        fn load(&self, trust: &BuildTrust) -> Result<Installed, LoadError> {
            Installed::load_trusting(None, &self.path("etatuki"), trust)
        }
    }

    #[test]
    fn a_signed_registry_is_trusted_wherever_it_lies() {
        let signed = Signed::new();
        let installed = signed.load(&Signed::trust()).unwrap();
        assert!(!installed.development);
        // A build without a key accepts no signature.
        let refused = signed.load(&BuildTrust::default()).unwrap_err();
        assert!(matches!(refused, LoadError::NotTrusted { .. }), "{refused}");
    }

    #[test]
    fn a_changed_registry_or_a_wrong_signature_is_refused() {
        let signed = Signed::new();
        signed.change("02-2767 171", "0600 0 0000");
        let refused = signed.load(&Signed::trust()).unwrap_err();
        assert!(
            matches!(refused, LoadError::BadSignature { .. }),
            "{refused}"
        );

        let check = |content: &[u8]| {
            let signed = Signed::new();
            fs::write(signed.path("backends.toml.minisig"), content).unwrap();
            let refused = signed.load(&Signed::trust()).unwrap_err();
            assert!(
                matches!(refused, LoadError::BadSignature { .. }),
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
        assert!(matches!(refused, LoadError::Unsigned { .. }), "{refused}");
        let lenient = BuildTrust {
            signed_only: false,
            ..Signed::trust()
        };
        let refused = signed.load(&lenient).unwrap_err();
        assert!(matches!(refused, LoadError::NotTrusted { .. }), "{refused}");
    }

    #[test]
    fn every_plugin_needs_its_hash_or_its_signature() {
        let unpinned = fs::read_to_string(Signed::fixture("backends.toml")).unwrap();
        let unpinned = unpinned.replacen(&format!("sha256 = \"{}\"\n", "0f".repeat(32)), "", 1);
        let registry = Registry::parse(&unpinned, "backends.toml").unwrap();
        let refused = check_pinned(&registry, Path::new("backends.toml"));
        assert!(
            matches!(refused, Err(LoadError::Unpinned { id, .. }) if id == "ecom"),
            "the first one has no hash"
        );
    }
}
