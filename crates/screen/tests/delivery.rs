//! App sharing: a key or a click goes only where it is delivered to the shared program. Other
//! programs' grabs and the desktop's shortcuts get nothing; the program's own menus go on working.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use etatuki_screen::{CancelToken, Input, SharedApp};
use etatuki_testkit::Xvfb;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::shape::{ConnectionExt as _, SK, SO};
use x11rb::protocol::xinput::{self, ConnectionExt as _, GrabMode22, GrabOwner, XIEventMask};
use x11rb::protocol::xkb::ConnectionExt as _;
use x11rb::protocol::xproto::*;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;
use x11rb::{CURRENT_TIME, NONE};

const DISPLAY: &str = "ETATUKI_TEST_DISPLAY";
const ASYNC: GrabMode = GrabMode::ASYNC;

const ALT: u16 = 8;
const CONTROL: u16 = 4;
const NUM_LOCK: u16 = 16;
/// AnyModifier.
const ANY: u16 = 0x8000;

const XK_ALT_L: u32 = 0xffe9;
const XK_CONTROL_L: u32 = 0xffe3;
const XK_SHIFT_L: u32 = 0xffe1;
const XK_F2: u32 = 0xffbf;
const XK_NUM_LOCK: u32 = 0xff7f;

/// The key A, by the evdev rules that Xvfb has by default.
const KEYCODE_A: u8 = 38;
const KEYCODE_F2: u8 = 68;
const KEYCODE_SHIFT_L: u8 = 50;

const OUR_WINDOW: (i16, i16, u16, u16) = (20, 20, 100, 100);
const OTHER_WINDOW: (i16, i16, u16, u16) = (200, 20, 100, 100);

fn show_window(server: &RustConnection, at: (i16, i16, u16, u16)) -> Window {
    let window = server.generate_id().expect("an id");
    let events = EventMask::KEY_PRESS | EventMask::BUTTON_PRESS;
    let aux = CreateWindowAux::new()
        .override_redirect(1)
        .event_mask(events);
    let (root, class) = (server.setup().roots[0].root, WindowClass::INPUT_OUTPUT);
    let (x, y, w, h) = at;
    server
        .create_window(0, window, root, x, y, w, h, 0, class, 0, &aux)
        .expect("sent");
    server.map_window(window).expect("sent");
    server.sync().expect("sync");
    window
}

/// Not a test by itself: the other program. Carries out each line of its stdin and says `done`.
/// `report` prints the events since the last one.
#[test]
fn the_other_program_obeys() {
    let Ok(display) = std::env::var(DISPLAY) else {
        return;
    };
    let (server, _) = RustConnection::connect(Some(&display)).expect("connects");
    let version = server.xinput_xi_query_version(2, 2).expect("sent");
    version.reply().expect("XInput 2");
    let own = show_window(&server, OTHER_WINDOW);
    println!("\nbegun {own}");
    for line in std::io::stdin().lines() {
        let line = line.expect("a line");
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[0] == "report" {
            println!("\ntold {}", presses(&server).join(","));
        } else {
            obey(&server, &words);
        }
        server.sync().expect("sync");
        println!("\ndone");
    }
    std::process::exit(0);
}

