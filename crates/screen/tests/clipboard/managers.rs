//! Clipboard managers: they take each text over, and say so by owning the clipboard themselves.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use etatuki_testkit::Xvfb;
use rustix::process::{Pid, Signal, kill_process_group};
use x11rb::NONE;
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use crate::{await_text, copy, open, xclip};

/// A program with all of its children; they end with the handle.
struct Group(Child);

impl Group {
    fn start(command: &mut Command, x: &Xvfb) -> Self {
        let command = command.env("DISPLAY", &x.display).env("NO_AT_BRIDGE", "1");
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).process_group(0).spawn();
        Self(child.expect("it is installed"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.0.id() as i32) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

fn owner(server: &RustConnection, selection: &str) -> u32 {
    let atom = server
        .intern_atom(false, selection.as_bytes())
        .expect("sent");
    let atom = atom.reply().expect("an atom").atom;
    let owner = server.get_selection_owner(atom).expect("sent");
    owner.reply().expect("an answer").owner
}

fn wait(what: &str, mut is_there: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_there() {
        assert!(Instant::now() < end, "{what} didn't come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Xfce's clipboard manager, which keeps texts as GNOME's does.
fn start_manager(x: &Xvfb, home: &std::path::Path) -> (Group, RustConnection) {
    let mut manager = Command::new("dbus-run-session");
    manager.arg("xfce4-clipman").env("HOME", home);
    manager
        .env("XDG_CONFIG_HOME", home)
        .env("XDG_CACHE_HOME", home);
    let group = Group::start(&mut manager, x);
    let (server, _) = RustConnection::connect(Some(&x.display)).expect("connects");
    wait("the manager", || {
        owner(&server, "CLIPBOARD_MANAGER") != NONE
    });
    (group, server)
}

#[test]
fn a_manager_keeps_the_agents_text_and_isnt_told_back() {
    let x = Xvfb::start("640x480x24", &[]);
    let home = std::env::temp_dir().join(format!("etatuki-clipman-{}", std::process::id()));
    std::fs::create_dir_all(&home).expect("a folder");
    let (manager, server) = start_manager(&x, &home);
    let mut clipboard = open(&x);
    clipboard.offer("12,50 €").expect("offered");
    let ours = owner(&server, "CLIPBOARD");
    assert_eq!(clipboard.pump().expect("the server lives"), None);
    // The session ends; the manager hands the text out from now on.
    drop(clipboard);
    wait("the manager's turn", || {
        ![ours, NONE].contains(&owner(&server, "CLIPBOARD"))
    });
    let pasted = xclip(&x).arg("-out").output().expect("xclip").stdout;
    assert_eq!(pasted, "12,50 €".as_bytes());
    drop(manager);
    let _ = std::fs::remove_dir_all(&home);
}

#[test]
fn a_manager_that_takes_each_text_over_neither_loops_nor_echoes() {
    let x = Xvfb::start("640x480x24", &[]);
    let _one = Group::start(Command::new("autocutsel").args(["-pause", "20"]), &x);
    let primary = ["-selection", "PRIMARY", "-pause", "20"];
    let _other = Group::start(Command::new("autocutsel").args(primary), &x);
    let (server, _) = RustConnection::connect(Some(&x.display)).expect("connects");
    let mut clipboard = open(&x);
    clipboard.offer("agent's").expect("offered");
    let ours = owner(&server, "CLIPBOARD");
    // The text goes round by the cut buffer and PRIMARY.
    wait("the text in PRIMARY", || {
        assert_eq!(clipboard.pump().expect("the server lives"), None);
        owner(&server, "PRIMARY") != NONE
    });
    assert_ne!(ours, NONE);
    copy(&x, "customer's");
    assert_eq!(await_text(&mut clipboard), "customer's");
    copy(&x, "customer's last");
    assert_eq!(await_text(&mut clipboard), "customer's last");
}
