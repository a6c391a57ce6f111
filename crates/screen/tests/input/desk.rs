//! A display with a program that prints what it receives, for tests of keyboard and pointer.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use etatuki_screen::{CancelToken, Input};
use etatuki_testkit::Xvfb;
use x11rb::connection::Connection as _;
use x11rb::protocol::xkb::ConnectionExt as _;
use x11rb::protocol::xproto::*;
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

pub(crate) const SHIFT: u32 = 0xffe1;
pub(crate) const CONTROL: u32 = 0xffe3;
pub(crate) const CAPS_LOCK: u32 = 0xffe5;
pub(crate) const ALT_GR: u32 = 0xfe03;
pub(crate) const TAB: u32 = 0xff09;
pub(crate) const ESCAPE: u32 = 0xff1b;
pub(crate) const HYPER: u32 = 0xffed;
pub(crate) const LEFT_TAB: u32 = 0xfe20;

/// Device ids of Xvfb's keyboards: what programs see, faked keys, and its own.
pub(crate) const CORE_KEYBOARD: u16 = 3;
pub(crate) const XTEST_KEYBOARD: u16 = 5;
pub(crate) const OWN_KEYBOARD: u16 = 7;

/// A display with a layout, `xev` with the keyboard's focus, and our input.
pub(crate) struct Fixture {
    pub(crate) x: Xvfb,
    pub(crate) watcher: RustConnection,
    pub(crate) root: Window,
    pub(crate) input: Input,
}

impl Fixture {
    pub(crate) fn new(layout: &str) -> Self {
        let x = Xvfb::start("640x480x24", &[]);
        let (watcher, number) = RustConnection::connect(Some(&x.display)).expect("connects");
        let root = watcher.setup().roots[number].root;
        set_layout(&x, layout);
        let cancel = CancelToken::new().expect("a pipe");
        let input = Input::open(Some(&x.display), None, &cancel).expect("the input opens");
        Self {
            x,
            watcher,
            root,
            input,
        }
    }

    /// Waits until the input given so far has been carried out.
    pub(crate) fn wait_until_done(&mut self) {
        self.input.flush().expect("flushed");
        // A key press begins with a query, and the server replies in order.
        for _ in 0..2 {
            self.tap(HYPER);
            self.input.flush().expect("flushed");
        }
    }

    pub(crate) fn tap(&mut self, keysym: u32) {
        self.input.send_keysym(keysym, true).expect("pressed");
        self.input.send_keysym(keysym, false).expect("let go of");
    }

    /// Types characters as a viewer does that knows no scancodes.
    pub(crate) fn type_text(&mut self, text: &str) {
        text.chars().for_each(|c| self.tap(keysym_of(c)));
    }

