//! Text goes both ways between us and real programs: `xclip`, Tk, a clipboard manager, and owners
//! and requestors as old as X11.

mod managers;
mod old_programs;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use etatuki_screen::{CancelToken, Clipboard, Copied};
use etatuki_testkit::Xvfb;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use x11rb::protocol::xproto::ConnectionExt as _;

fn open(x: &Xvfb) -> Clipboard {
    Clipboard::open(Some(&x.display), None, &CancelToken::new().expect("a pipe"))
        .expect("the clipboard opens")
}

fn xclip(x: &Xvfb) -> Command {
    let mut xclip = Command::new("xclip");
    xclip
        .args(["-display", &x.display, "-selection", "clipboard"])
        .stderr(Stdio::null());
    xclip
}

/// Has a program copy a text, and stay to hand it out. xclip's exit says nothing: it leaves a child
/// behind that may not have taken the selection yet. So this asks the server who owns it.
fn copy(x: &Xvfb, text: &str) {
    copy_as(x, "UTF8_STRING", text);
}

fn copy_as(x: &Xvfb, target: &str, text: &str) {
    let (server, _) = x11rb::connect(Some(&x.display)).expect("the display answers");
    let atom = server.intern_atom(false, b"CLIPBOARD").expect("sent");
    let clipboard = atom.reply().expect("an atom").atom;
    let owner = || {
        let owner = server.get_selection_owner(clipboard).expect("sent");
        owner.reply().expect("an owner").owner
    };
    let before = owner();
    // Its child goes on; it ends with the X server.
    let mut child = xclip(x)
        .args(["-in", "-target", target])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("xclip is installed");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(text.as_bytes())
        .expect("written");
    assert!(child.wait().expect("it ends").success());
    let end = Instant::now() + Duration::from_secs(20);
    while owner() == before || owner() == x11rb::NONE {
        assert!(Instant::now() < end, "xclip didn't take the clipboard");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for the next text.
fn await_text(clipboard: &mut Clipboard) -> String {
    match await_copied(clipboard) {
        Copied::Text(text) => text,
        Copied::Untakable => panic!("it can't be taken"),
    }
}

/// Waits for the next news.
fn await_copied(clipboard: &mut Clipboard) -> Copied {
    loop {
        if let Some(copied) = clipboard.pump().expect("the server lives") {
            return copied;
        }
        let limit = Timespec {
            tv_sec: 20,
            tv_nsec: 0,
        };
        let ready =
            poll(&mut [PollFd::new(&*clipboard, PollFlags::IN)], Some(&limit)).expect("poll");
        assert_eq!(ready, 1, "nothing came");
    }
}

#[test]
fn what_is_copied_is_told() {
    let x = Xvfb::start("640x480x24", &[]);
    copy(&x, "private");
    let mut clipboard = open(&x);
    for text in ["hei", "åäö € ☃", &"pitkä ".repeat(100_000)] {
        copy(&x, text);
        assert!(await_text(&mut clipboard) == *text);
    }
    // Neither too much nor a picture; and each of them is told, so that nothing older is taken for
    // what the clipboard holds.
    copy(&x, &"x".repeat((1 << 20) + 1));
    assert_eq!(await_copied(&mut clipboard), Copied::Untakable);
    copy(&x, "after");
    assert_eq!(await_text(&mut clipboard), "after");
    copy_as(&x, "image/png", "no text");
    assert_eq!(await_copied(&mut clipboard), Copied::Untakable);
    copy(&x, "after");
    assert_eq!(await_text(&mut clipboard), "after", "the same once more");
}

/// Has `xclip` paste, and serves it meanwhile.
fn paste(x: &Xvfb, clipboard: &mut Clipboard, target: &str) -> Vec<u8> {
    let paste = xclip(x)
        .args(["-out", "-target", target])
        .stdout(Stdio::piped())
        .spawn()
        .expect("xclip");
    let paste = std::thread::spawn(move || paste.wait_with_output());
    while !paste.is_finished() {
        let news = clipboard.pump().expect("the server lives");
        assert_eq!(news, None, "our own is not told");
        std::thread::yield_now();
    }
    paste.join().expect("no panic").expect("output").stdout
}

#[test]
fn what_is_offered_can_be_pasted() {
    let x = Xvfb::start("640x480x24", &[]);
    let mut clipboard = open(&x);
    let long = "pitkä rivi €\n".repeat(60_000);
    for (text, target, expected) in [
        ("åäö ☃", "UTF8_STRING", "åäö ☃".as_bytes()),
        ("åäö ☃", "text/plain;charset=utf-8", "åäö ☃".as_bytes()),
        ("åäö ☃", "text/plain", "åäö ☃".as_bytes()),
        ("åäö ☃", "STRING", b"\xe5\xe4\xf6 ?"),
        ("åäö", "TEXT", b"\xe5\xe4\xf6"),
        ("ä ☃!", "TEXT", b"\xe4 \x1b%G\xe2\x98\x83\x1b%@!"),
        ("ä ☃!", "COMPOUND_TEXT", b"\xe4 \x1b%G\xe2\x98\x83\x1b%@!"),
        ("12,50\r\nx\ry\n", "UTF8_STRING", b"12,50\nx\ny\n"),
        (&long, "UTF8_STRING", long.as_bytes()),
        ("x", "image/png", b""),
    ] {
        clipboard.offer(text).expect("offered");
        let pasted = paste(&x, &mut clipboard, target);
        assert!(pasted == expected, "{target}");
    }
    let targets = String::from_utf8(paste(&x, &mut clipboard, "TARGETS")).expect("names");
    let targets: Vec<&str> = targets.lines().collect();
    let all = "TARGETS TIMESTAMP MULTIPLE UTF8_STRING text/plain;charset=utf-8 text/plain \
               COMPOUND_TEXT TEXT STRING";
    assert_eq!(targets.join(" "), all);
    copy(&x, "theirs");
    assert_eq!(await_text(&mut clipboard), "theirs");
}

#[test]
fn lines_end_with_lf_whatever_they_ended_with() {
    let x = Xvfb::start("640x480x24", &[]);
    let mut clipboard = open(&x);
    copy(&x, "a\r\nb\rc\nd");
    assert_eq!(await_text(&mut clipboard), "a\nb\nc\nd");
}

#[test]
fn text_outlives_control_and_what_is_copied_then_stays_private() {
    let x = Xvfb::start("640x480x24", &[]);
    let mut clipboard = open(&x);
    clipboard.offer("12,50").expect("offered");
    clipboard.unwatch().expect("the server lives");
    assert_eq!(paste(&x, &mut clipboard, "UTF8_STRING"), b"12,50");
    copy(&x, "private");
    assert_eq!(clipboard.pump().expect("the server lives"), None);
    assert!(!clipboard.is_offering());
    copy(&x, "private too");
    clipboard.watch().expect("the server lives");
    assert_eq!(clipboard.pump().expect("the server lives"), None);
    copy(&x, "told");
    assert_eq!(await_text(&mut clipboard), "told");
}
