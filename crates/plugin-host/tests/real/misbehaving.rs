//! Plugins that hang, crash or lie: each must lead to an error or event of the right name, in time,
//! and leave no process behind.

use std::time::{Duration, Instant};

use etatuki_plugin_host::{HostError, HostEvent, Permissions, PluginSpec, ProbeReport};
use serde_json::json;

use crate::support::*;

/// A call's time-out, and a busy machine's delay.
const MAX_DURATION: Duration = Duration::from_secs(10);

/// Checks the name, and part of the text, of the error of a plugin that can't be loaded.
async fn check_start(plugin: &str, name: &str, words: &str) {
    let folder = Folder::new();
    let start_time = Instant::now();
    let error = start(&folder.misbehaving(plugin))
        .await
        .map(|_| ())
        .expect_err(plugin);
    assert_eq!(error.name(), name, "{plugin}: {error}");
    assert!(error.to_string().contains(words), "{plugin}: {error}");
    assert!(
        start_time.elapsed() < MAX_DURATION,
        "{plugin} took {:?}",
        start_time.elapsed()
    );
}

#[tokio::test]
async fn what_is_no_plugin_of_ours_is_not_loaded() {
    check_start(
        "wrong-major",
        "plugin-wrong-version",
        "not a plugin for interface version 1, but for 2",
    )
    .await;
    check_start(
        "no-plugin",
        "plugin-wrong-version",
        "not a plugin for interface version 1",
    )
    .await;
    check_start(
        "lies-about-id",
        "plugin-refused",
        "says that it is \"ecom\", not \"lies-about-id\"",
    )
    .await;
    check_start(
        "missing-symbol",
        "plugin-failed",
        "missing-symbol.so: undefined symbol: nobody_has_this",
    )
    .await;
    check_start("odd-version", "plugin-failed", "\"latest\" is not semver").await;
    check_start(
        "short-descriptor",
        "plugin-failed",
        "the descriptor has 32 bytes",
    )
    .await;
    check_start(
        "short-instance",
        "plugin-failed",
        "the instance has 64 bytes",
    )
    .await;
    check_start(
        "no-open",
        "plugin-failed",
        "the instance has no function open",
    )
    .await;
    check_start("create-fails", "plugin-failed", "create returned 202").await;
}

#[tokio::test]
async fn the_version_must_be_one_that_the_registry_wants() {
    let folder = Folder::new();
    let mut spec = folder.misbehaving("well-behaved");
    spec.version = ">=1.4, <2".parse().unwrap();
    start_well(&spec).await;
    spec.version = "^2".parse().unwrap();
    let error = start(&spec).await.map(|_| ()).unwrap_err();
    assert_eq!(error.name(), "plugin-wrong-version");
    assert_eq!(
        error.to_string(),
        "the plugin has version 1.4.0, wanted is ^2"
    );
}

#[tokio::test]
async fn a_plugin_that_hangs_while_it_is_loaded_is_killed() {
    check_start("hang-in-load", "plugin-hung", "hung in load").await;
}

#[tokio::test]
async fn a_plugin_that_hangs_in_a_call_is_killed_with_its_tool() {
    let folder = Folder::new();
    let (host, mut events) = start_well(&folder.misbehaving("hang-in-open")).await;
    let pid = child_pid(&host);
    let start_time = Instant::now();
    let error = host.open("123456789012").await.unwrap_err();
    assert!(
        matches!(&error, HostError::Hung { call, .. } if call == "open"),
        "{error}"
    );
    assert_eq!(error.name(), "plugin-hung");
    assert!(start_time.elapsed() < MAX_DURATION);
    assert_eq!(
        wait_for_death(&mut events).await.0,
        "the plugin hung in open"
    );
    assert_gone(pid);
    assert_eq!(host.close().await.unwrap_err().name(), "plugin-died");
}

#[tokio::test]
async fn a_hang_is_noticed_also_when_nobody_waits() {
    let folder = Folder::new();
    let (host, mut events) = start_well(&folder.misbehaving("hang-in-state")).await;
    let pid = child_pid(&host);
    host.open("123456789012").await.unwrap();
    assert_eq!(
        wait_for(&mut events, "failed").await.1.as_deref(),
        Some("plugin-hung (plugin): the plugin hung in state")
    );
    assert_eq!(
        wait_for_death(&mut events).await.0,
        "the plugin hung in state"
    );
    assert_gone(pid);
}

