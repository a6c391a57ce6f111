//! A real program with a text field, in GTK or Qt, and the customer's keyboard settings around it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;
use x11rb::connection::Connection as _;
use x11rb::protocol::xkb::{AXOption, BoolCtrl, ConnectionExt as _, Control, Group, VMod};
use x11rb::protocol::xproto::{ConnectionExt as _, InputFocus, ModMask};
use x11rb::protocol::xtest::ConnectionExt as _;

use crate::display::{Display, Sync as _, TEST_TIMEOUT};

/// The core keyboard, which programs see.
const CORE_KEYBOARD: u16 = 0x100;
/// The keyboard that Xvfb has of its own: the customer's.
const OWN_KEYBOARD: u8 = 7;

/// The keycode of Return.
const RETURN_KEYCODE: u8 = 36;

/// The program. Dropping it ends it.
pub(crate) struct TextField {
    child: Child,
    lines: Receiver<Value>,
}

impl TextField {
    /// Starts it on the display and gives it the keyboard. `toolkit` is `gtk` or `qt`.
    pub(crate) fn start(display: &Display, toolkit: &str) -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/whole/text_field.py");
        let mut command = Command::new("/usr/bin/python3");
        command
            .args([program, toolkit])
            .env("DISPLAY", &display.name);
        command.env("LC_ALL", "C.UTF-8").env("NO_AT_BRIDGE", "1");
        command
            .env("GDK_BACKEND", "x11")
            .env("QT_QPA_PLATFORM", "xcb");
        command.env("GTK_IM_MODULE", "gtk-im-context-simple");
        command.env("QT_IM_MODULE", "compose");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3 is installed");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).expect("JSON");
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        let field = Self { child, lines };
        let window = field.next().as_u64().expect("a window") as u32;
        // It may not be on the screen yet.
        display.until("it is focused", |display| {
            let connection = &display.connection;
            let now = x11rb::CURRENT_TIME;
            let focus = connection.set_input_focus(InputFocus::POINTER_ROOT, window, now);
            focus.expect("sent").check().is_ok()
        });
        assert_eq!(field.next(), "focused");
        field
    }

    /// Returns its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for what it prints next.
    pub(crate) fn next(&self) -> Value {
        let line = self.lines.recv_timeout(TEST_TIMEOUT);
        line.expect("the program tells what arrives")
    }
}

impl TextField {
    /// Taps keys of the customer's own keyboard, and Return. Returns the text that came.
    pub(crate) fn after_customers_keys(&self, display: &Display, keycodes: &[u8]) -> Value {
        for keycode in keycodes.iter().chain(&[RETURN_KEYCODE]) {
            display.tap_customers_key(*keycode);
        }
        self.next()
    }
}

impl Drop for TextField {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The customer's side of the keyboard.
impl Display {
    pub(crate) fn set_layout(&self, layout: &str) {
        let mut setxkbmap = Command::new("setxkbmap");
        setxkbmap.args(["-display", &self.name, layout]);
        let done = setxkbmap.stderr(Stdio::null()).status();
        assert!(done.expect("setxkbmap is installed").success());
    }

    /// Locks exactly these modifiers.
    pub(crate) fn lock_modifiers(&self, locked: ModMask) {
        self.use_xkb();
        let (all, none) = (ModMask::from(0xffu16), ModMask::from(0u16));
        let group = Group::from(0u8);
        self.connection
            .xkb_latch_lock_state(CORE_KEYBOARD, all, locked, false, group, none, false, 0)
            .expect("sent")
            .check()
            .expect("locked");
    }

    /// Turns controls of all keyboards on or off, as a desktop's settings do.
    pub(crate) fn set_controls(&self, controls: &[BoolCtrl], on: bool) {
        self.use_xkb();
        let affected = controls.iter().fold(0, |all, c| all | u32::from(*c));
        let wanted = if on { affected } else { 0 };
        let (mods, vmods, options) = (ModMask::from(0u16), VMod::from(0u16), AXOption::from(0u16));
        let (affected, wanted) = (BoolCtrl::from(affected), BoolCtrl::from(wanted));
        let none = BoolCtrl::from(0u32);
        #[rustfmt::skip]
        let set = self.connection.xkb_set_controls(
            CORE_KEYBOARD, mods, mods, mods, mods, vmods, vmods, vmods, vmods, 0, 0, options, affected,
            wanted, Control::from(0u32), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, none, none, options, options,
            &[0; 32],
        );
        set.expect("sent").check().expect("set");
    }

    /// Turns the customer's mouse buttons around, or back.
    pub(crate) fn set_left_handed(&self, left_handed: bool) {
        let map = self.connection.get_pointer_mapping().expect("sent");
        let mut map = map.reply().expect("a map").map;
        (map[0], map[2]) = if left_handed { (3, 1) } else { (1, 3) };
        let set = self.connection.set_pointer_mapping(&map).expect("sent");
        set.reply().expect("set");
        self.connection.sync();
    }

    /// Taps a key of the customer's own keyboard.
    fn tap_customers_key(&self, keycode: u8) {
        let connection = &self.connection;
        let extension = connection
            .query_extension(b"XInputExtension")
            .expect("sent");
        // XInput's DeviceKeyPress and DeviceKeyRelease.
        let press = extension.reply().expect("an extension").first_event + 1;
        let root = connection.setup().roots[0].root;
        for kind in [press, press + 1] {
            connection
                .xtest_fake_input(kind, keycode, 0, root, 0, 0, OWN_KEYBOARD)
                .expect("sent")
                .check()
                .expect("tapped");
        }
    }

    fn use_xkb(&self) {
        let xkb = self.connection.xkb_use_extension(1, 0).expect("sent");
        xkb.reply().expect("xkb");
    }
}
