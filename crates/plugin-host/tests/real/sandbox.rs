//! The plugin host's sandbox, tested by a plugin that tries forbidden actions.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;

use etatuki_plugin_host::{PluginSpec, ProbeReport};
use serde_json::json;

use crate::support::*;

const EACCES: &str = "error 13";

/// Has a plugin without the network try an action, and returns its result.
async fn try_action(folder: &Folder, what: &str) -> String {
    run_action(folder, what, false).await
}

/// Has a plugin with the network try an action, and returns its result.
async fn try_with_network(folder: &Folder, what: &str) -> String {
    run_action(folder, what, true).await
}

async fn run_action(folder: &Folder, what: &str, network: bool) -> String {
    let spec = PluginSpec {
        options: json!({ "try": what }),
        network,
        ..folder.misbehaving("breaks-out")
    };
    let (host, _events) = start_well(&spec).await;
    let report = host.probe().await;
    host.shutdown().await;
    match report.unwrap() {
        ProbeReport::Usable { tool, .. } => tool.unwrap_or_default(),
        ProbeReport::Unusable { text, .. } => panic!("{what}: {text}"),
    }
}

#[tokio::test]
async fn there_is_no_network_unless_the_registry_says_so() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = format!("connect {}", listener.local_addr().unwrap().port());
    assert_eq!(try_action(&folder, &connect).await, EACCES);
    assert_eq!(try_with_network(&folder, &connect).await, "done");
    assert_eq!(try_action(&folder, "udp").await, EACCES);
    assert_eq!(try_action(&folder, "x32").await, EACCES);
    assert_eq!(try_with_network(&folder, "ring").await, EACCES);
}

#[tokio::test]
async fn the_users_files_cant_be_read_nor_anything_be_written() {
    let folder = Folder::new();
    let mut private = tempfile::NamedTempFile::new().unwrap();
    private.write_all(b"a diary").unwrap();
    let read = format!("read {}", private.path().display());
    assert_eq!(try_action(&folder, &read).await, EACCES);
    assert_eq!(try_action(&folder, "read /etc/passwd").await, "done");
    // Folders in which drives and shares are mounted, and the user's other folders.
    let mine = std::env::var("XDG_RUNTIME_DIR").unwrap_or_else(|_| "/run".to_owned());
    if let Ok(private) = tempfile::NamedTempFile::new_in(mine) {
        let read = format!("read {}", private.path().display());
        assert_eq!(try_action(&folder, &read).await, EACCES);
    }
    for elsewhere in ["/run", "/var/lib", "/home", "/dev/tty"] {
        if std::path::Path::new(elsewhere).exists() {
            let read = format!("read {elsewhere}");
            assert_eq!(try_action(&folder, &read).await, EACCES, "{elsewhere}");
        }
    }
    for path in ["/tmp/etatuki-was-here", "/etc/etatuki-was-here"] {
        let result = try_action(&folder, &format!("write {path}")).await;
        assert_eq!(result, EACCES, "{path}");
        assert!(!std::path::Path::new(path).exists());
    }
    let beside = folder.path().join("more.so");
    let write = format!("write {}", beside.display());
    assert_eq!(try_action(&folder, &write).await, EACCES);
}

/// Landlock restricts opening, creating and removing files; these calls do none of that.
#[tokio::test]
async fn no_file_is_changed_without_opening_it() {
    let folder = Folder::new();
    let mut private = tempfile::NamedTempFile::new().unwrap();
    private.write_all(b"a diary").unwrap();
    let before = private.as_file().metadata().unwrap().mode();
    for how in ["empty", "mode", "mode2", "label"] {
        let change = format!("{how} {}", private.path().display());
        assert_eq!(try_action(&folder, &change).await, EACCES, "{how}");
    }
    let after = private.as_file().metadata().unwrap();
    assert_eq!((after.mode(), after.len()), (before, 7));
}

/// The launcher holds the keys, and is the parent of the plugin host: here, this test.
#[tokio::test]
async fn the_launcher_cant_be_looked_into_nor_signalled() {
    let folder = Folder::new();
    let launcher = std::process::id();
    // Landlock restricts signals since Linux 6.12.
    if kernel() >= (6, 12) {
        let signal = format!("signal {launcher}");
        assert_eq!(try_with_network(&folder, &signal).await, "error 1");
    }
    let memory = format!("memory {launcher}");
    assert_eq!(try_with_network(&folder, &memory).await, EACCES);
}

fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release
        .trim()
        .split(['.', '-'])
        .map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[tokio::test]
async fn four_gigabytes_are_not_to_be_had() {
    let folder = Folder::new();
    assert_eq!(try_action(&folder, "allocate").await, "error 12");
}

#[tokio::test]
async fn a_plugin_that_wants_the_network_is_refused_without_leave() {
    let folder = Folder::new();
    let spec = folder.misbehaving("wants-network");
    let error = start(&spec).await.map(|_| ()).unwrap_err();
    assert_eq!(error.name(), "plugin-refused");
    assert!(error.to_string().contains("network = true"), "{error}");
    let allowed = PluginSpec {
        network: true,
        ..spec
    };
    start_well(&allowed).await;
}

#[tokio::test]
async fn ten_children_are_gone_with_their_host() {
    let folder = Folder::new();
    let (host, _events) = start_well(&folder.misbehaving("fork-bomb")).await;
    let (marker, pid) = (marker_of(&host), host.pid());
    host.open("123456789012").await.unwrap();
    eventually("ten children and their host", || {
        marked_processes(&marker) == 11
    });
    host.shutdown().await;
    assert_gone(pid);
    eventually("all children are gone", || marked_processes(&marker) == 0);
}
