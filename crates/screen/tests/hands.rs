//! Input of a hand and injected input are told apart, on a display that has both: Xvnc, whose viewer
//! is the hand, and XTEST, through which programs inject.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use etatuki_screen::{CancelToken, EscapeKey, InputSource, InputWatch, KeyPress, MonitorQuery};
use etatuki_testkit::{Hand, Xvnc};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::*;
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

const ESCAPE: u32 = 0xff1b;
const SHIFT: u32 = 0xffe1;
const ALT: u32 = 0xffe9;
const TIMEOUT: Duration = Duration::from_secs(30);

/// A display with a hand, and a program that injects.
struct Fixture {
    x: Xvnc,
    hand: Hand,
    program: RustConnection,
    root: Window,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let x = Xvnc::start("640x480", folder.path());
        let hand = x.hand();
        let (program, number) = RustConnection::connect(Some(&x.display)).expect("connects");
        let root = program.setup().roots[number].root;
        Self {
            x,
            hand,
            program,
            root,
            _folder: folder,
        }
    }

    /// Injects a press or a release of a key.
    fn inject_key(&self, keysym: u32, kind: u8) {
        let code = self.keycode(keysym);
        let fake = self
            .program
            .xtest_fake_input(kind, code, 0, self.root, 0, 0, 0);
        fake.expect("sent");
        self.program.sync().expect("synced");
    }

    fn inject_button(&self, kind: u8) {
        let fake = self
            .program
            .xtest_fake_input(kind, 1, 0, self.root, 0, 0, 0);
        fake.expect("sent");
        self.program.sync().expect("synced");
    }

    fn keycode(&self, keysym: u32) -> u8 {
        let (first, last) = {
            let setup = self.program.setup();
            (setup.min_keycode, setup.max_keycode)
        };
        let map = self
            .program
            .get_keyboard_mapping(first, last - first + 1)
            .expect("sent")
            .reply()
            .expect("a mapping");
        let width = usize::from(map.keysyms_per_keycode);
        let at = map
            .keysyms
            .chunks(width)
            .position(|keysyms| keysyms.contains(&keysym));
        first + u8::try_from(at.expect("the key is there")).expect("a keycode")
    }

    fn watch(&self) -> InputWatch {
        InputWatch::open(Some(&self.x.display), &CancelToken::new().expect("a pipe"))
            .expect("Xvnc has XInput 2")
    }
}

fn wait_until<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + TIMEOUT;
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(Instant::now() < end, "still waiting for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn only_a_hands_esc_counts() {
    let mut fixture = Fixture::new();
    let hold = Duration::from_millis(200);
    let cancel = CancelToken::new().expect("a pipe");
    let mut key = EscapeKey::open(Some(&fixture.x.display), &cancel).expect("opens");
    let (held, notices) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        while key.wait_until_held(hold).is_ok() {
            held.send(()).expect("the test listens");
        }
    });

    fixture.inject_key(ESCAPE, KEY_PRESS_EVENT);
    let injected = notices.recv_timeout(5 * hold);
    assert!(injected.is_err(), "an injected Esc counted");
    fixture.inject_key(ESCAPE, KEY_RELEASE_EVENT);

    fixture.hand.tap(ESCAPE);
    let tapped = notices.recv_timeout(2 * hold);
    assert!(tapped.is_err(), "a tap counted");

    // Whoever has grabbed the keyboard.
    let (window, mode) = (fixture.root, GrabMode::ASYNC);
    let grab = fixture
        .program
        .grab_keyboard(false, window, x11rb::CURRENT_TIME, mode, mode);
    let status = grab.expect("sent").reply().expect("answered").status;
    assert_eq!(status, GrabStatus::SUCCESS);
    fixture.hand.key(ESCAPE, true);
    notices
        .recv_timeout(TIMEOUT)
        .expect("the hand's Esc counts");
    fixture.hand.key(ESCAPE, false);
    cancel.cancel();
    thread.join().expect("ends when cancelled");
}