#[tokio::test]
async fn a_host_that_stands_still_is_killed() {
    let folder = Folder::new();
    let (host, mut events) = start_well(&folder.misbehaving("well-behaved")).await;
    let pid = child_pid(&host);
    let process = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    let error = host.probe().await.unwrap_err();
    assert!(
        matches!(&error, HostError::Hung { call, .. } if call == "probe"),
        "{error}"
    );
    assert_eq!(
        wait_for_death(&mut events).await.0,
        "the plugin hung in probe"
    );
    assert_gone(pid);
}

#[tokio::test]
async fn a_plugin_that_does_not_want_to_leave_is_killed() {
    let folder = Folder::new();
    let (host, _events) = start_well(&folder.misbehaving("hang-in-destroy")).await;
    let pid = child_pid(&host);
    let start_time = Instant::now();
    host.shutdown().await;
    assert!(start_time.elapsed() < MAX_DURATION);
    assert_gone(pid);
}

#[tokio::test]
async fn a_tool_that_left_the_group_is_found_too() {
    let folder = Folder::new();
    let spec = folder.misbehaving("runaway-tool");
    for by_shutdown in [true, false] {
        let (host, mut events) = start_well(&spec).await;
        let marker = marker_of(&host);
        host.open("123456789012").await.unwrap();
        wait_for(&mut events, "waiting").await;
        let pid = child_pid(&host);
        eventually("the tool has left the group", || {
            marked_processes(&marker) == 2 && group_members(pid).len() == 1
        });
        if by_shutdown {
            host.shutdown().await;
        } else {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            wait_for_death(&mut events).await;
        }
        eventually("the tool is gone", || marked_processes(&marker) == 0);
    }
}

/// No marker, group, session or parent leads to these: only that every process has an ancestor.
#[tokio::test]
async fn no_process_outlives_its_host_whatever_it_does() {
    let folder = Folder::new();
    let library = folder.misbehaving("breaks-out");
    for how in ["leave", "stop", "hop"] {
        for by_shutdown in [true, false] {
            let tag = format!("{how}-{}-{by_shutdown}", std::process::id());
            let name = format!("etatuki-left-{tag}");
            let spec = PluginSpec {
                options: json!({ "try": format!("daemon {tag}") }),
                ..library.clone()
            };
            let (host, mut events) = start_well(&spec).await;
            let (marker, pid) = (marker_of(&host), child_pid(&host));
            // From probe(): building the menu is enough.
            host.probe().await.unwrap();
            if how == "leave" {
                eventually("the daemon runs", || runs(&name));
            }
            if by_shutdown {
                host.shutdown().await;
            } else {
                let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
                wait_for_death(&mut events).await;
            }
            // At once: the supervisor ends as the last.
            assert!(!runs(&name), "{how}, {by_shutdown}");
            assert_eq!(marked_processes(&marker), 0, "{how}, {by_shutdown}");
        }
    }
}

/// A supervisor that fails before it has ended all processes would leave them.
#[tokio::test]
async fn too_much_memory_ends_everything_also_when_nobody_can_be_told() {
    let folder = Folder::new();
    let tag = format!("leave-{}-unsaid", std::process::id());
    let spec = PluginSpec {
        options: json!({ "try": format!("unsaid {tag}") }),
        ..folder.misbehaving("breaks-out")
    };
    let (host, mut events) = start_well(&spec).await;
    let marker = marker_of(&host);
    host.probe().await.unwrap_err();
    let (died, _) = wait_for_death(&mut events).await;
    assert!(died.starts_with("signal SIGKILL"), "{died}");
    assert!(!runs(&format!("etatuki-left-{tag}")));
    assert_eq!(marked_processes(&marker), 0);
}

#[tokio::test]
async fn a_supervisor_that_is_killed_takes_its_host_and_tool_along() {
    let folder = Folder::new();
    let (host, mut events) = start_well(&folder.misbehaving("runaway-tool")).await;
    let marker = marker_of(&host);
    host.open("123456789012").await.unwrap();
    wait_for(&mut events, "waiting").await;
    let supervisor = rustix::process::Pid::from_raw(host.pid().cast_signed()).unwrap();
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).unwrap();
    assert_eq!(wait_for_death(&mut events).await.0, "signal SIGKILL");
    eventually("host and tool are gone", || marked_processes(&marker) == 0);
}

