//! Looks at a display, and what they see: blanked, locked, in the background, drawn on; and
//! whether the program that has the keyboard answers.

use std::time::{Duration, Instant};

use etatuki_screen::{CancelToken, DisplayLook, DisplayState};
use etatuki_testkit::Xvfb;
use x11rb::COPY_DEPTH_FROM_PARENT;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::screensaver::ConnectionExt as _;
use x11rb::protocol::xproto::*;
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

x11rb::atom_manager! {
    Atoms: AtomsCookie {
        WM_PROTOCOLS,
        _NET_WM_PING,
        _SCREENSAVER_STATUS,
        LOCK,
        BLANK,
        XFree86_has_VT,
    }
}

/// Time for which a test waits for anything that must come.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

struct Fixture {
    x: Xvfb,
    client: RustConnection,
    root: Window,
    atoms: Atoms,
    look: DisplayLook,
}

impl Fixture {
    fn new() -> Self {
        let x = Xvfb::start("640x480x24", &[]);
        let (client, screen) = RustConnection::connect(Some(&x.display)).expect("a display");
        let root = client.setup().roots[screen].root;
        let atoms = Atoms::new(&client).expect("sent").reply().expect("atoms");
        let cancel = CancelToken::new().expect("a pipe");
        let look = DisplayLook::open(Some(&x.display), &cancel).expect("it can be looked at");
        Self {
            x,
            client,
            root,
            atoms,
            look,
        }
    }

    fn look(&mut self) -> DisplayState {
        self.client.sync().expect("sync");
        self.look.look().expect("the display is there")
    }

    fn set_root(&self, property: Atom, kind: AtomEnum, value: u32) {
        self.client
            .change_property32(PropMode::REPLACE, self.root, property, kind, &[value])
            .expect("sent");
    }

    /// Presses and releases a key, as a hand or an agent would.
    fn type_key(&self) {
        for kind in [KEY_PRESS_EVENT, KEY_RELEASE_EVENT] {
            self.client
                .xtest_fake_input(kind, 38, 0, self.root, 0, 0, 0)
                .expect("sent");
        }
        self.client.sync().expect("sync");
    }