#[test]
fn a_key_names_its_source_and_the_silence_before_it() {
    let mut fixture = Fixture::new();
    let mut watch = fixture.watch();
    let expect = |watch: &mut InputWatch, key: char| -> KeyPress {
        wait_until("a key", || watch.last_key(key.into()).expect("answers"))
    };

    fixture.hand.tap('a'.into());
    assert_eq!(expect(&mut watch, 'a').source, InputSource::Hand);
    assert_eq!(watch.since_injected().expect("answers"), None);

    let apart = Duration::from_millis(300);
    std::thread::sleep(apart);
    fixture.hand.key(SHIFT, true);
    fixture.inject_key('b'.into(), KEY_PRESS_EVENT);
    fixture.inject_key('b'.into(), KEY_RELEASE_EVENT);
    fixture.hand.key(SHIFT, false);
    let pressed = expect(&mut watch, 'b');
    assert_eq!(pressed.source, InputSource::Injected);
    assert!(pressed.silence >= apart, "Shift is no key: {pressed:?}");
    assert!(watch.since_injected().expect("answers").is_some());
    assert_eq!(watch.last_key('a'.into()).expect("answers"), None);
}

#[test]
fn a_key_is_a_hands_if_all_that_is_held_with_it_is() {
    let mut fixture = Fixture::new();
    // Before anybody watches.
    fixture.inject_key(ALT, KEY_PRESS_EVENT);
    let mut watch = fixture.watch();
    let expect = |watch: &mut InputWatch, key: char, source, with_alt| {
        let pressed = wait_until("a key", || watch.last_key(key.into()).expect("answers"));
        assert_eq!((pressed.source, pressed.with_alt), (source, with_alt));
    };
    fixture.hand.tap('a'.into());
    expect(&mut watch, 'a', InputSource::Injected, false);
    fixture.inject_key(ALT, KEY_RELEASE_EVENT);
    fixture.hand.tap('b'.into());
    expect(&mut watch, 'b', InputSource::Hand, false);
    fixture.hand.key(ALT, true);
    fixture.hand.tap('c'.into());
    fixture.hand.key(ALT, false);
    expect(&mut watch, 'c', InputSource::Hand, true);
}

#[test]
fn a_click_is_a_hands_if_all_of_it_is() {
    let mut fixture = Fixture::new();
    let mut watch = fixture.watch();
    let click = |watch: &mut InputWatch, before: Option<Duration>| {
        wait_until("a click", || {
            let click = watch.last_click().expect("answers")?;
            before
                .is_none_or(|before| click.age < before)
                .then_some(click)
        })
    };
    fixture.hand.click(10, 10);
    assert_eq!(click(&mut watch, None).source, InputSource::Hand);

    // The program presses while the hand holds the button too: the last release is the hand's.
    let past = Duration::from_millis(50);
    std::thread::sleep(past);
    fixture.hand.point(20, 20, 1);
    wait_until("the hand's press", || {
        let source = watch.last_button().expect("answers");
        (source == Some(InputSource::Hand)).then_some(())
    });
    fixture.inject_button(BUTTON_PRESS_EVENT);
    fixture.inject_button(BUTTON_RELEASE_EVENT);
    fixture.hand.point(20, 20, 0);
    let mixed = click(&mut watch, Some(past));
    assert_eq!(mixed.source, InputSource::Injected);
}

#[test]
fn monitors_are_asked_for_anew() {
    let fixture = Fixture::new();
    let cancel = CancelToken::new().expect("a pipe");
    let mut query = MonitorQuery::open(Some(&fixture.x.display), &cancel).expect("opens");
    let monitors = query.current().expect("answers");
    assert_eq!(monitors.len(), 1);
    assert_eq!((monitors[0].rect.w, monitors[0].rect.h), (640, 480));
}
