//! Owners and requestors that know little: no TARGETS, STRING or COMPOUND_TEXT alone, MULTIPLE.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use etatuki_screen::{Clipboard, Copied};
use etatuki_testkit::Xvfb;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::*;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;
use x11rb::{CURRENT_TIME, NONE};

use crate::{await_copied, open};

fn atom(server: &RustConnection, name: &str) -> Atom {
    let atom = server.intern_atom(false, name.as_bytes()).expect("sent");
    atom.reply().expect("an atom").atom
}

fn window(server: &RustConnection) -> Window {
    let (window, root) = (
        server.generate_id().expect("an id"),
        server.setup().roots[0].root,
    );
    let aux = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
    let class = WindowClass::INPUT_ONLY;
    server
        .create_window(0, window, root, 0, 0, 1, 1, 0, class, 0, &aux)
        .expect("sent");
    window
}

/// Copies as a program that has just these conversions: target, type of the answer, bytes. Returns
/// what the watched clipboard tells.
fn copy(x: &Xvfb, watched: &mut Clipboard, tells: bool, has: &[(&str, &str, &[u8])]) -> Copied {
    let (server, _) = RustConnection::connect(Some(&x.display)).expect("connects");
    let (own, clipboard) = (window(&server), atom(&server, "CLIPBOARD"));
    let targets = atom(&server, "TARGETS");
    let has: Vec<(Atom, Atom, &[u8])> = has
        .iter()
        .map(|(target, kind, bytes)| (atom(&server, target), atom(&server, kind), *bytes))
        .collect();
    server
        .set_selection_owner(own, clipboard, CURRENT_TIME)
        .expect("sent");
    server.sync().expect("sync");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let Some(Event::SelectionRequest(e)) = server.poll_for_event().expect("alive")
                else {
                    std::thread::yield_now();
                    continue;
                };
                let replace = PropMode::REPLACE;
                let found = has.iter().find(|(target, ..)| *target == e.target);
                let mut property = e.property;
                if e.target == targets && tells {
                    let list: Vec<Atom> = has.iter().map(|(target, ..)| *target).collect();
                    let kind = AtomEnum::ATOM;
                    server
                        .change_property32(replace, e.requestor, property, kind, &list)
                        .expect("sent");
                } else if let Some((_, kind, bytes)) = found {
                    server
                        .change_property8(replace, e.requestor, property, *kind, bytes)
                        .expect("sent");
                } else {
                    property = NONE;
                }
                let answer = SelectionNotifyEvent {
                    response_type: SELECTION_NOTIFY_EVENT,
                    sequence: 0,
                    time: e.time,
                    requestor: e.requestor,
                    selection: e.selection,
                    target: e.target,
                    property,
                };
                let no_mask = EventMask::NO_EVENT;
                server
                    .send_event(false, e.requestor, no_mask, answer)
                    .expect("sent");
                server.flush().expect("flushed");
            }
        });
        let copied = await_copied(watched);
        done.store(true, Ordering::SeqCst);
        copied
    })
}

#[test]
fn owners_with_old_targets_alone_are_understood() {
    let x = Xvfb::start("640x480x24", &[]);
    let mut watched = open(&x);
    let latin1 = ("STRING", "STRING", b"\xe4 STRING".as_slice());
    let compound = (
        "COMPOUND_TEXT",
        "COMPOUND_TEXT",
        b"\x1b-L\xbf\xe0 COMPOUND".as_slice(),
    );
    let text = ("TEXT", "COMPOUND_TEXT", b"\x1b-b\xa4 TEXT".as_slice());
    let utf8 = ("UTF8_STRING", "UTF8_STRING", "ä UTF8".as_bytes());
    let broken = ("UTF8_STRING", "UTF8_STRING", b"\xe4".as_slice());
    let japanese = (
        "COMPOUND_TEXT",
        "COMPOUND_TEXT",
        b"\x1b$(B\x30\x21".as_slice(),
    );
    for (tells, has, expected) in [
        (true, [latin1].as_slice(), "ä STRING"),
        (false, &[latin1], "ä STRING"),
        (true, &[compound], "Пр COMPOUND"),
        (true, &[latin1, compound], "Пр COMPOUND"),
        (true, &[text], "€ TEXT"),
        (true, &[latin1, compound, utf8], "ä UTF8"),
        (true, &[broken, latin1], "ä STRING"),
        (false, &[japanese, latin1], "ä STRING"),
    ] {
        watched.offer("between").expect("offered");
        let copied = copy(&x, &mut watched, tells, has);
        assert_eq!(copied, Copied::Text(expected.into()), "{has:?}");
    }
    for has in [
        [("image/png", "image/png", b"x".as_slice())].as_slice(),
        &[],
        &[japanese],
    ] {
        assert_eq!(copy(&x, &mut watched, true, has), Copied::Untakable);
        assert_eq!(copy(&x, &mut watched, false, has), Copied::Untakable);
    }
}

