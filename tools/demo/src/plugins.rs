//! The plugins of `tests/plugins`, which do one thing wrong each, in a stage.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::stage::Stage;

/// Their names.
///
/// # Errors
/// There is no such folder: this was built somewhere else.
pub fn all() -> Result<Vec<String>> {
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

/// Builds one of them, puts it into the stage's plugin folder, and makes it the registry's only entry, of the same name.
/// Gives the library.
///
/// # Errors
/// It can't be built: gcc is needed.
pub fn only(stage: &Stage, name: &str) -> Result<PathBuf> {
    let folder = stage.folder().join("plugins");
    std::fs::create_dir_all(&folder)?;
    // What others could write is refused, whatever the umask says.
    let ours = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&folder, ours.clone())?;
    let library = folder.join(format!("{name}.so"));
    let made = Command::new("gcc")
        .args(["-std=c11", "-fPIC", "-shared", "-pthread", "-I"])
        .arg(repository().join("crates/backend-api/include"))
        .arg("-o")
        .arg(&library)
        .arg(repository().join(format!("tests/plugins/{name}.c")))
        .output()
        .context("gcc is needed")?;
    if !made.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&made.stderr));
    }
    std::fs::set_permissions(&library, ours)?;
    only_entry(stage, name, &format!("{name}.so"))?;
    Ok(library)
}

/// Makes this the registry's only entry.
///
/// # Errors
/// The registry can't be written.
pub fn only_entry(stage: &Stage, id: &str, file: &str) -> Result<()> {
    let text = stage.registry_text();
    let head = text.split("[[backend]]").next().unwrap_or_default();
    let entry = format!(
        "[[backend]]\nid = \"{id}\"\nlabel = {{ fi = \"Koe\", sv = \"Prov\", en = \"Test\" }}\n\
         plugin = \"{file}\"\nversion = \"*\"\nform = \"remoteus\"\n"
    );
    Ok(std::fs::write(stage.registry(), format!("{head}{entry}"))?)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