fn obey(server: &RustConnection, words: &[&str]) {
    let number = |at: usize| words[at].parse::<u32>().expect("a number");
    match words[0] {
        "grab-key" => server
            .grab_key(
                true,
                number(1),
                (number(3) as u16).into(),
                number(2) as u8,
                ASYNC,
                ASYNC,
            )
            .expect("sent")
            .check()
            .expect("grabbed"),
        "grab-button" => server
            .grab_button(
                true,
                number(1),
                EventMask::BUTTON_PRESS,
                ASYNC,
                ASYNC,
                NONE,
                NONE,
                (number(2) as u8).into(),
                (number(3) as u16).into(),
            )
            .expect("sent")
            .check()
            .expect("grabbed"),
        "xi-grab-key" => {
            let reply = server.xinput_xi_passive_grab_device(
                CURRENT_TIME,
                number(1),
                NONE,
                number(2),
                number(4) as u16,
                xinput::GrabType::KEYCODE,
                GrabMode22::ASYNC,
                ASYNC,
                GrabOwner::OWNER,
                &[XIEventMask::KEY_PRESS.into()],
                &[number(3)],
            );
            assert!(
                reply
                    .expect("sent")
                    .reply()
                    .expect("an answer")
                    .modifiers
                    .is_empty()
            );
        }
        "ungrab-key" | "ungrab-button" => {
            let (window, any) = (number(1), ModMask::from(ANY));
            server.ungrab_key(0u8, window, any).expect("sent");
            server.ungrab_button(0u8.into(), window, any).expect("sent");
        }
        "xi-ungrab-key" => {
            let (window, device) = (number(1), number(4) as u16);
            let kind = xinput::GrabType::KEYCODE;
            server
                .xinput_xi_passive_ungrab_device(window, number(2), device, kind, &[number(3)])
                .expect("sent");
        }
        "grab-keyboard" => {
            let grab = server.grab_keyboard(true, number(1), CURRENT_TIME, ASYNC, ASYNC);
            let status = grab.expect("sent").reply().expect("an answer").status;
            assert_eq!(status, GrabStatus::SUCCESS);
        }
        "xi-grab" => {
            let grab = server.xinput_xi_grab_device(
                number(1),
                CURRENT_TIME,
                NONE,
                number(2) as u16,
                ASYNC,
                ASYNC,
                GrabOwner::OWNER,
                &[u32::from(
                    XIEventMask::KEY_PRESS | XIEventMask::BUTTON_PRESS,
                )],
            );
            let status = grab.expect("sent").reply().expect("an answer").status;
            assert_eq!(status, GrabStatus::SUCCESS);
        }
        "grab-pointer" => {
            let events = EventMask::BUTTON_PRESS;
            let grab = server.grab_pointer(
                true,
                number(1),
                events,
                ASYNC,
                ASYNC,
                NONE,
                NONE,
                CURRENT_TIME,
            );
            let status = grab.expect("sent").reply().expect("an answer").status;
            assert_eq!(status, GrabStatus::SUCCESS);
        }
        "ungrab" => {
            server.ungrab_keyboard(CURRENT_TIME).expect("sent");
            server.ungrab_pointer(CURRENT_TIME).expect("sent");
            for device in 2..=3u16 {
                server
                    .xinput_xi_ungrab_device(CURRENT_TIME, device)
                    .expect("sent");
            }
        }
        other => panic!("what is {other}?"),
    }
}

/// Returns the presses that came on this connection since the last call.
fn presses(server: &RustConnection) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(event) = server.poll_for_event().expect("the server lives") {
        all.extend(match event {
            Event::KeyPress(e) => Some(format!("key {}", e.detail)),
            Event::ButtonPress(e) => Some(format!("button {}", e.detail)),
            Event::XinputKeyPress(e) => Some(format!("key {}", e.detail)),
            Event::XinputButtonPress(e) => Some(format!("button {}", e.detail)),
            _ => None,
        });
    }
    all
}

struct OtherProgram {
    child: Child,
    stdin: ChildStdin,
    said: BufReader<ChildStdout>,
    window: Window,
}