    #[track_caller]
    fn until(&mut self, what: &str, like: impl Fn(&DisplayState) -> bool) {
        let began = Instant::now();
        loop {
            let state = self.look();
            if like(&state) {
                return;
            }
            assert!(began.elapsed() < TEST_TIMEOUT, "never {what}: {state:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_blanked_screen_is_seen() {
    let mut fixture = Fixture::new();
    assert!(!fixture.look().blanked);
    fixture
        .client
        .force_screen_saver(ScreenSaver::ACTIVE)
        .expect("sent");
    assert!(fixture.look().blanked);
    let root = fixture.root;
    assert!(fixture.client.screensaver_query_info(root).is_ok());
    fixture.type_key();
    fixture.until("awake", |state| !state.blanked);
}

/// xscreensaver's own property, set by a test: status, time, and a number for each screen.
#[test]
fn a_locked_screen_is_seen_and_a_blanked_one_is_not_locked() {
    let mut fixture = Fixture::new();
    let Atoms {
        _SCREENSAVER_STATUS: status,
        LOCK: lock,
        BLANK: blank,
        ..
    } = fixture.atoms;
    for (value, locked) in [(lock, true), (blank, false), (lock, true), (0, false)] {
        fixture.set_root(status, AtomEnum::INTEGER, value);
        assert_eq!(fixture.look().locked, locked);
    }
}

/// Xorg's own property for whether it has its virtual terminal, set by a test.
#[test]
fn a_server_without_its_terminal_is_in_the_background() {
    let mut fixture = Fixture::new();
    assert!(!fixture.look().in_background, "Xvfb has no terminal at all");
    for (value, in_background) in [(1, false), (0, true), (1, false)] {
        fixture.set_root(fixture.atoms.XFree86_has_VT, AtomEnum::INTEGER, value);
        assert_eq!(fixture.look().in_background, in_background);
    }
}

#[test]
fn what_was_drawn_is_seen_once() {
    let mut fixture = Fixture::new();
    fixture.look();
    assert!(!fixture.look().drawn);
    for colour in [0x00ff_0000, 0x0000_ff00] {
        let gc = fixture.client.generate_id().expect("an id");
        let aux = CreateGCAux::new().foreground(colour);
        let area = Rectangle {
            x: 10,
            y: 10,
            width: 50,
            height: 50,
        };
        let (client, root) = (&fixture.client, fixture.root);
        client.create_gc(gc, root, &aux).expect("sent");
        client.poly_fill_rectangle(root, gc, &[area]).expect("sent");
        assert!(fixture.look().drawn);
        assert!(!fixture.look().drawn);
    }
}

/// A program with a window that has the keyboard.
struct Program {
    connection: RustConnection,
    window: Window,
    root: Window,
}

impl Program {
    fn start(fixture: &Fixture, protocols: &[Atom]) -> Self {
        let (connection, screen) =
            RustConnection::connect(Some(&fixture.x.display)).expect("a display");
        let (root, window) = (
            connection.setup().roots[screen].root,
            connection.generate_id().expect("an id"),
        );
        connection
            .create_window(
                COPY_DEPTH_FROM_PARENT,
                window,
                root,
                0,
                0,
                100,
                100,
                0,
                WindowClass::INPUT_OUTPUT,
                0,
                &CreateWindowAux::new(),
            )
            .expect("sent");
        let (kind, property) = (AtomEnum::ATOM, fixture.atoms.WM_PROTOCOLS);
        connection
            .change_property32(PropMode::REPLACE, window, property, kind, protocols)
            .expect("sent");
        connection.map_window(window).expect("sent");
        connection.sync().expect("sync");
        connection
            .set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME)
            .expect("sent");
        connection.sync().expect("sync");
        Self {
            connection,
            window,
            root,
        }
    }

    /// Answers the pings that have come, as toolkits do. Returns how many.
    fn pump(&self) -> usize {
        self.connection.sync().expect("sync");
        let mut answered = 0;
        while let Some(event) = self.connection.poll_for_event().expect("events") {
            if let Event::ClientMessage(mut message) = event {
                assert_eq!(message.window, self.window);
                message.window = self.root;
                let mask = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::SUBSTRUCTURE_REDIRECT;
                self.connection
                    .send_event(false, self.root, mask, message)
                    .expect("sent");
                answered += 1;
            }
        }
        self.connection.sync().expect("sync");
        answered
    }
}

#[test]
fn a_program_that_hangs_owes_a_pong_until_it_goes_on() {
    let mut fixture = Fixture::new();
    let program = Program::start(&fixture, &[fixture.atoms._NET_WM_PING]);
    fixture.type_key();
    fixture.until("pinged", |state| state.ping_unanswered.is_some());
    let limit = Duration::from_millis(1500);
    fixture.until("hung", |state| {
        state.ping_unanswered.is_some_and(|time| time >= limit)
    });
    assert_eq!(program.pump(), 1, "one ping is enough");
    fixture.until("well", |state| state.ping_unanswered.is_none());
}

#[test]
fn a_program_that_is_left_alone_is_not_pinged() {
    let mut fixture = Fixture::new();
    let program = Program::start(&fixture, &[fixture.atoms._NET_WM_PING]);
    // Its start counts as input to nobody, but the server's own start may.
    std::thread::sleep(Duration::from_millis(1600));
    for _ in 0..3 {
        assert_eq!(fixture.look().ping_unanswered, None);
    }
    assert_eq!(program.pump(), 0);
}

#[test]
fn a_program_that_knows_no_pings_gets_none() {
    let mut fixture = Fixture::new();
    let program = Program::start(&fixture, &[fixture.atoms.LOCK]);
    fixture.type_key();
    for _ in 0..3 {
        assert_eq!(fixture.look().ping_unanswered, None);
    }
    assert_eq!(program.pump(), 0);
}

#[test]
fn a_hung_program_that_lost_the_keyboard_or_died_owes_nothing() {
    let mut fixture = Fixture::new();
    let hung = Program::start(&fixture, &[fixture.atoms._NET_WM_PING]);
    fixture.type_key();
    fixture.until("pinged", |state| state.ping_unanswered.is_some());
    let next = Program::start(&fixture, &[fixture.atoms._NET_WM_PING]);
    fixture.type_key();
    fixture.until("the next one is pinged", |_| next.pump() == 1);
    fixture.until("well", |state| {
        next.pump();
        state.ping_unanswered.is_none()
    });
    drop(next);
    fixture.type_key();
    hung.connection
        .set_input_focus(InputFocus::PARENT, hung.window, x11rb::CURRENT_TIME)
        .expect("sent");
    hung.connection.sync().expect("sync");
    fixture.until("pinged", |state| state.ping_unanswered.is_some());
    drop(hung);
    fixture.until("nobody is there", |state| state.ping_unanswered.is_none());
}