const ABORTED: &str = "signal SIGABRT; its last words: assertion failed: everything is fine";

#[tokio::test]
async fn our_own_kill_isnt_called_a_death() {
    let folder = Folder::new();
    let (host, mut events) = start_well(&folder.misbehaving("closes-pipe")).await;
    let error = host.open("123456789012").await.unwrap_err();
    let how = "it closed its pipe, and was ended for that; its last words: closing everything";
    assert!(
        matches!(&error, HostError::Died(died) if died == how),
        "{error}"
    );
    assert_eq!(wait_for_death(&mut events).await.0, how);
    assert_gone(host.pid());
}

#[tokio::test]
async fn a_plugin_that_closes_its_socket_is_ended_for_that() {
    let folder = Folder::new();
    let (host, _events) = start_well(&folder.misbehaving("closes-socket")).await;
    host.open("123456789012").await.unwrap();
    let (stream, _ours) = std::os::unix::net::UnixStream::pair().unwrap();
    let error = host.attach(stream).await.unwrap_err();
    let how = "it closed its pipe, and was ended for that";
    assert!(
        matches!(&error, HostError::Died(died) if died == how),
        "{error}"
    );
    assert_gone(host.pid());
}

#[tokio::test]
async fn a_plugins_text_is_cleaned_where_it_comes_in() {
    let folder = Folder::new();
    let (host, mut events) = start_well(&folder.misbehaving("dirty-text")).await;
    let probed = ProbeReport::Usable {
        tool: Some("vnc ]0;pwned ".into()),
        version: Some("1.02.0".into()),
    };
    assert_eq!(host.probe().await.unwrap(), probed);
    host.open("123456789012").await.unwrap();
    let mut lines = Vec::new();
    let both = find(&mut events, |event| {
        if let HostEvent::Log { text, .. } = event {
            lines.push(text);
        }
        (lines.len() == 2).then_some(())
    });
    both.await.expect("two lines");
    lines.sort();
    assert_eq!(lines, [" [31mred", "one WARN forged !"]);
    host.shutdown().await;
}

#[tokio::test]
async fn a_form_that_isnt_the_plugins_is_a_fault_of_the_registry() {
    let folder = Folder::new();
    let mut spec = folder.misbehaving("well-behaved");
    spec.code_form = Some("ecom".into());
    spec.origin.form = "backends.toml, line 7, key `backend.form`".into();
    let error = start(&spec).await.map(|_| ()).unwrap_err();
    assert_eq!(error.name(), "registry-broken");
    assert_eq!(
        error.to_string(),
        "backends.toml, line 7, key `backend.form`: the plugin's code has the form \"remoteus\", \
         not \"ecom\"; write the plugin's own form, or install another plugin"
    );
    spec.code_form = Some("remoteus".into());
    let (host, _events) = start_well(&spec).await;
    host.shutdown().await;
}

#[tokio::test]
async fn a_crash_is_reported_with_its_last_output_and_ends_the_tool() {
    let folder = Folder::new();
    let (host, mut events) = start_well(&folder.misbehaving("abort-in-open")).await;
    let pid = child_pid(&host);
    let error = host.open("123456789012").await.unwrap_err();
    assert!(
        matches!(&error, HostError::Died(how) if how == ABORTED),
        "{error}"
    );
    assert_eq!(error.name(), "plugin-died");
    let (how, log) = wait_for_death(&mut events).await;
    assert_eq!(how, ABORTED);
    assert_eq!(log, ["assertion failed: everything is fine"]);
    assert_gone(pid);
}

#[tokio::test]
async fn a_tool_may_put_its_things_away_and_needs_not_be_willing() {
    let folder = Folder::new();
    let (host, mut events) = start_well(&folder.misbehaving("crash-with-tool")).await;
    let pid = child_pid(&host);
    let _ = host.open("123456789012").await.unwrap_err();
    let (how, log) = wait_for_death(&mut events).await;
    assert_eq!(how, "signal SIGABRT; its last words: put away");
    assert_eq!(log, ["put away"]);
    assert_gone(pid);
}

#[tokio::test]
async fn a_crash_is_noticed_also_when_nobody_waits() {
    let folder = Folder::new();
    let (host, mut events) = start_well(&folder.misbehaving("segfault-later")).await;
    let pid = child_pid(&host);
    host.open("123456789012").await.unwrap();
    // The reply and the crash race; any other outcome, or a hang, is an error.
    match host.permissions(Permissions::CONTROL).await {
        Ok(()) => {}
        Err(error) => assert_eq!(error.name(), "plugin-died"),
    }
    assert_eq!(wait_for_death(&mut events).await.0, "signal SIGSEGV");
    assert_gone(pid);
}