impl OtherProgram {
    fn start(display: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args([
                "the_other_program_obeys",
                "--exact",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(DISPLAY, display)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = BufReader::new(child.stdout.take().expect("piped"));
        let stdin = child.stdin.take().expect("piped");
        let mut other = Self {
            child,
            stdin,
            said,
            window: NONE,
        };
        let begun = other.wait_for("begun");
        other.window = begun
            .split_whitespace()
            .last()
            .expect("a word")
            .parse()
            .expect("an id");
        other
    }

    fn wait_for(&mut self, what: &str) -> String {
        let mut line = String::new();
        while !line.contains(what) {
            line.clear();
            let n = self.said.read_line(&mut line).expect("it talks");
            assert!(n > 0, "it ended before it said {what}");
        }
        line.trim().to_owned()
    }

    fn obey(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").expect("it reads");
        self.wait_for("done");
    }

    /// Returns what the program was told since the last call.
    fn report(&mut self) -> String {
        writeln!(self.stdin, "report").expect("it reads");
        let told = self.wait_for("told");
        self.wait_for("done");
        told.trim_start_matches("told").trim().to_owned()
    }
}

impl Drop for OtherProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A display with the shared program, which is this process and has the focus, another program, and
/// the agent's input.
struct Fixture {
    server: RustConnection,
    root: Window,
    window: Window,
    other: OtherProgram,
    input: Input,
    _x: Xvfb,
}

impl Fixture {
    fn new() -> Self {
        let x = Xvfb::start("640x480x24", &[]);
        let (server, _) = RustConnection::connect(Some(&x.display)).expect("connects");
        server
            .xkb_use_extension(1, 0)
            .expect("sent")
            .reply()
            .expect("XKB");
        let root = server.setup().roots[0].root;
        let window = show_window(&server, OUR_WINDOW);
        let other = OtherProgram::start(&x.display);
        let app = SharedApp::from_pids(&[std::process::id()]);
        let cancel = CancelToken::new().expect("a pipe");
        let input = Input::open(Some(&x.display), Some(&app), &cancel).expect("it opens");
        let fixture = Self {
            server,
            root,
            window,
            other,
            input,
            _x: x,
        };
        fixture.focus(window);
        fixture
    }

    fn focus(&self, window: Window) {
        let focus = self
            .server
            .set_input_focus(InputFocus::PARENT, window, CURRENT_TIME);
        focus.expect("sent").check().expect("focused");
    }

    fn key(&mut self, keysym: u32, down: bool) {
        self.input.send_keysym(keysym, down).expect("sent");
        self.input.flush().expect("flushed");
    }

    fn tap(&mut self, keysym: u32) {
        self.key(keysym, true);
        self.key(keysym, false);
    }

    fn click(&mut self, x: u16, y: u16, button: u16) {
        for buttons in [0, button, 0] {
            self.input.send_pointer(x, y, buttons).expect("sent");
        }
        self.input.flush().expect("flushed");
    }

    /// Returns the presses that came to the program since the last call, with those that came to
    /// the other one behind a bar.
    fn told(&mut self) -> String {
        // A press waits for the server, so everything before it is done.
        self.input.send_scancode(0, 0, true).expect("ignored");
        self.server.sync().expect("sync");
        format!(
            "{}|{}",
            presses(&self.server).join(","),
            self.other.report()
        )
    }
}

#[test]
fn a_shortcut_of_the_desktop_gets_no_key() {
    let mut f = Fixture::new();
    let (root, window, a, f2) = (f.root, f.window, KEYCODE_A, KEYCODE_F2);
    // Where it is grabbed, how, and for which modifiers.
    let grabs = [
        format!("grab-key {root} {f2} {ALT}"),
        format!("grab-key {root} {f2} {ANY}"),
        format!("grab-key {root} 0 {ALT}"),
        format!("grab-key {window} {f2} {ALT}"),
        format!("xi-grab-key {root} {f2} {ALT} 0"),
        format!("xi-grab-key {root} {f2} {ALT} 1"),
        format!("xi-grab-key {root} {f2} {ALT} 3"),
        format!("xi-grab-key {root} {f2} {} 3", 1u32 << 31),
    ];
    for grab in grabs {
        f.other.obey(&grab);
        f.key(XK_ALT_L, true);
        f.tap(XK_F2);
        f.tap(u32::from('a'));
        f.key(XK_ALT_L, false);
        let told = f.told();
        let expected = match grab.contains(" 0 8") && !grab.contains("xi") {
            // AnyKey with Alt.
            true => "key 64|".to_owned(),
            false => format!("key 64,key {a}|"),
        };
        assert_eq!(told, expected, "{grab}");
        f.tap(XK_F2);
        let alone = f.told();
        let expected = match grab.contains(&ANY.to_string()) || grab.contains("2147483648") {
            true => "|".to_owned(),
            false => format!("key {f2}|"),
        };
        assert_eq!(alone, expected, "{grab}, without Alt");
        f.other.obey(&grab.replace("grab", "ungrab"));
    }
}

#[test]
fn locks_and_the_customers_own_modifiers_make_a_shortcut_too() {
    let mut f = Fixture::new();
    let root = f.root;
    f.other.obey(&format!(
        "grab-key {root} {KEYCODE_F2} {}",
        CONTROL | NUM_LOCK
    ));
    f.tap(XK_NUM_LOCK);
    f.key(XK_CONTROL_L, true);
    f.told();
    f.tap(XK_F2);
    assert_eq!(f.told(), "|");
    f.key(XK_CONTROL_L, false);
    f.tap(XK_NUM_LOCK);
    // The letter needs a Shift of its own here, which somebody has grabbed; or a shortcut with it.
    for grab in [
        format!("grab-key {root} {KEYCODE_SHIFT_L} 0"),
        format!("grab-key {root} {KEYCODE_A} 1"),
    ] {
        f.other.obey(&grab);
        f.told();
        f.tap(u32::from('A'));
        assert_eq!(f.told(), "|", "{grab}");
        f.other.obey(&format!("ungrab-key {root}"));
        f.tap(u32::from('A'));
        assert_eq!(f.told(), format!("key {KEYCODE_SHIFT_L},key {KEYCODE_A}|"));
    }
}

#[test]
fn who_has_grabbed_the_keyboard_gets_no_key() {
    let mut f = Fixture::new();
    let (root, own) = (f.root, f.other.window);
    // The program's topmost window says nothing about the grab.
    show_window(&f.server, (30, 30, 40, 40));
    for grab in [
        format!("grab-keyboard {root}"),
        format!("grab-keyboard {own}"),
        format!("xi-grab {root} 3"),
        format!("xi-grab {own} 3"),
    ] {
        f.key(XK_SHIFT_L, true);
        f.told();
        f.other.obey(&grab);
        f.tap(u32::from('a'));
        assert_eq!(f.told(), "|", "{grab}");
        f.key(XK_SHIFT_L, false);
        f.other.obey("ungrab");
        f.tap(u32::from('a'));
        assert_eq!(f.told(), format!("key {KEYCODE_A}|"), "after {grab}");
    }
}

#[test]
fn the_programs_own_menu_gets_keys_and_clicks() {
    let mut f = Fixture::new();
    f.other
        .obey(&format!("grab-key {} {KEYCODE_F2} {ALT}", f.root));
    // A menu that is opened and grabs at once, and one that was there before.
    for at_once in [true, false] {
        let menu = show_window(&f.server, (110, 60, 60, 60));
        if !at_once {
            f.click(25, 25, 1);
            f.told();
        }
        let grab = f
            .server
            .grab_keyboard(true, menu, CURRENT_TIME, ASYNC, ASYNC);
        assert_eq!(
            grab.expect("sent").reply().expect("sent").status,
            GrabStatus::SUCCESS
        );
        let events = EventMask::BUTTON_PRESS;
        let grab =
            f.server
                .grab_pointer(true, menu, events, ASYNC, ASYNC, NONE, NONE, CURRENT_TIME);
        assert_eq!(
            grab.expect("sent").reply().expect("sent").status,
            GrabStatus::SUCCESS
        );
        // Whatever has the focus.
        f.focus(f.other.window);
        f.tap(u32::from('a'));
        // No shortcut is looked for while the keyboard is grabbed.
        f.key(XK_ALT_L, true);
        f.tap(XK_F2);
        f.key(XK_ALT_L, false);
        f.click(140, 90, 1);
        assert_eq!(
            f.told(),
            format!("key {KEYCODE_A},key 64,key {KEYCODE_F2},button 1|")
        );
        f.server.ungrab_keyboard(CURRENT_TIME).expect("sent");
        f.server.ungrab_pointer(CURRENT_TIME).expect("sent");
        f.server.destroy_window(menu).expect("sent");
        f.focus(f.window);
        f.tap(u32::from('a'));
        assert_eq!(f.told(), format!("key {KEYCODE_A}|"));
    }
    // Some toolkits grab on the window that has the focus.
    let grab = f
        .server
        .grab_keyboard(true, f.window, CURRENT_TIME, ASYNC, ASYNC);
    assert_eq!(
        grab.expect("sent").reply().expect("sent").status,
        GrabStatus::SUCCESS
    );
    f.tap(u32::from('a'));
    assert_eq!(f.told(), format!("key {KEYCODE_A}|"));
}

#[test]
fn who_has_grabbed_the_pointer_gets_no_click() {
    let mut f = Fixture::new();
    let (root, own) = (f.root, f.other.window);
    for grab in [
        format!("grab-pointer {root}"),
        format!("grab-pointer {own}"),
        format!("xi-grab {root} 2"),
    ] {
        f.click(30, 30, 0);
        f.other.obey(&grab);
        f.click(50, 50, 1);
        assert_eq!(f.told(), "|", "{grab}");
        let pointer = f
            .server
            .query_pointer(root)
            .expect("sent")
            .reply()
            .expect("an answer");
        assert_eq!((pointer.root_x, pointer.root_y), (30, 30), "{grab}");
        f.other.obey("ungrab");
        f.click(50, 50, 1);
        assert_eq!(f.told(), "button 1|", "after {grab}");
    }
}

#[test]
fn a_click_with_a_shortcut_of_the_desktops_goes_nowhere() {
    let mut f = Fixture::new();
    let (root, window) = (f.root, f.window);
    for (grab, held, reaches) in [
        // Moving a window, and changing the desktop by the wheel.
        (format!("grab-button {window} 1 {ALT}"), XK_ALT_L, false),
        (
            format!("grab-button {root} 1 {CONTROL}"),
            XK_CONTROL_L,
            false,
        ),
        (
            format!("grab-button {window} 1 {CONTROL}"),
            XK_CONTROL_L,
            false,
        ),
        (format!("grab-button {root} 1 {ANY}"), 0, false),
        (format!("grab-button {window} 1 {ALT}"), XK_CONTROL_L, true),
    ] {
        f.other.obey(&grab);
        if held != 0 {
            f.key(held, true);
        }
        f.told();
        f.click(50, 50, 1);
        assert_eq!(f.told(), if reaches { "button 1|" } else { "|" }, "{grab}");
        if held != 0 {
            f.key(held, false);
        }
        f.other.obey(&format!(
            "ungrab-key {}",
            grab.split(' ').nth(1).expect("a window")
        ));
    }
}

#[test]
fn a_click_through_the_programs_window_goes_nowhere() {
    let mut f = Fixture::new();
    // The window takes no click in its left half.
    let right_half = [Rectangle {
        x: 50,
        y: 0,
        width: 50,
        height: 100,
    }];
    f.server
        .shape_rectangles(
            SO::SET,
            SK::INPUT,
            ClipOrdering::UNSORTED,
            f.window,
            0,
            0,
            &right_half,
        )
        .expect("sent");
    let below = ConfigureWindowAux::new()
        .x(20)
        .y(20)
        .stack_mode(StackMode::BELOW);
    f.server
        .configure_window(f.other.window, &below)
        .expect("sent");
    f.server.sync().expect("sync");
    f.click(40, 50, 1);
    assert_eq!(f.told(), "|");
    f.click(90, 50, 1);
    assert_eq!(f.told(), "button 1|");
}

#[test]
fn keys_for_the_machine_are_never_typed() {
    let mut f = Fixture::new();
    let before = f
        .server
        .get_keyboard_mapping(8, 248)
        .expect("sent")
        .reply()
        .expect("a map");
    // Power off, sleep, a console, volume, Print, Super, Hyper; the first two by scancode as well.
    for keysym in [
        0x1008_ff2a,
        0x1008_ff2f,
        0x1008_fe01,
        0x1008_ff13,
        0xff61,
        0xffeb,
        0xffed,
    ] {
        f.tap(keysym);
        assert_eq!(f.told(), "|", "{keysym:#x}");
    }
    for scancode in [0xde, 0xdf, 0xb7, 0xdb] {
        f.input.send_scancode(scancode, 0, true).expect("sent");
        f.input.send_scancode(scancode, 0, false).expect("sent");
        assert_eq!(f.told(), "|", "{scancode:#x}");
    }
    f.key(XK_CONTROL_L, true);
    f.key(XK_ALT_L, true);
    f.told();
    for keysym in [XK_F2, 0xff08, 0xffff, 0xff9f] {
        f.tap(keysym);
        assert_eq!(f.told(), "|", "Control, Alt and {keysym:#x}");
    }
    f.key(XK_ALT_L, false);
    f.key(XK_CONTROL_L, false);
    let after = f
        .server
        .get_keyboard_mapping(8, 248)
        .expect("sent")
        .reply()
        .expect("a map");
    assert_eq!(before.keysyms, after.keysyms, "nothing was lent");
    f.tap(XK_F2);
    assert_eq!(f.told(), format!("key {KEYCODE_F2}|"));
}

#[test]
fn what_the_agent_holds_is_up_while_another_program_has_the_keyboard() {
    let mut f = Fixture::new();
    let control_is_down = |f: &Fixture| {
        let pointer = f.server.query_pointer(f.root).expect("sent").reply();
        u16::from(pointer.expect("an answer").mask) & CONTROL != 0
    };
    f.key(XK_CONTROL_L, true);
    f.key(u32::from('a'), true);
    assert_eq!(f.told(), "key 37,key 38|");
    f.focus(f.other.window);
    f.input.pump().expect("the server lives");
    assert!(!control_is_down(&f));
    let keys = f
        .server
        .query_keymap()
        .expect("sent")
        .reply()
        .expect("keys")
        .keys;
    assert_eq!(keys, [0; 32]);
    f.focus(f.window);
    f.tap(u32::from('b'));
    assert_eq!(f.told(), "key 37,key 56|");
    assert!(control_is_down(&f));
    // Let go of meanwhile, and for a click.
    f.focus(f.other.window);
    f.input.pump().expect("the server lives");
    f.focus(f.window);
    f.click(50, 50, 1);
    assert!(control_is_down(&f));
    f.focus(f.other.window);
    f.input.pump().expect("the server lives");
    f.key(XK_CONTROL_L, false);
    f.focus(f.window);
    f.told();
    f.tap(u32::from('b'));
    assert_eq!(f.told(), "key 56|");
    assert!(!control_is_down(&f));
}
