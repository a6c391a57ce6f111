//! TigerVNC's viewer at the port of `etatuki-console join`, on a display of its own.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use etatuki_deployment::display::{Display, WindowManager};
use etatuki_deployment::process::Process;
use serde_json::Value;

use crate::agent::Agent;
use crate::customer::Customer;
use crate::testbed::{Testbed, wait_until};

/// Starts the viewer, and waits until its window has the keyboard: without, it leaves the
/// clipboard alone.
fn start_viewer(display: &str, home: &Path, ready: &Value) -> Process {
    let address = ready["vnc"].as_str().unwrap().replace(':', "::");
    let mut command = Command::new("xtigervncviewer");
    command
        .arg(address)
        .args(["-SetPrimary=0", "-SendPrimary=0", "-AlertOnFatalError=0"])
        .env("DISPLAY", display)
        .env("HOME", home)
        .env("VNC_PASSWORD", ready["password"].as_str().unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let viewer = Process::start(&mut command)
        .expect("TigerVNC's viewer is needed: Debian's package tigervnc-viewer");
    wait_until("the viewer's window to have the keyboard", || {
        let mut xdotool = Command::new("xdotool");
        xdotool.args(["getactivewindow", "getwindowname"]);
        let name = xdotool.env("DISPLAY", display).output().unwrap();
        let name = String::from_utf8_lossy(&name.stdout);
        name.contains("- TigerVNC").then_some(())
    });
    viewer
}

fn xclip(display: &str) -> Command {
    let mut xclip = Command::new("xclip");
    xclip
        .args(["-display", display, "-selection", "clipboard"])
        .stderr(Stdio::null());
    xclip
}

/// Has a program copy a text; it hands it out until its display ends.
fn copy(display: &str, text: &str) {
    let mut child = xclip(display)
        .arg("-in")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    write!(child.stdin.take().unwrap(), "{text}").unwrap();
    assert!(child.wait().unwrap().success());
}

fn expect_clipboard(display: &str, text: &str) {
    wait_until(&format!("{text:?} to be pasted on {display}"), || {
        let mut paste = Command::new("timeout");
        paste
            .args(["2", "xclip", "-out", "-selection", "clipboard"])
            .env("DISPLAY", display)
            .stderr(Stdio::null());
        let pasted = paste.output().unwrap().stdout;
        (String::from_utf8_lossy(&pasted) == text).then_some(())
    });
}

#[test]
fn texts_pass_whole_between_tigervnc_and_the_customer() {
    let testbed = Testbed::new();
    let mut customer = Customer::start(&testbed, "ecom", &[]);
    let mut agent = Agent::join(&testbed, &customer.code(), &[]);
    customer.allow("view");
    let ready = agent.expect("vnc", |line| line["vnc"].is_string());
    let desk = Display::start(1024, 768, WindowManager::Openbox).unwrap();
    let _viewer = start_viewer(desk.name(), testbed.deployment.folder(), &ready);

    copy(desk.name(), "the agent's own");
    agent.send("ask-control");
    customer.allow("control");
    agent.expect("control", |line| {
        line["type"] == "permissions" && line["control"] == true
    });
    let theirs = testbed.display.name();
    // The agent's first: once it has arrived, what the customer copies is no longer private.
    for (from_agent, from_customer) in [("š ☃\nä", "5 € 漢字\n€"), ("kolmas 😀", "toinen ✓")]
    {
        copy(desk.name(), from_agent);
        expect_clipboard(theirs, from_agent);
        copy(theirs, from_customer);
        expect_clipboard(desk.name(), from_customer);
    }
    agent.send("end");
    assert!(agent.wait_exit().success());
    let loss = |line: &Value| line["type"] == "clipboard-loss";
    assert!(!agent.received.iter().any(loss), "{:?}", agent.received);
    customer.wait_exit();
}
