//! Keys that follow a text, over the whole chain: a program that pastes gets that text.

use std::sync::mpsc::{Receiver, channel};

use x11rb::CURRENT_TIME;
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ConnectionExt, CreateWindowAux, EventMask, InputFocus, Property, Window,
    WindowClass,
};
use x11rb::rust_connection::RustConnection;

use crate::display::{Display, TEST_TIMEOUT};
use crate::journeys::controlling;
use crate::world::World;

const KEY_V: u32 = 0x76;

/// A program that pastes the clipboard at every key press.
pub(crate) struct PastingProgram {
    connection: RustConnection,
    window: Window,
    clipboard: Atom,
    utf8: Atom,
    incr: Atom,
}

impl PastingProgram {
    /// Runs the program on a thread until the display ends. The receiver gets what it pastes.
    pub(crate) fn run(display: &Display) -> Receiver<String> {
        let program = Self::open(&display.name);
        let (sender, pasted) = channel();
        std::thread::spawn(move || {
            while let Ok(event) = program.connection.wait_for_event() {
                if matches!(event, Event::KeyPress(_)) && sender.send(program.paste()).is_err() {
                    return;
                }
            }
        });
        pasted
    }

    fn open(display: &str) -> Self {
        let (connection, screen) = x11rb::connect(Some(display)).expect("a display");
        let root = connection.setup().roots[screen].root;
        let window = connection.generate_id().expect("an id");
        let aux = CreateWindowAux::new()
            .override_redirect(1)
            .event_mask(EventMask::KEY_PRESS | EventMask::PROPERTY_CHANGE);
        let class = WindowClass::INPUT_OUTPUT;
        connection
            .create_window(0, window, root, 0, 0, 100, 100, 0, class, 0, &aux)
            .expect("sent");
        connection.map_window(window).expect("sent");
        let focus = connection.set_input_focus(InputFocus::PARENT, window, CURRENT_TIME);
        focus.expect("sent").check().expect("the focus is ours");
        let atom = |name: &str| {
            let cookie = connection.intern_atom(false, name.as_bytes());
            cookie.expect("sent").reply().expect("an atom").atom
        };
        let (clipboard, utf8, incr) = (atom("CLIPBOARD"), atom("UTF8_STRING"), atom("INCR"));
        Self {
            connection,
            window,
            clipboard,
            utf8,
            incr,
        }
    }

    fn paste(&self) -> String {
        let (from, to) = (self.clipboard, AtomEnum::PRIMARY);
        self.connection
            .convert_selection(self.window, from, self.utf8, to, CURRENT_TIME)
            .expect("sent");
        self.connection.flush().expect("sent");
        self.wait(|event| matches!(event, Event::SelectionNotify(_)));
        let (kind, mut text) = self.take();
        if kind == self.incr {
            text.clear();
            loop {
                self.wait(|event| {
                    matches!(event, Event::PropertyNotify(e) if e.state == Property::NEW_VALUE)
                });
                let (_, piece) = self.take();
                if piece.is_empty() {
                    break;
                }
                text.extend(piece);
            }
        }
        String::from_utf8(text).expect("UTF-8")
    }

    /// Reads and deletes the property: its type and bytes.
    fn take(&self) -> (Atom, Vec<u8>) {
        let (property, any) = (AtomEnum::PRIMARY, AtomEnum::ANY);
        let cookie =
            self.connection
                .get_property(true, self.window, property, any, 0, u32::MAX / 4);
        let reply = cookie.expect("sent").reply().expect("a property");
        (reply.type_, reply.value)
    }

    fn wait(&self, is_wanted: impl Fn(&Event) -> bool) {
        loop {
            let event = self.connection.wait_for_event().expect("the display lives");
            if is_wanted(&event) {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_pastes_the_text_that_was_sent_before_it_whatever_its_size() {
    let world = World::new().await;
    let (_customer, mut agent) = controlling(&world, "ecom").await;
    let pasted = PastingProgram::run(&world.display);
    let mut number = 0;
    for size in [10, 20_000, 500_000] {
        for _ in 0..4 {
            number += 1;
            let text = format!("{number} {}", "x".repeat(size));
            agent.copies_and_presses(number, &text, KEY_V).await;
            let got = pasted.recv_timeout(TEST_TIMEOUT).expect("a key");
            assert!(
                got == text,
                "text {number} of {size} bytes: {} came",
                got.len()
            );
        }
    }
    agent.close().await;
}
