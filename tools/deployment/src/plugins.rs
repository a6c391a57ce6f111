//! The plugins of `tests/plugins`, each of which does one thing wrong, in a deployment.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::deployment::Deployment;

/// Returns the plugins' names.
///
/// # Errors
/// The folder doesn't exist: this was built somewhere else.
pub fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in repository().join("tests/plugins").read_dir()? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            let name = path.file_stem().context("a name")?;
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Builds one of them into the deployment's plugin folder, and makes it the registry's only entry,
/// with its name as id. Returns the library's path.
///
/// # Errors
/// It can't be built, for which gcc is needed.
pub fn install_only(deployment: &Deployment, name: &str) -> Result<PathBuf> {
    let folder = deployment.folder().join("plugins");
    std::fs::create_dir_all(&folder)?;
    // A folder or file that others could write is refused, whatever the umask is.
    let owner_writes = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&folder, owner_writes.clone())?;
    let library = folder.join(format!("{name}.so"));
    let compiled = Command::new("gcc")
        .args(["-std=c11", "-fPIC", "-shared", "-pthread", "-I"])
        .arg(repository().join("crates/backend-api/include"))
        .arg("-o")
        .arg(&library)
        .arg(repository().join(format!("tests/plugins/{name}.c")))
        .output()
        .context("gcc is needed")?;
    if !compiled.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&compiled.stderr));
    }
    std::fs::set_permissions(&library, owner_writes)?;
    register_only(deployment, name, &format!("{name}.so"))?;
    Ok(library)
}

/// Makes the plugin `file` the registry's only entry, with the id `id`.
///
/// # Errors
/// The registry can't be written.
pub fn register_only(deployment: &Deployment, id: &str, file: &str) -> Result<()> {
    let text = deployment.registry_text();
    let head = text.split("[[backend]]").next().unwrap_or_default();
    let entry = format!(
        "[[backend]]\nid = \"{id}\"\nlabel = {{ fi = \"Koe\", sv = \"Prov\", en = \"Test\" }}\n\
         plugin = \"{file}\"\nversion = \"*\"\nform = \"remoteus\"\n"
    );
    Ok(std::fs::write(
        deployment.registry(),
        format!("{head}{entry}"),
    )?)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
