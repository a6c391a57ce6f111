//! Leaks of descriptors, threads and processes over many sessions. The only test in its process,
//! since it counts them.

#![allow(clippy::unwrap_used)]

#[path = "real/support.rs"]
mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use etatuki_plugin_host::{HostEvents, PluginHost};
use support::*;

fn count(of: &str, pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/{of}"))
        .unwrap()
        .count()
}

async fn session(host: &PluginHost, events: &mut HostEvents) {
    host.open("123456789012").await.unwrap();
    wait_for(events, "waiting").await;
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    host.attach(theirs).await.unwrap();
    ours.write_all(b"x").unwrap();
    ours.read_exact(&mut [0]).unwrap();
    host.close().await.unwrap();
    wait_for(events, "closed").await;
}

#[tokio::test]
async fn nothing_grows_over_fifty_sessions() {
    let folder = Folder::new();
    for spec in [
        folder.echo(serde_json::json!(null)),
        folder.testcard_in_c(),
        folder.testcard_in_rust(),
    ] {
        within_one_child(&spec).await;
        over_many_children(&spec).await;
    }
}

async fn within_one_child(spec: &etatuki_plugin_host::PluginSpec) {
    let (host, mut events) = start_well(spec).await;
    let threads = || count("task", child_pid(&host));
    let idle = threads();
    session(&host, &mut events).await;
    wait_for_threads(idle, threads);
    let before = count("fd", child_pid(&host));
    for _ in 0..50 {
        session(&host, &mut events).await;
    }
    wait_for_threads(idle, threads);
    let after = count("fd", child_pid(&host));
    assert_eq!(after, before, "{}: descriptors of the child", spec.id);
    host.shutdown().await;
}

/// Waits for this number of threads: the thread that reports `closed` may end a moment later.
fn wait_for_threads(wanted: usize, threads: impl Fn() -> usize) {
    let end = Instant::now() + TIMEOUT;
    while threads() != wanted {
        let late = Instant::now() > end;
        assert!(!late, "{} threads instead of {wanted}", threads());
        std::thread::sleep(Duration::from_millis(5));
    }
}

async fn over_many_children(spec: &etatuki_plugin_host::PluginSpec) {
    let me = std::process::id();
    let mut before = None;
    for _ in 0..50 {
        let (host, mut events) = start_well(spec).await;
        let pid = child_pid(&host);
        session(&host, &mut events).await;
        host.shutdown().await;
        assert_gone(pid);
        assert!(
            !std::path::Path::new(&format!("/proc/{pid}")).exists(),
            "the child was not reaped"
        );
        drop(events);
        let now = count("fd", me);
        assert_eq!(
            *before.get_or_insert(now),
            now,
            "{}: descriptors of the parent",
            spec.id
        );
    }
}