#[tokio::test]
async fn a_plugin_that_ends_the_process_is_a_death_too() {
    let folder = Folder::new();
    let (host, mut events) = start_well(&folder.misbehaving("exit-in-open")).await;
    assert_eq!(
        host.open("123456789012").await.unwrap_err().name(),
        "plugin-died"
    );
    assert_eq!(wait_for_death(&mut events).await.0, "exit code 7");
}

#[tokio::test]
async fn a_child_that_is_killed_from_outside_is_noticed_at_once() {
    let folder = Folder::new();
    let (host, mut events) = start_well(&folder.misbehaving("well-behaved")).await;
    let pid = rustix::process::Pid::from_raw(child_pid(&host).cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert_eq!(wait_for_death(&mut events).await.0, "signal SIGKILL");
}

#[tokio::test]
async fn a_flood_of_logs_and_changes_is_bounded_and_holds_nothing_up() {
    let folder = Folder::new();
    let (host, mut events) = start_well(&folder.misbehaving("floods")).await;
    // The plugin logs 40,000 lines within the call, and nobody reads meanwhile.
    host.open("123456789012").await.unwrap();
    host.shutdown().await;
    let mut count = 0;
    while let Some(event) = events.recv().await {
        match event {
            HostEvent::Log { text, .. } => {
                assert!(text.len() <= 1000);
                count += 1;
            }
            HostEvent::Changed { .. } => {}
            HostEvent::Died { description } => panic!("it died: {description}"),
        }
    }
    assert!((1..=256).contains(&count), "{count} lines");
}

#[tokio::test]
async fn what_a_plugin_says_is_checked() {
    let folder = Folder::new();
    for (plugin, expected) in [
        (
            "odd-state",
            "plugin-failed (plugin): the plugin says state 77, which does not exist",
        ),
        (
            "odd-code",
            "plugin-failed (plugin): the plugin's session code is empty, too long or not printable",
        ),
    ] {
        let (host, mut events) = start_well(&folder.misbehaving(plugin)).await;
        host.open("123456789012").await.unwrap();
        assert_eq!(
            wait_for(&mut events, "failed").await.1.as_deref(),
            Some(expected)
        );
    }
}

#[tokio::test]
async fn the_plugins_own_words_come_with_a_refused_call() {
    let folder = Folder::new();
    let (host, mut events) = start_well(&folder.misbehaving("refuses-attach")).await;
    host.open("123456789012").await.unwrap();
    wait_for(&mut events, "waiting").await;
    let (_ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let error = host.attach(theirs).await.unwrap_err();
    assert_eq!(error.name(), "tool-died");
    assert_eq!(
        error.to_string(),
        "the plugin failed: tool-died (tool): the tool is not there any more"
    );
}

#[tokio::test]
async fn a_failure_says_what_the_plugin_did() {
    let folder = Folder::new();
    let (host, _events) = start_well(&folder.misbehaving("odd-lengths")).await;
    assert_eq!(
        host.probe().await.unwrap_err().to_string(),
        "the plugin failed: plugin-failed (plugin): probe gave a text that isn't UTF-8, or whose length can't be true"
    );
    let (host, mut events) = start_well(&folder.misbehaving("takes-descriptors")).await;
    host.open("123456789012").await.unwrap();
    wait_for(&mut events, "waiting").await;
    let (_ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let error = host.attach(theirs).await.unwrap_err().to_string();
    assert!(error.contains("as many files open as it may"), "{error}");
}

#[tokio::test]
async fn another_program_in_the_hosts_place_is_an_error() {
    let folder = Folder::new();
    let spec = folder.misbehaving("well-behaved");
    let start = async |exe: &str| {
        let started = etatuki_plugin_host::PluginHost::start(exe.as_ref(), &spec).await;
        started.map(|_| ()).unwrap_err().name().to_owned()
    };
    assert_eq!(start("/nowhere").await, "plugin-failed");
    assert_eq!(start("/bin/true").await, "plugin-died");
    // The program breaks the protocol and ends; either may be noticed first.
    assert!(["plugin-died", "plugin-failed"].contains(&start("/bin/echo").await.as_str()));
}
