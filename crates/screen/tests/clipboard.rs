//! Text goes both ways between us and a real program, `xclip`.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use etatuki_screen::{CancelToken, Clipboard};
use etatuki_testkit::Xvfb;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use x11rb::protocol::xproto::ConnectionExt as _;

fn open(x: &Xvfb) -> Clipboard {
    Clipboard::open(Some(&x.display), &CancelToken::new().expect("a pipe"))
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
        .arg("-in")
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
    loop {
        if let Some(text) = clipboard.pump().expect("the server lives") {
            return text;
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
    copy(&x, &"x".repeat((1 << 20) + 1));
    copy(&x, "after");
    assert_eq!(
        await_text(&mut clipboard),
        "after",
        "too much is passed over"
    );
}

#[test]
fn what_is_offered_can_be_pasted() {
    let x = Xvfb::start("640x480x24", &[]);
    let mut clipboard = open(&x);
    for (text, target, expected) in [
        ("åäö ☃", "UTF8_STRING", "åäö ☃".as_bytes()),
        ("åäö ☃", "text/plain;charset=utf-8", "åäö ☃".as_bytes()),
        ("åäö ☃", "STRING", b"\xe5\xe4\xf6 ?"),
        (
            "x",
            "TARGETS",
            b"TARGETS\nUTF8_STRING\ntext/plain;charset=utf-8\nSTRING\n",
        ),
        ("x", "image/png", b""),
    ] {
        clipboard.offer(text.to_owned()).expect("offered");
        let paste = xclip(&x)
            .args(["-out", "-target", target])
            .stdout(Stdio::piped())
            .spawn()
            .expect("xclip");
        let paste = std::thread::spawn(move || paste.wait_with_output());
        while !paste.is_finished() {
            assert_eq!(
                clipboard.pump().expect("the server lives"),
                None,
                "our own is not told"
            );
            std::thread::yield_now();
        }
        let pasted = paste.join().expect("no panic").expect("output").stdout;
        assert_eq!(pasted, expected, "{target}");
    }
    copy(&x, "theirs");
    assert_eq!(await_text(&mut clipboard), "theirs");
}
