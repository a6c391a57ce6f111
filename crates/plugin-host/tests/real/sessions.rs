//! Whole sessions with well-behaved plugins: two in Rust by the SDK, one in plain C.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use etatuki_plugin_host::{
    HostError, HostEvent, LogLevel, Permissions, PluginHost, PluginSpec, ProbeReport,
};
use serde_json::json;

use crate::support::*;

async fn whole_session(spec: PluginSpec) {
    let (host, mut events) = start_well(&spec).await;
    let pid = child_pid(&host);
    assert_eq!(host.descriptor().id, spec.id);
    wait_for(&mut events, "closed").await;

    for code in ["123456789012", "210987654321"] {
        host.open(code).await.unwrap();
        let (found, failure) = wait_for(&mut events, "waiting").await;
        assert_eq!((found.as_deref(), failure), (Some(code), None));
        host.permissions(Permissions::VIEW).await.unwrap();
        for _ in 0..2 {
            let stream = attach_and_greet(&host).await;
            wait_for(&mut events, "attached").await;
            drop(stream);
            wait_for(&mut events, "waiting").await;
        }
        let mut stream = attach_and_greet(&host).await;
        host.close().await.unwrap();
        wait_for(&mut events, "closed").await;
        // Close ends the stream, also with unread bytes in it.
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    host.shutdown().await;
    assert_gone(pid);
    assert_eq!(
        find(&mut events, |event| matches!(event, HostEvent::Died { .. })
            .then_some(()))
        .await,
        None
    );
}

/// Attaches a socket and receives the RFB version, which the server sends and the echo plugin sends
/// back. The plugin's end is non-blocking, as a session's would be.
async fn attach_and_greet(host: &PluginHost) -> UnixStream {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    host.attach(theirs).await.unwrap();
    ours.set_read_timeout(Some(TIMEOUT)).unwrap();
    ours.write_all(b"RFB 003.008\n").unwrap();
    let mut back = [0; 12];
    ours.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"RFB 003.008\n");
    ours
}

#[tokio::test]
async fn a_plugin_in_rust_serves_sessions() {
    let folder = Folder::new();
    whole_session(folder.echo(json!(null))).await;
    whole_session(folder.testcard_in_rust()).await;
}

#[tokio::test]
async fn a_plugin_in_c_serves_sessions() {
    let folder = Folder::new();
    whole_session(folder.testcard_in_c()).await;
}

#[tokio::test]
async fn the_descriptor_comes_across() {
    let folder = Folder::new();
    let (host, _events) = start_well(&folder.testcard_in_c()).await;
    let plugin = host.descriptor();
    assert_eq!(
        (plugin.name.as_str(), plugin.vendor.as_str()),
        ("Test card", "Example Ltd")
    );
    assert_eq!(
        (
            plugin.version.to_string().as_str(),
            plugin.code_form.as_str()
        ),
        ("1.0.0", "remoteus")
    );
    assert_eq!(plugin.capabilities, etatuki_backend_api::raw::CAP_INPUT);
}

#[tokio::test]
async fn a_probe_says_what_it_found_or_why_not() {
    let folder = Folder::new();
    let (host, _events) = start_well(&folder.echo(json!({}))).await;
    let usable = ProbeReport::Usable {
        tool: Some("echo".into()),
        version: Some("1.2.3".into()),
    };
    assert_eq!(host.probe().await.unwrap(), usable);

    let (host, _events) = start_well(&folder.echo(json!({"unusable": "no tool here"}))).await;
    let unusable = ProbeReport::Unusable {
        name: "tool-missing".into(),
        text: "no tool here".into(),
    };
    assert_eq!(host.probe().await.unwrap(), unusable);

    let (host, _events) = start_well(&folder.misbehaving("well-behaved")).await;
    assert_eq!(
        host.probe().await.unwrap(),
        ProbeReport::Usable {
            tool: None,
            version: None
        }
    );
}

#[tokio::test]
async fn what_the_plugin_logs_comes_out_without_the_code() {
    let folder = Folder::new();
    let (host, mut events) = start_well(&folder.misbehaving("prints")).await;
    host.open("123456789012").await.unwrap();
    host.shutdown().await;
    let mut log = Vec::new();
    while let Some(event) = events.recv().await {
        if let HostEvent::Log { level, text } = event {
            assert_eq!(level, LogLevel::Info);
            log.push(text);
        }
    }
    let log = log.join("\n");
    assert!(
        log.starts_with("loaded\n{\"type\":\"hello\",\"protocol\":99"),
        "{log}"
    );
    assert!(log.contains("stdin gives -1"), "{log}");
    assert!(
        log.contains("the code is <code>") && !log.contains("123456789012"),
        "{log}"
    );
    assert!(log.ends_with("no end of line"), "{log}");
}

#[tokio::test]
async fn a_plugin_that_fails_says_how_and_can_be_closed() {
    let folder = Folder::new();
    for (what, expected) in [
        ("fail", "tool-failed (tool): told to fail"),
        (
            "panic",
            "plugin-failed (plugin): the plugin panicked: told to panic",
        ),
    ] {
        let (host, mut events) = start_well(&folder.echo(json!({ "open": what }))).await;
        host.open("123456789012").await.unwrap();
        let (code, failure) = wait_for(&mut events, "failed").await;
        assert_eq!((code, failure.as_deref()), (None, Some(expected)));
        host.close().await.unwrap();
        wait_for(&mut events, "closed").await;
    }
}

#[tokio::test]
async fn a_call_in_the_wrong_state_is_the_callers_fault_and_harms_nothing() {
    let folder = Folder::new();
    let (host, mut events) = start_well(&folder.echo(json!(null))).await;
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let error = host.attach(theirs).await.unwrap_err();
    let HostError::Plugin(report) = &error else {
        panic!("{error}")
    };
    assert_eq!(
        (report.fault.as_str(), error.name()),
        ("caller", "plugin-failed")
    );
    assert_eq!(
        ours.read(&mut [0]).unwrap(),
        0,
        "a socket that was refused is closed"
    );
    host.open("1").await.unwrap();
    assert!(matches!(host.open("2").await, Err(HostError::Plugin(_))));
    assert_eq!(
        wait_for(&mut events, "waiting").await.0.as_deref(),
        Some("1")
    );
}

#[tokio::test]
async fn a_host_that_is_dropped_leaves_nothing() {
    let folder = Folder::new();
    let (host, mut events) = start_well(&folder.echo(json!(null))).await;
    let pid = child_pid(&host);
    drop(host);
    assert_gone(pid);
    assert_eq!(
        find(&mut events, |event| matches!(event, HostEvent::Died { .. })
            .then_some(()))
        .await,
        None
    );
}

#[test]
fn a_runtime_that_is_dropped_leaves_nothing() {
    let folder = Folder::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (host, _events) = runtime.block_on(start_well(&folder.echo(json!(null))));
    let pid = child_pid(&host);
    drop(runtime);
    assert_gone(pid);
    drop(host);
    eventually("the child is reaped", || {
        !std::path::Path::new(&format!("/proc/{pid}")).exists()
    });
}

#[tokio::test]
async fn many_calls_at_once_are_all_answered() {
    let folder = Folder::new();
    let (host, _events) = start_well(&folder.echo(json!(null))).await;
    let host = std::sync::Arc::new(host);
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let host = std::sync::Arc::clone(&host);
            tokio::spawn(async move { host.permissions(Permissions::CONTROL).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}
