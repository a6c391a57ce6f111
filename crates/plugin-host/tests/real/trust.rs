//! Trust in a plugin's file, tested through the whole host; the rule itself is tested beside its
//! code.

use std::os::unix::fs::{PermissionsExt, symlink};

use etatuki_plugin_host::PluginSpec;
use sha2::{Digest, Sha256};

use crate::support::*;

async fn check(change: impl FnOnce(&Folder, &mut PluginSpec), expected: Result<(), (&str, &str)>) {
    let folder = Folder::new();
    let mut spec = folder.misbehaving("well-behaved");
    change(&folder, &mut spec);
    match (start(&spec).await.map(|_| ()), expected) {
        (Ok(()), Ok(())) => {}
        (Err(error), Err((name, words))) => {
            assert_eq!(error.name(), name, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
        (found, expected) => panic!("found {found:?}, expected {expected:?}"),
    }
}

fn hash(spec: &PluginSpec) -> [u8; 32] {
    Sha256::digest(std::fs::read(&spec.path).unwrap()).into()
}

fn chmod(path: &std::path::Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn the_hash_decides() {
    check(|_, spec| spec.sha256 = Some(hash(spec)), Ok(())).await;
    let changed = |_: &Folder, spec: &mut PluginSpec| {
        spec.sha256 = Some(hash(spec));
        let mut bytes = std::fs::read(&spec.path).unwrap();
        bytes.push(0);
        std::fs::write(&spec.path, bytes).unwrap();
    };
    check(
        changed,
        Err(("plugin-refused", "its SHA-256 is not the registry's")),
    )
    .await;
}

#[tokio::test]
async fn what_others_can_write_is_refused() {
    for mode in [0o664, 0o646] {
        let expected = Err(("plugin-refused", "well-behaved.so can be written by others"));
        check(|_, spec| chmod(&spec.path, mode), expected).await;
    }
    for mode in [0o777, 0o1777, 0o775] {
        let expected = Err(("plugin-refused", "can be written by others"));
        check(|folder, _| chmod(&folder.path(), mode), expected).await;
    }
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_refused() {
    let given_away = |_: &Folder, spec: &mut PluginSpec| {
        std::os::unix::fs::chown(&spec.path, Some(65534), None).unwrap();
    };
    if rustix::process::geteuid().is_root() {
        check(
            given_away,
            Err(("plugin-refused", "belongs to another user")),
        )
        .await;
    }
}

#[tokio::test]
async fn a_link_out_of_the_folder_is_refused() {
    let elsewhere = Folder::new();
    let other = elsewhere.misbehaving("well-behaved");
    let link = |folder: &Folder, spec: &mut PluginSpec| {
        spec.path = folder.path().join("link.so");
        symlink(&other.path, &spec.path).unwrap();
    };
    check(link, Err(("plugin-refused", "link.so is a link"))).await;
    check(
        |_, spec| spec.path = other.path.clone(),
        Err(("plugin-refused", "not inside the plugin folder")),
    )
    .await;
    check(
        |folder, spec| spec.path = folder.path().join("none.so"),
        Err(("plugin-missing", "none.so")),
    )
    .await;
}

#[tokio::test]
async fn nothing_is_loaded_before_it_is_judged() {
    // The plugin would hang if its initialiser ran.
    let folder = Folder::new();
    let spec = folder.misbehaving("hang-in-load");
    chmod(&spec.path, 0o666);
    assert_eq!(
        start(&spec).await.map(|_| ()).unwrap_err().name(),
        "plugin-refused"
    );
}

#[tokio::test]
async fn the_environment_slips_no_library_in() {
    let folder = Folder::new();
    let (host, _events) = start_well(&folder.misbehaving("well-behaved")).await;
    // Cargo sets LD_LIBRARY_PATH for tests, so there is a variable to remove.
    assert!(std::env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("LD_")));
    let environment = std::fs::read(format!("/proc/{}/environ", child_pid(&host))).unwrap();
    let names: Vec<&[u8]> = environment
        .split(|byte| *byte == 0)
        .filter(|line| line.starts_with(b"LD_"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}