    /// Carries out steps: `t:KEYSYM` taps a key, `d:` and `u:` press and release it, `q:SCANCODE:KEYSYM`
    /// taps a physical key. A keysym is a character, or a number with `0x`.
    pub(crate) fn play(&mut self, steps: &str) {
        let number = |text: &str| match text.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).expect("a number"),
            None => keysym_of(text.chars().next().expect("a character")),
        };
        for step in steps.split_whitespace() {
            let (kind, rest) = step.split_once(':').expect("kind and key");
            let (scancode, keysym) = rest.split_once(':').unwrap_or(("", rest));
            for down in [true, false] {
                let input = &mut self.input;
                let done = match (kind, down) {
                    ("q", _) => input.send_scancode(number(scancode), number(keysym), down),
                    ("t", _) | ("d", true) | ("u", false) => {
                        input.send_keysym(number(keysym), down)
                    }
                    _ => Ok(()),
                };
                done.expect("given");
            }
        }
    }

    /// Presses or releases a key of the customer's own keyboard.
    pub(crate) fn customer_key(&self, keycode: u8, down: bool) {
        // XInput's DeviceKeyPress and DeviceKeyRelease, on the keyboard that Xvfb numbers 7.
        let extension = self
            .watcher
            .query_extension(b"XInputExtension")
            .expect("sent");
        let first_event = extension.reply().expect("an extension").first_event;
        let kind = first_event + if down { 1 } else { 2 };
        self.watcher
            .xtest_fake_input(kind, keycode, 0, self.root, 0, 0, OWN_KEYBOARD as u8)
            .expect("sent")
            .check()
            .expect("faked");
    }

    /// Returns the boolean controls of a keyboard.
    pub(crate) fn controls(&self, device: u16) -> u32 {
        let xkb = self.watcher.xkb_use_extension(1, 0).expect("sent");
        xkb.reply().expect("xkb");
        let controls = self.watcher.xkb_get_controls(device).expect("sent");
        controls.reply().expect("controls").enabled_controls.into()
    }

    /// Ends control: the input is one of another display now.
    pub(crate) fn close_input(&mut self) {
        let elsewhere = Xvfb::start("64x64x24", &[]);
        let cancel = CancelToken::new().expect("a pipe");
        let input = Input::open(Some(&elsewhere.display), None, &cancel).expect("the input opens");
        self.input = input;
    }

    /// Opens the input again, as when control ends and is given anew.
    pub(crate) fn reopen(self) -> Self {
        let Self {
            x,
            watcher,
            root,
            input,
        } = self;
        drop(input);
        let cancel = CancelToken::new().expect("a pipe");
        let input = Input::open(Some(&x.display), None, &cancel).expect("the input opens");
        Self {
            x,
            watcher,
            root,
            input,
        }
    }

    /// Returns the keys that are down at the server, and the modifiers and buttons in effect.
    pub(crate) fn pressed(&self) -> (Vec<u8>, u16) {
        let keys = self
            .watcher
            .query_keymap()
            .expect("sent")
            .reply()
            .expect("keys")
            .keys;
        let down = (0..=255u8)
            .filter(|k| keys[usize::from(k / 8)] >> (k % 8) & 1 == 1)
            .collect();
        let state = self
            .watcher
            .query_pointer(self.root)
            .expect("sent")
            .reply()
            .expect("state")
            .mask;
        (down, u16::from(state))
    }

    /// Returns every keysym of every key.
    pub(crate) fn keysyms(&self) -> Vec<u32> {
        let setup = self.watcher.setup();
        let count = setup.max_keycode - setup.min_keycode + 1;
        let map = self
            .watcher
            .get_keyboard_mapping(setup.min_keycode, count)
            .expect("sent")
            .reply()
            .expect("a map");
        let width = usize::from(map.keysyms_per_keycode);
        // The width may differ from one query to the next; each key's keysyms count.
        map.keysyms
            .chunks(width)
            .flat_map(|key| key.iter().copied().chain(std::iter::repeat(0)).take(8))
            .collect()
    }
}

pub(crate) fn set_layout(x: &Xvfb, layout: &str) {
    let mut setxkbmap = Command::new("setxkbmap");
    let done = setxkbmap
        .args(["-display", &x.display, layout])
        .stderr(Stdio::null())
        .status();
    assert!(done.expect("setxkbmap is installed").success());
}

/// Returns the keysym that viewers send: Latin-1 as it is, the rest as Unicode keysyms.
pub(crate) fn keysym_of(c: char) -> u32 {
    match u32::from(c) {
        latin1 @ 0x20..=0xff => latin1,
        other => 0x0100_0000 + other,
    }
}

/// `xev`: prints its window's events as Xlib understands them.
pub(crate) struct Xev {
    pub(crate) child: Child,
    pub(crate) output: BufReader<ChildStdout>,
    pub(crate) window: Window,
}

impl Xev {
    pub(crate) fn start(fixture: &mut Fixture) -> Self {
        let mut child = Command::new("stdbuf")
            .args(["-oL", "xev", "-display", &fixture.x.display])
            .args(["-event", "keyboard", "-event", "button"])
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("xev is installed");
        let window = await_window(&fixture.watcher, fixture.root);
        let (revert, now) = (InputFocus::PARENT, x11rb::CURRENT_TIME);
        fixture
            .watcher
            .set_input_focus(revert, window, now)
            .expect("sent")
            .check()
            .expect("focused");
        // Xlib reads the layout at the first key, and subscribes to changes some time later.
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        for _ in 0..3 {
            fixture.tap(ESCAPE);
            fixture.input.flush().expect("flushed");
            let mut told = 0;
            while told < 2 {
                let mut line = String::new();
                assert_ne!(output.read_line(&mut line).expect("text"), 0, "xev ended");
                told += usize::from(line.contains("Escape"));
            }
        }
        fixture.wait_until_done();
        Self {
            child,
            output,
            window,
        }
    }

