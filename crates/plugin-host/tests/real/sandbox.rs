//! The plugin host's sandbox, tested by a plugin that tries forbidden actions.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;

use etatuki_plugin_host::{PluginHost, PluginSpec, ProbeReport};
use serde_json::json;

use crate::support::*;

const EACCES: &str = "error 13";
const EPERM: &str = "error 1";
const ENOSYS: &str = "error 38";
const DONE: &str = "done";

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
        network,
        ..spec_with(folder, json!({ "try": what }))
    };
    let (host, _events) = start_well(&spec).await;
    let results = results(&host).await;
    host.shutdown().await;
    results
}

/// Returns the plugin that tries actions, with these options.
fn spec_with(folder: &Folder, options: serde_json::Value) -> PluginSpec {
    PluginSpec {
        options,
        ..folder.misbehaving("breaks-out")
    }
}

/// Has the plugin try its actions, and returns their results.
async fn results(host: &PluginHost) -> String {
    match host.probe().await.unwrap() {
        ProbeReport::Usable { tool, .. } => tool.unwrap_or_default(),
        ProbeReport::Unusable { text, .. } => panic!("{text}"),
    }
}

/// Returns the only folder that a plugin may write into.
fn private_folder(host: &PluginHost) -> PathBuf {
    let environment = std::fs::read(format!("/proc/{}/environ", child_pid(host))).unwrap();
    let mut lines = environment.split(|byte| *byte == 0);
    let folder = lines.find_map(|line| line.strip_prefix(b"TMPDIR="));
    PathBuf::from(String::from_utf8(folder.unwrap().to_vec()).unwrap())
}

/// Has one plugin try several actions; each must have its result.
async fn expect_all(folder: &Folder, network: bool, actions: &[(&str, &str)]) {
    let what: Vec<_> = actions.iter().map(|(action, _)| *action).collect();
    let results = run_action(folder, &what.join("; "), network).await;
    let results: Vec<_> = results.split("; ").collect();
    assert_eq!(results.len(), actions.len(), "{results:?}");
    for ((action, expected), result) in actions.iter().zip(results) {
        assert_eq!(result, *expected, "{action}, network {network}");
    }
}

#[tokio::test]
async fn there_is_no_network_unless_the_registry_says_so() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (connect, fast) = (format!("connect {port}"), format!("fast-open {port}"));
    let without = [
        (connect.as_str(), EACCES),
        (&fast, EACCES),
        ("udp", EACCES),
        ("sctp", EACCES),
        ("packet", EACCES),
        ("listen", EACCES),
        ("x32", ENOSYS),
        ("ring", EACCES),
    ];
    expect_all(&folder, false, &without).await;
    let with = [
        (connect.as_str(), DONE),
        ("udp", DONE),
        ("packet", EACCES),
        ("ring", EACCES),
    ];
    expect_all(&folder, true, &with).await;
}

/// With ssh, and on terminals, the display is reached by TCP: that needs no network.
#[tokio::test]
async fn a_display_on_another_machine_is_the_only_address() {
    let folder = Folder::new();
    let bound = (6100..6200).filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    let listeners: Vec<_> = bound.take(2).collect();
    let ports: Vec<_> = listeners
        .iter()
        .map(|it| it.local_addr().unwrap().port())
        .collect();
    let [display, other] = [0, 1].map(|number: usize| format!("connect {}", ports[number]));
    let fast = format!("fast-open {}", ports[0]);
    let (all, expected) = (
        format!("{display}; {other}; {fast}; udp"),
        "done; error 13; error 13; error 13",
    );
    let display = format!("127.0.0.1:{}.0", ports[0] - 6000);
    let spec = spec_with(&folder, json!({ "try": all, "display": display }));
    let (host, _events) = start_well(&spec).await;
    assert_eq!(results(&host).await, expected);
}

/// The session bus, key agents and sound servers listen on Unix sockets, and each would do things
/// for a plugin outside of the sandbox.
#[tokio::test]
async fn no_unix_socket_is_reached_but_the_displays() {
    let folder = Folder::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("bus");
    let name = format!("etatuki-test-{}", std::process::id());
    let _listeners = [
        UnixListener::bind(&path).unwrap(),
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
    ];
    let (path, name) = (format!("unix {}", path.display()), format!("unix @{name}"));
    let swapped = path.replacen("unix", "unix-swapped", 1);
    let all = [
        (path.as_str(), EACCES),
        (&name, EACCES),
        (&swapped, EACCES),
        ("datagram 0", EACCES),
        ("datagram 1", EACCES),
    ];
    expect_all(&folder, false, &all).await;
    expect_all(&folder, true, &all).await;
}

