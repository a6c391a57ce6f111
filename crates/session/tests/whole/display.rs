//! An X server of the test's own, its picture, and a window that records what is typed.

use std::time::{Duration, Instant};

use etatuki_testkit::Xvfb;
use x11rb::COPY_DEPTH_FROM_PARENT;
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    Blanking, ConnectionExt, CreateWindowAux, EventMask, Exposures, ImageFormat, InputFocus,
    Rectangle, ScreenSaver, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;

/// Time for which the test waits for anything that must come.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// An X server. Dropping it ends the server.
pub(crate) struct Display {
    /// Name of the display, such as `:7`.
    pub(crate) name: String,
    pub(crate) connection: RustConnection,
    window: Window,
    _server: Xvfb,
}

impl Display {
    pub(crate) fn start() -> Self {
        let server = Xvfb::start("800x600x24", &[]);
        let name = server.display.clone();
        let (connection, screen) = RustConnection::connect(Some(&name)).expect("a display");
        let window = open_window(&connection, screen);
        Self {
            name,
            connection,
            window,
            _server: server,
        }
    }

    /// Fills a part of the screen with a colour.
    pub(crate) fn paint(&self, colour: u32, x: i16, y: i16, width: u16, height: u16) {
        use x11rb::protocol::xproto::{ChangeGCAux, CreateGCAux};
        let gc = self.connection.generate_id().expect("an id");
        self.connection
            .create_gc(gc, self.window, &CreateGCAux::new())
            .expect("sent");
        self.connection
            .change_gc(gc, &ChangeGCAux::new().foreground(colour))
            .expect("sent");
        let area = Rectangle {
            x,
            y,
            width,
            height,
        };
        self.connection
            .poly_fill_rectangle(self.window, gc, &[area])
            .expect("sent");
        self.connection.free_gc(gc).expect("sent");
        self.connection.sync();
    }

    /// Returns the screen's pixels: BGRX, the fourth byte 0.
    pub(crate) fn picture(&self) -> Vec<u8> {
        let root = self.connection.setup().roots[0].root;
        let image = self
            .connection
            .get_image(ImageFormat::Z_PIXMAP, root, 0, 0, 800, 600, !0)
            .expect("sent")
            .reply()
            .expect("an image");
        let mut pixels = image.data;
        pixels.chunks_exact_mut(4).for_each(|pixel| pixel[3] = 0);
        pixels
    }

    /// Returns whether the X server has blanked the screen.
    pub(crate) fn is_blanked(&self) -> bool {
        use x11rb::protocol::screensaver::{ConnectionExt, State};
        let root = self.connection.setup().roots[0].root;
        let asked = self.connection.screensaver_query_info(root).expect("sent");
        asked.reply().expect("an answer").state == u8::from(State::ON)
    }

    /// Has the X server blank the screen, or show it again.
    pub(crate) fn set_screen_saver(&self, mode: ScreenSaver) {
        self.connection.force_screen_saver(mode).expect("sent");
        self.connection.sync();
    }

    /// Lets the X server never blank the screen by itself, which it does after ten minutes.
    pub(crate) fn stay_awake(&self) {
        let (blanking, exposures) = (Blanking::NOT_PREFERRED, Exposures::DEFAULT);
        let set = self.connection.set_screen_saver(0, 0, blanking, exposures);
        set.expect("sent").check().expect("set");
    }

    /// Returns the keys that are down now, by their unshifted keysyms.
    pub(crate) fn held(&self) -> Vec<u32> {
        let keys = self
            .connection
            .query_keymap()
            .expect("sent")
            .reply()
            .expect("keys")
            .keys;
        let down = |code: &u8| keys[usize::from(code / 8)] & (1 << (code % 8)) != 0;
        (8..=255)
            .filter(down)
            .map(|code| self.keysym(code))
            .collect()
    }

    /// Returns the buttons that are down now.
    pub(crate) fn buttons(&self) -> u16 {
        let root = self.connection.setup().roots[0].root;
        let pointer = self
            .connection
            .query_pointer(root)
            .expect("sent")
            .reply()
            .expect("a pointer");
        u16::from(pointer.mask) & 0x1f00
    }

    /// Waits for the next key press in the window and returns its unshifted keysym.
    pub(crate) fn typed(&self) -> u32 {
        let deadline = Instant::now() + TEST_TIMEOUT;
        while Instant::now() < deadline {
            match self.connection.poll_for_event().expect("the display lives") {
                Some(Event::KeyPress(press)) => return self.keysym(press.detail),
                Some(_) => {}
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        panic!("nothing was typed");
    }

    /// Panics if an unexpected key press has come.
    pub(crate) fn nothing_typed(&self) {
        self.connection.sync();
        while let Some(event) = self.connection.poll_for_event().expect("the display lives") {
            assert!(!matches!(event, Event::KeyPress(_)), "{event:?}");
        }
    }

    /// Waits until the condition holds.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + TEST_TIMEOUT;
        while !holds(self) {
            assert!(Instant::now() < deadline, "still not so: {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn keysym(&self, code: u8) -> u32 {
        let map = self
            .connection
            .get_keyboard_mapping(code, 1)
            .expect("sent")
            .reply()
            .expect("a map");
        map.keysyms[0]
    }
}

/// A window over all of the screen, with the keyboard.
fn open_window(connection: &RustConnection, screen: usize) -> Window {
    let root = &connection.setup().roots[screen];
    let window = connection.generate_id().expect("an id");
    let looks = CreateWindowAux::new()
        .background_pixel(0x0020_4060)
        .override_redirect(1)
        .event_mask(EventMask::KEY_PRESS | EventMask::EXPOSURE);
    connection
        .create_window(
            COPY_DEPTH_FROM_PARENT,
            window,
            root.root,
            0,
            0,
            800,
            600,
            0,
            WindowClass::INPUT_OUTPUT,
            0,
            &looks,
        )
        .expect("sent");
    connection.map_window(window).expect("sent");
    connection.sync();
    connection
        .set_input_focus(InputFocus::POINTER_ROOT, window, x11rb::CURRENT_TIME)
        .expect("sent");
    connection.sync();
    window
}

pub(crate) trait Sync {
    fn sync(&self);
}

impl Sync for RustConnection {
    /// Waits until the X server has done everything that was sent.
    fn sync(&self) {
        self.get_input_focus()
            .expect("sent")
            .reply()
            .expect("the display lives");
    }
}