#[test]
fn multiple_and_timestamp_are_answered() {
    let x = Xvfb::start("640x480x24", &[]);
    let mut clipboard = open(&x);
    clipboard.offer("ä").expect("offered");
    let (server, _) = RustConnection::connect(Some(&x.display)).expect("connects");
    let (own, multiple) = (window(&server), atom(&server, "MULTIPLE"));
    let [utf8, string, stamp, picture, pair, list] = [
        "UTF8_STRING",
        "STRING",
        "TIMESTAMP",
        "image/png",
        "ATOM_PAIR",
        "LIST",
    ]
    .map(|name| atom(&server, name));
    // Each is written to the property of its own name.
    let pairs: Vec<u32> = [utf8, string, stamp, picture]
        .iter()
        .flat_map(|t| [*t, *t])
        .collect();
    server
        .change_property32(PropMode::REPLACE, own, list, pair, &pairs)
        .expect("sent");
    let selection = atom(&server, "CLIPBOARD");
    server
        .convert_selection(own, selection, multiple, list, CURRENT_TIME)
        .expect("sent");
    server.flush().expect("flushed");
    loop {
        assert_eq!(clipboard.pump().expect("the server lives"), None);
        match server.poll_for_event().expect("the server lives") {
            Some(Event::SelectionNotify(e)) => break assert_eq!(e.property, list),
            _ => std::thread::yield_now(),
        }
    }
    let property = |atom: Atom| {
        let query = server.get_property(false, own, atom, AtomEnum::ANY, 0, 100);
        query.expect("sent").reply().expect("an answer")
    };
    assert_eq!(property(utf8).value, "ä".as_bytes());
    assert_eq!(property(string).value, b"\xe4");
    assert!(
        property(stamp)
            .value32()
            .expect("a time")
            .next()
            .is_some_and(|time| time > 0)
    );
    let answered: Vec<u32> = property(list).value32().expect("pairs").collect();
    assert_eq!(
        answered,
        [utf8, utf8, string, string, stamp, stamp, NONE, picture]
    );
}

#[test]
fn a_tk_program_copies_and_pastes() {
    const PROGRAM: &str = "
import tkinter
root = tkinter.Tk()
def ask(*_):
    print('pasted', ascii(root.clipboard_get()), flush=True)
    root.clipboard_clear()
    root.clipboard_append('Älä 12,50 €')
root.bind('<<Go>>', ask)
root.createfilehandler(0, tkinter.READABLE, lambda *_: (input(), ask()))
print('begun', flush=True)
root.mainloop()
";
    let x = Xvfb::start("640x480x24", &[]);
    let mut clipboard = open(&x);
    clipboard.offer("Yö\r\n7 €").expect("offered");
    // Not a Python of the user's own, which lacks Debian's modules.
    let mut tk = Command::new("/usr/bin/python3")
        .args(["-c", PROGRAM])
        .env("DISPLAY", &x.display)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python is installed");
    let mut said = BufReader::new(tk.stdout.take().expect("piped")).lines();
    let begun = said.next().expect("a line").expect("it talks");
    assert_eq!(begun, "begun");
    writeln!(tk.stdin.as_mut().expect("piped"), "go").expect("it reads");
    let pasted = std::thread::spawn(move || said.next().expect("a line").expect("it talks"));
    let copied = await_copied(&mut clipboard);
    let _ = (tk.kill(), tk.wait());
    assert_eq!(
        pasted.join().expect("no panic"),
        r"pasted 'Y\xf6\n7 \u20ac'"
    );
    assert_eq!(copied, Copied::Text("Älä 12,50 €".into()));
}