#[tokio::test]
async fn the_users_files_cant_be_read_nor_anything_be_written() {
    let folder = Folder::new();
    let mut private = tempfile::NamedTempFile::new().unwrap();
    private.write_all(b"a diary").unwrap();
    let read = format!("read {}", private.path().display());
    assert_eq!(try_action(&folder, &read).await, EACCES);
    assert_eq!(try_action(&folder, "read /etc/passwd").await, DONE);
    // Folders in which drives and shares are mounted, and the user's other folders.
    let mine = std::env::var("XDG_RUNTIME_DIR").unwrap_or_else(|_| "/run".to_owned());
    if let Ok(private) = tempfile::NamedTempFile::new_in(mine) {
        let read = format!("read {}", private.path().display());
        assert_eq!(try_action(&folder, &read).await, EACCES);
    }
    for elsewhere in [
        "/run",
        "/var/lib",
        "/home",
        "/dev/tty",
        "/dev/ptmx",
        "/dev/shm",
    ] {
        if std::path::Path::new(elsewhere).exists() {
            let read = format!("read {elsewhere}");
            assert_eq!(try_action(&folder, &read).await, EACCES, "{elsewhere}");
        }
    }
    for path in [
        "/tmp/etatuki-was-here",
        "/etc/etatuki-was-here",
        "/dev/shm/etatuki-was-here",
    ] {
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
    for how in ["empty", "empty-neither", "mode", "mode2", "label", "watch"] {
        let change = format!("{how} {}", private.path().display());
        assert_eq!(try_action(&folder, &change).await, EACCES, "{how}");
    }
    // A library, which can be read: an older Landlock would let it be emptied.
    let readable = folder.path().join("breaks-out.so");
    let length = readable.metadata().unwrap().len();
    for how in ["empty-read", "lease", "flags"] {
        let change = format!("{how} {}", readable.display());
        assert_eq!(try_action(&folder, &change).await, EACCES, "{how}");
    }
    assert_eq!(readable.metadata().unwrap().len(), length);
    let after = private.as_file().metadata().unwrap();
    assert_eq!((after.mode(), after.len()), (before, 7));
}

/// The launcher holds the keys: here, it is this test.
#[tokio::test]
async fn the_launcher_cant_be_looked_into_nor_signalled() {
    let folder = Folder::new();
    let launcher = std::process::id();
    for action in ["signal", "signal-thread", "signal-old", "signal-handle"] {
        let what = format!("{action} {launcher}");
        assert_eq!(try_with_network(&folder, &what).await, EPERM, "{action}");
    }
    let (owner, memory) = (
        format!("signal-owner {launcher}"),
        format!("memory {launcher}"),
    );
    let folder_of = format!("signal-folder {launcher}");
    let join = format!("join {launcher}");
    let everybody = [
        (folder_of.as_str(), EACCES),
        (&owner, EACCES),
        (&memory, EACCES),
        (&join, EPERM),
        ("signal -1", EPERM),
        ("signal-own", DONE),
    ];
    expect_all(&folder, true, &everybody).await;
}

/// A limit on processor time or files ends a process as a signal does.
#[tokio::test]
async fn no_call_changes_another_process() {
    let folder = Folder::new();
    let mut other = std::process::Command::new("sleep")
        .arg("100")
        .spawn()
        .unwrap();
    let pid = other.id();
    let before = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let [limit, x32, schedule, pages] =
        ["limit", "x32-limit", "schedule", "pages"].map(|action| format!("{action} {pid}"));
    let actions = [
        (limit.as_str(), EACCES),
        (&x32, ENOSYS),
        (&schedule, EACCES),
        (&pages, EPERM),
    ];
    expect_all(&folder, true, &actions).await;
    let after = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(after, before);
}

#[tokio::test]
async fn there_are_no_new_namespaces_and_no_ways_into_the_kernel() {
    let folder = Folder::new();
    let actions = [
        // clone3, the last that is tried, doesn't exist.
        ("user-namespace", ENOSYS),
        ("net-namespace", ENOSYS),
        ("pid-namespace", ENOSYS),
        ("mount", EACCES),
        ("kernel", EACCES),
        ("unknown", ENOSYS),
    ];
    expect_all(&folder, true, &actions).await;
}

/// An accounting program may start the launcher with its data files open.
#[tokio::test]
async fn nothing_that_the_launcher_inherited_goes_on() {
    let folder = Folder::new();
    let mut file = tempfile::Builder::new()
        .prefix("inherited-")
        .tempfile()
        .unwrap();
    // Of this test's own process, as if it had been started with it.
    let inherited = rustix::io::dup(file.as_file()).unwrap();
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).unwrap();
    assert_eq!(try_action(&folder, "inherited").await, "error 9");
    let mut written = String::new();
    std::io::Read::read_to_string(&mut file, &mut written).unwrap();
    assert_eq!(written, "");
}

