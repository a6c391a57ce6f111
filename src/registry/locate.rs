//! The search for the registry's file and for the plugin folder.

use std::path::{Path, PathBuf};

use super::load_error::LoadError;

/// The registry's file name.
pub const FILE_NAME: &str = "backends.toml";
/// The folder in which a distribution's package puts the registry.
const SYSTEM_FOLDER: &str = "/etc/etatuki";

/// Returns the registry's file of the installation whose executable is `exe`.
///
/// The first candidate that exists is the one, trusted or not: a registry that can't be trusted
/// must not be passed over in silence for another one.
pub(super) fn registry_file(exe: &Path) -> Result<PathBuf, LoadError> {
    let candidates = candidates(exe);
    let first = candidates
        .iter()
        .find(|file| file.symlink_metadata().is_ok())
        .cloned();
    first.ok_or(LoadError::Nowhere { looked: candidates })
}

fn candidates(exe: &Path) -> Vec<PathBuf> {
    let beside = exe.parent().map(|folder| folder.join(FILE_NAME));
    let system = cfg!(unix).then(|| Path::new(SYSTEM_FOLDER).join(FILE_NAME));
    beside.into_iter().chain(system).collect()
}

/// Returns the folder `plugins` beside the registry, or beside the executable. A development build
/// falls back on the executable's own folder, which is where cargo puts the libraries.
pub(super) fn plugin_folder(registry: &Path, exe: &Path) -> PathBuf {
    let beside = |file: &Path| file.parent().map(|folder| folder.join("plugins"));
    let existing = [beside(registry), beside(exe)]
        .into_iter()
        .flatten()
        .find(|path| path.is_dir());
    let cargo_folder = exe
        .parent()
        .filter(|_| cfg!(debug_assertions))
        .map(Path::to_owned);
    let folder = existing
        .or(cargo_folder)
        .or_else(|| beside(registry))
        .unwrap_or_default();
    folder.canonicalize().unwrap_or(folder)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn plugins_lie_beside_the_registry_then_beside_the_executable() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir_all(root.join("bin")).unwrap();
        let found = || plugin_folder(&root.join("etc/backends.toml"), &root.join("bin/etatuki"));
        assert_eq!(found(), root.join("bin"), "a development build");
        fs::create_dir(root.join("bin/plugins")).unwrap();
        assert_eq!(found(), root.join("bin/plugins"));
        fs::create_dir(root.join("etc/plugins")).unwrap();
        assert_eq!(found(), root.join("etc/plugins"));
    }
}
