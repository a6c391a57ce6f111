//! Every seed, and every input that once was a finding, goes through its target without a panic.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn seeds_and_old_findings_do_no_harm() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, target) in etatuki_fuzz::TARGETS {
        let seeds = files(&here.join("corpus").join(name));
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let findings = files(&here.join("regressions").join(name));
        for path in seeds.iter().chain(&findings) {
            println!("{}", path.display());
            target(&fs::read(path).expect("a seed can be read"));
        }
    }
}

#[test]
fn every_folder_belongs_to_a_target() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for kept in ["corpus", "regressions"] {
        for folder in files(&here.join(kept)) {
            let name = folder.file_name().and_then(|name| name.to_str());
            let known = name.and_then(etatuki_fuzz::target).is_some();
            assert!(
                known || folder.is_file(),
                "{} has no target",
                folder.display()
            );
        }
    }
}

/// Returns the paths of a folder's entries; none when the folder doesn't exist.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}