#[tokio::test]
async fn only_listed_variables_of_the_environment_are_handed_on() {
    let folder = Folder::new();
    // Set for every test by cargo.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let actions = [
        ("environment CARGO_MANIFEST_DIR", "error 2"),
        ("environment PATH", DONE),
    ];
    expect_all(&folder, false, &actions).await;
}

#[tokio::test]
async fn other_programs_shared_memory_is_closed_and_own_is_removed() {
    let folder = Folder::new();
    let ipcs = |words: &[&str]| {
        let output = std::process::Command::new(words[0])
            .args(&words[1..])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let made = ipcs(&["ipcmk", "-M", "4096"]);
    let id = made.trim().rsplit(' ').next().unwrap().to_owned();
    let segments = || std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let line = segments();
    let key = line.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let key = fields.next()?;
        (fields.next() == Some(&id)).then(|| key.to_owned())
    });
    let (other, by_key) = (
        format!("segment {id}"),
        format!("segment-by-key {}", key.unwrap()),
    );
    let actions = [
        (other.as_str(), EACCES),
        (&by_key, EACCES),
        ("own-segment", DONE),
        ("leave-segment", DONE),
        ("large-segment", "error 28"),
        ("messages", EACCES),
        ("memory-files", "error 23"),
        ("write-private left-over", DONE),
    ];
    let all = actions.map(|(action, _)| action).join("; ");
    let (host, _events) = start_well(&spec_with(&folder, json!({ "try": all }))).await;
    let supervisor = host.pid().to_string();
    let results = results(&host).await;
    // The fifth field is the process that made it.
    let left = || {
        segments()
            .lines()
            .any(|line| line.split_whitespace().nth(4) == Some(&supervisor))
    };
    assert!(left(), "the plugin has left none");
    let private = private_folder(&host);
    assert!(private.join("left-over").exists());
    assert_eq!(private.metadata().unwrap().mode() & 0o777, 0o700);
    host.shutdown().await;
    assert!(!left(), "{}", segments());
    assert!(!private.exists());
    let still_there = segments().split_whitespace().any(|field| field == id);
    ipcs(&["ipcrm", "-m", &id]);
    assert!(still_there, "the other program's segment was removed");
    assert_eq!(results, actions.map(|(_, expected)| expected).join("; "));
}

/// By their sum: no single process has too much.
#[tokio::test]
async fn memory_and_threads_are_bounded_as_a_whole() {
    let folder = Folder::new();
    assert_eq!(try_action(&folder, "threads").await, "error 11");
    let spec = spec_with(&folder, json!({ "try": "much-memory" }));
    let (host, mut events) = start_well(&spec).await;
    let error = host.probe().await.unwrap_err();
    // On a busy machine the call's own time-out may come first.
    if error.name() == "plugin-died" {
        let (_, log) = wait_for_death(&mut events).await;
        assert!(
            log.iter().any(|line| line.contains("MiB of memory")),
            "{log:?}"
        );
    }
}

/// Files and sockets have memory of the kernel's, which no process has.
#[tokio::test]
async fn files_and_sockets_are_bounded_as_a_whole() {
    let folder = Folder::new();
    let library = folder.misbehaving("breaks-out");
    let excesses = [
        ("folders", "too many files"),
        ("sockets", "open files"),
        ("unmapped", "MiB of memory"),
    ];
    for (action, words) in excesses {
        let spec = PluginSpec {
            options: json!({ "try": action }),
            ..library.clone()
        };
        let (host, mut events) = start_well(&spec).await;
        let private = private_folder(&host);
        let error = host.probe().await.unwrap_err();
        let (_, log) = wait_for_death(&mut events).await;
        assert!(
            log.iter().any(|line| line.contains(words)),
            "{action}: {error}, {log:?}"
        );
        assert!(!private.exists(), "{action}");
    }
}

/// When the system runs out of memory, it ends plugins and tools first; nor may they use the
/// priorities and queues that their user may.
#[tokio::test]
async fn the_systems_shortages_are_the_plugins_first() {
    let folder = Folder::new();
    let (host, _events) = start_well(&folder.misbehaving("well-behaved")).await;
    let of_child =
        |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", child_pid(&host))).unwrap();
    assert_eq!(of_child("oom_score_adj").trim(), "1000");
    let limits = of_child("limits");
    let check = |name: &str, most: u64| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        let soft = line[name.len()..].split_whitespace().next().unwrap();
        assert!(soft.parse::<u64>().is_ok_and(|soft| soft <= most), "{line}");
    };
    check("Max realtime priority", 0);
    check("Max nice priority", 0);
    check("Max pending signals", 1024);
    check("Max open files", 512);
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
    let (marker, pid) = (marker_of(&host), child_pid(&host));
    host.open("123456789012").await.unwrap();
    eventually("ten children and their host", || {
        marked_processes(&marker) == 11
    });
    host.shutdown().await;
    assert_gone(pid);
    eventually("all children are gone", || marked_processes(&marker) == 0);
}