    /// Stops it: it reads no event until it goes on.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let sent = kill.args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is installed").success());
    }

    /// Waits until it has printed `count` presses of `keysym`.
    pub(crate) fn wait_for_presses(&mut self, keysym: u32, count: usize) {
        let mut seen = 0;
        let mut in_press = false;
        let wanted = format!("keysym {keysym:#x},");
        while seen < count {
            let mut line = String::new();
            assert_ne!(
                self.output.read_line(&mut line).expect("text"),
                0,
                "xev ended"
            );
            if !line.starts_with(' ') {
                in_press = line.starts_with("KeyPress");
            }
            seen += usize::from(in_press && line.contains(&wanted));
        }
    }

    /// Closes its window and returns the presses that it printed, without those of modifiers.
    pub(crate) fn end_without_modifiers(self, fixture: &mut Fixture) -> Vec<XevPress> {
        let presses = self.end(fixture).into_iter();
        presses
            .filter(|p| !matches!(p.keysym, 0xffe1..=0xffee | 0xfe03 | 0xff7f))
            .collect()
    }

    /// Closes its window and returns the text that its presses gave.
    pub(crate) fn end_text(self, fixture: &mut Fixture) -> String {
        let presses = self.end(fixture);
        presses.iter().map(|press| press.text.as_str()).collect()
    }

    /// Closes its window and returns the presses that it printed.
    pub(crate) fn end(mut self, fixture: &mut Fixture) -> Vec<XevPress> {
        fixture.wait_until_done();
        let atom = |name: &[u8]| {
            fixture
                .watcher
                .intern_atom(false, name)
                .expect("sent")
                .reply()
                .expect("an atom")
                .atom
        };
        let data = [atom(b"WM_DELETE_WINDOW"), 0, 0, 0, 0];
        let event = ClientMessageEvent::new(32, self.window, atom(b"WM_PROTOCOLS"), data);
        fixture
            .watcher
            .send_event(false, self.window, EventMask::NO_EVENT, event)
            .expect("sent");
        fixture.watcher.sync().expect("sync");
        let mut text = String::new();
        self.output.read_to_string(&mut text).expect("text");
        self.child.wait().expect("xev ends");
        parse(&text)
    }
}

impl Drop for Xev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A key press as xev prints it.
#[derive(Debug, PartialEq)]
pub(crate) struct XevPress {
    pub(crate) keysym: u32,
    pub(crate) state: u32,
    pub(crate) text: String,
}

/// Parses xev's blocks: a head line, then indented ones.
fn parse(text: &str) -> Vec<XevPress> {
    let mut all = Vec::new();
    let number = |line: &str, before: &str| {
        let from = line.split(before).nth(1)?.trim_start_matches("0x");
        let digits: String = from.chars().take_while(char::is_ascii_hexdigit).collect();
        u32::from_str_radix(&digits, 16).ok()
    };
    let mut in_press = false;
    for line in text.lines() {
        if !line.starts_with(' ') {
            in_press = line.starts_with("KeyPress");
        } else if in_press && line.contains("keysym") {
            let keysym = number(line, "keysym ").expect("a keysym");
            all.push(XevPress {
                keysym,
                state: number(line, "state ").expect("a state"),
                text: String::new(),
            });
        } else if in_press && line.contains("XmbLookupString gives") && line.contains('"') {
            let (from, to) = (
                line.find('"').expect("a quote"),
                line.rfind('"').expect("a quote"),
            );
            all.last_mut().expect("a press").text = line[from + 1..to].to_owned();
        }
    }
    all
}

fn await_window(connection: &RustConnection, root: Window) -> Window {
    let mask = ChangeWindowAttributesAux::new().event_mask(EventMask::SUBSTRUCTURE_NOTIFY);
    connection
        .change_window_attributes(root, &mask)
        .expect("sent");
    let tree = connection
        .query_tree(root)
        .expect("sent")
        .reply()
        .expect("a tree");
    let shown = |w: &Window| {
        let attributes = connection.get_window_attributes(*w).ok()?.reply().ok()?;
        (attributes.map_state == MapState::VIEWABLE).then_some(*w)
    };
    if let Some(window) = tree.children.iter().find_map(shown) {
        return window;
    }
    loop {
        if let x11rb::protocol::Event::MapNotify(e) = connection.wait_for_event().expect("an event")
        {
            return e.window;
        }
    }
}
