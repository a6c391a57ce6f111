//! A real D-Bus daemon, with a logind of the test's own behind it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::message::{Writer, message};
use super::*;

const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A daemon that ends with its handle.
struct Daemon {
    child: Child,
    folder: std::path::PathBuf,
    socket: String,
}

impl Daemon {
    fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("etatuki-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let socket = folder.join("bus").display().to_string();
        let config = folder.join("bus.conf");
        let rules = format!(
            "<busconfig><listen>unix:path={socket}</listen><policy context=\"default\">\
             <allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/>\
             <allow user=\"*\"/></policy></busconfig>"
        );
        std::fs::write(&config, rules).expect("written");
        let mut child = Command::new("dbus-daemon")
            .arg("--config-file")
            .arg(&config)
            .args(["--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is installed");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("it says its address");
        assert!(line.starts_with("unix:"), "{line}");
        Self {
            child,
            folder,
            socket,
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A logind that answers every call with its hint. Its thread ends with the daemon.
struct Logind {
    hints: Sender<bool>,
}

impl Logind {
    fn start(daemon: &Daemon) -> Self {
        let mut bus = LockHint {
            bus: UnixStream::connect(&daemon.socket).expect("the bus"),
            buffer: vec![],
            serial: 0,
            locked: false,
        };
        bus.bus.set_read_timeout(Some(TEST_TIMEOUT)).expect("set");
        bus.authenticate().expect("let in");
        bus.call(&Call::to_bus("Hello", &[])).expect("a name");
        bus.serial += 1;
        bus.bus.write_all(&request_name(bus.serial)).expect("sent");
        let (hints, inbox) = channel();
        std::thread::spawn(move || answer(bus, &inbox));
        Self { hints }
    }
}

/// Returns `RequestName("org.freedesktop.login1", 0)`.
fn request_name(serial: u32) -> Vec<u8> {
    let mut fields = Writer::default();
    fields.text_field(1, "o", "/org/freedesktop/DBus");
    fields.text_field(2, "s", "org.freedesktop.DBus");
    fields.text_field(3, "s", "RequestName");
    fields.text_field(6, "s", "org.freedesktop.DBus");
    fields.begin_field(8, "g");
    fields.signature("su");
    let mut body = Writer::default();
    body.text("org.freedesktop.login1");
    body.number(0);
    message(1, serial, &body.0, fields)
}

fn answer(mut bus: LockHint, hints: &Receiver<bool>) {
    let mut locked = false;
    let tick = Duration::from_millis(10);
    bus.bus.set_read_timeout(Some(tick)).expect("set");
    loop {
        for hint in hints.try_iter() {
            locked = hint;
            let mut fields = Writer::default();
            fields.text_field(1, "o", "/org/freedesktop/login1/session/_32");
            fields.text_field(2, "s", "org.freedesktop.DBus.Properties");
            fields.text_field(3, "s", "PropertiesChanged");
            bus.serial += 1;
            let changed = message(4, bus.serial, &[], fields);
            bus.bus.write_all(&changed).expect("sent");
        }
        match bus.receive() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
            Ok(()) => {}
        }
        while bus.buffer.len() >= 16 {
            // The serial and the sender's name, for the reply.
            let serial = u32::from_le_bytes(bus.buffer[8..12].try_into().expect("four"));
            let whole = bus.buffer.clone();
            let Ok(Some(call)) = message::take(&mut bus.buffer) else {
                break;
            };
            if call.kind != Kind::Call {
                continue;
            }
            let text = String::from_utf8_lossy(&whole).into_owned();
            let at = text.rfind(":1.").expect("the bus names the sender");
            let sender: String = text[at..].chars().take_while(|c| *c != '\0').collect();
            let mut fields = Writer::default();
            fields.begin_field(5, "u");
            fields.number(serial);
            fields.text_field(6, "s", &sender);
            fields.begin_field(8, "g");
            fields.signature("v");
            let mut body = Writer(b"\x01b\0\0".to_vec());
            body.number(locked.into());
            bus.serial += 1;
            let reply = message(2, bus.serial, &body.0, fields);
            bus.bus.write_all(&reply).expect("sent");
        }
    }
}

#[test]
fn a_session_that_is_locked_and_unlocked_is_noticed() {
    let daemon = Daemon::start("lock-hint");
    let logind = Logind::start(&daemon);
    let began = Instant::now();
    // The name may not be taken yet.
    let mut hint = loop {
        match LockHint::connect(&daemon.socket) {
            Ok(hint) => break hint,
            Err(error) => assert!(began.elapsed() < TEST_TIMEOUT, "{error}"),
        }
    };
    assert!(!hint.is_locked().expect("the bus is there"));
    for locked in [true, false, true] {
        logind.hints.send(locked).expect("it listens");
        while hint.is_locked().expect("the bus is there") != locked {
            assert!(began.elapsed() < TEST_TIMEOUT, "never {locked}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_machine_without_logind_is_never_locked() {
    assert!(LockHint::connect("/nowhere/bus").is_err());
    let daemon = Daemon::start("no-logind");
    let mut hint = LockHint::connect(&daemon.socket).expect("a bus");
    assert!(!hint.is_locked().expect("the bus is there"));
    drop(daemon);
    assert!(hint.is_locked().is_err());
}
