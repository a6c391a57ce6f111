//! A window asks for the keyboard only where nobody has it. The test is the window manager.

use etatuki_screen::{CancelToken, request_free_keyboard};
use etatuki_testkit::Xvfb;
use x11rb::NONE;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, CreateWindowAux, EventMask,
    InputFocus, PropMode, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// A client of the display with one window.
struct Client {
    server: RustConnection,
    root: Window,
    window: Window,
}

impl Client {
    fn connect(x: &Xvfb) -> Self {
        let (server, number) = x11rb::connect(Some(&x.display)).expect("the display answers");
        let root = server.setup().roots[number].root;
        let window = server.generate_id().expect("an id");
        let aux = CreateWindowAux::new().override_redirect(1);
        let class = WindowClass::INPUT_OUTPUT;
        server
            .create_window(0, window, root, 0, 0, 9, 9, 0, class, 0, &aux)
            .expect("sent");
        server.map_window(window).expect("sent");
        server.sync().expect("the display answers");
        Self {
            server,
            root,
            window,
        }
    }

    fn focus(&self, window: Window) {
        self.server
            .set_input_focus(InputFocus::NONE, window, x11rb::CURRENT_TIME)
            .expect("sent");
        self.server.sync().expect("the display answers");
    }

    fn set_property(&self, name: &str, value: Window) {
        let atom = self.server.intern_atom(false, name.as_bytes());
        let atom = atom.expect("sent").reply().expect("an atom").atom;
        let (replace, kind) = (PropMode::REPLACE, AtomEnum::WINDOW);
        self.server
            .change_property32(replace, self.root, atom, kind, &[value])
            .expect("sent");
        self.server.sync().expect("the display answers");
    }

    /// Returns the windows that asked for the keyboard since the last call.
    fn requests(&self) -> Vec<Window> {
        self.server.sync().expect("the display answers");
        let events = std::iter::from_fn(|| self.server.poll_for_event().expect("events"));
        let asking = events.filter_map(|event| match event {
            Event::ClientMessage(message) => Some(message.window),
            _ => None,
        });
        asking.collect()
    }
}

#[test]
fn only_a_keyboard_that_nobody_has_is_asked_for() {
    let x = Xvfb::start("64x64x24", &[]);
    let (manager, ours, other) = (
        Client::connect(&x),
        Client::connect(&x),
        Client::connect(&x),
    );
    let manages = ChangeWindowAttributesAux::new().event_mask(EventMask::SUBSTRUCTURE_REDIRECT);
    manager
        .server
        .change_window_attributes(manager.root, &manages)
        .expect("sent");
    let asks = || {
        let cancel = CancelToken::new().expect("a pipe");
        request_free_keyboard(Some(&x.display), ours.window, &cancel).expect("asked");
        manager.requests()
    };

    assert!(asks().is_empty(), "there is no window manager");
    manager.set_property("_NET_SUPPORTING_WM_CHECK", manager.window);
    manager.set_property("_NET_ACTIVE_WINDOW", NONE);
    for nobody in [NONE, InputFocus::POINTER_ROOT.into(), manager.window] {
        manager.focus(nobody);
        assert_eq!(asks(), [ours.window], "the focus is {nobody:#x}");
    }
    let closed = other.server.generate_id().expect("an id");
    manager.set_property("_NET_ACTIVE_WINDOW", closed);
    assert_eq!(asks(), [ours.window], "the active window was closed");
    manager.focus(other.window);
    assert!(asks().is_empty(), "another program's menu has it");
    manager.set_property("_NET_ACTIVE_WINDOW", other.window);
    manager.focus(NONE);
    assert!(asks().is_empty(), "another window is active");
}
