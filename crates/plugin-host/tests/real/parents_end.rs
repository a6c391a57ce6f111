//! The child after its parent's end: the pipe's end is the only sign, and no process may be left,
//! also when the plugin hangs.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use etatuki_plugin_host::PluginSpec;
use serde_json::{Value, json};

use crate::support::*;

/// A child whose JSON lines the test writes itself.
struct RawChild {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl RawChild {
    fn start() -> Self {
        let mut child = Command::new(exe())
            .arg(etatuki_plugin_host::SUPERVISOR)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.child.stdin.as_ref().unwrap(), "{message}").unwrap();
    }

    /// Receives the next message that isn't a log line.
    fn receive(&mut self) -> Value {
        loop {
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            let message: Value = serde_json::from_str(&line).expect("a message");
            if message["type"] != "log" {
                return message;
            }
        }
    }

    fn load(&mut self, spec: &PluginSpec) {
        assert_eq!(self.receive()["type"], "hello");
        self.send(&json!({"id": 1, "call": "load", "plugin": spec}));
        let done = self.receive();
        assert_eq!(
            (&done["type"], &done["value"]["id"]),
            (&json!("done"), &json!(spec.id))
        );
        assert_eq!(
            self.receive(),
            json!({"type": "changed", "state": "closed", "code": null, "failure": null})
        );
    }

    /// Returns the plugin host's process id. Only after its first message.
    fn pid(&self) -> u32 {
        children_of(self.child.id())[0]
    }

    fn end(mut self) {
        let pid = self.pid();
        drop(self.child.stdin.take());
        let start = Instant::now();
        self.child.wait().unwrap();
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "it took {:?}",
            start.elapsed()
        );
        assert_gone(pid);
    }
}

#[test]
fn the_protocol_is_what_the_page_says() {
    let folder = Folder::new();
    let mut child = RawChild::start();
    child.load(&folder.misbehaving("well-behaved"));
    child.send(&json!({"id": 2, "call": "open", "code": "123456789012"}));
    assert_eq!(
        child.receive(),
        json!({"type": "done", "id": 2, "value": null})
    );
    assert_eq!(
        child.receive(),
        json!({"type": "changed", "state": "waiting", "code": "123456789012", "failure": null})
    );
    child.send(&json!({"id": 3, "call": "attach"}));
    let failed = child.receive();
    assert_eq!(
        (&failed["type"], &failed["error"]["name"]),
        (&json!("failed"), &json!("plugin"))
    );
    assert_eq!(failed["error"]["text"], "no socket came with the call");
    child.send(&json!({"id": 4, "call": "load", "plugin": folder.misbehaving("well-behaved")}));
    assert_eq!(
        child.receive()["error"]["text"],
        "a plugin was loaded already"
    );
    child.send(&json!({"id": 5, "call": "shutdown"}));
    assert_eq!(
        child.receive(),
        json!({"type": "done", "id": 5, "value": null})
    );
    child.send(&json!({"id": 6, "call": "probe"}));
    assert_eq!(child.receive()["error"]["text"], "no plugin is loaded");
    child.end();
}

#[test]
fn the_end_of_the_pipe_ends_child_and_tool_also_when_the_plugin_hangs() {
    let folder = Folder::new();
    let mut child = RawChild::start();
    child.load(&folder.misbehaving("hang-in-open"));
    child.send(&json!({"id": 2, "call": "open", "code": "1"}));
    let pid = child.pid();
    eventually("the tool runs", || group_members(pid).len() == 2);
    child.end();
}

#[test]
fn a_child_that_is_told_nonsense_ends() {
    for nonsense in [
        "nonsense",
        r#"{"id":1,"call":"dance"}"#,
        r#"{"id":-1,"call":"probe"}"#,
    ] {
        let mut child = RawChild::start();
        child.receive();
        writeln!(child.child.stdin.as_ref().unwrap(), "{nonsense}").unwrap();
        child.child.wait().unwrap();
    }
    let mut child = RawChild::start();
    child.receive();
    let _ = child
        .child
        .stdin
        .as_ref()
        .unwrap()
        .write_all(&vec![b'x'; 1_000_000]);
    child.child.wait().unwrap();
}

/// Helper of the test below, in a process of its own: starts a host, hangs in `open`, and waits to
/// be killed.
#[test]
fn parent_to_be_killed() {
    let Some(folder) = std::env::var_os("ETATUKI_TEST_PLUGINS") else {
        return;
    };
    let folder = std::path::PathBuf::from(folder);
    let spec = PluginSpec {
        path: folder.join("hang-in-open.so"),
        folder,
        ..Folder::new().spec("hang-in-open", "")
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (host, _events) = start_well(&spec).await;
        println!("pid {}", child_pid(&host));
        let _ = host.open("1").await;
    });
}

#[test]
fn a_parent_that_is_killed_leaves_nothing() {
    let folder = Folder::new();
    folder.misbehaving("hang-in-open");
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "parents_end::parent_to_be_killed", "--nocapture"])
        .env("ETATUKI_TEST_PLUGINS", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let pid = lines.find_map(|line| {
        line.unwrap()
            .split_once("pid ")
            .map(|(_, pid)| pid.parse::<u32>().unwrap())
    });
    let pid = pid.expect("the child's pid");
    eventually("the tool runs", || group_members(pid).len() == 2);
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert_gone(pid);
}
