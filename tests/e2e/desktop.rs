//! The real screen of a journey: read with GetImage, drawn on, and typed into, in a real window.

use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ConnectionExt, CreateGCAux, CreateWindowAux, EventMask, ImageFormat, InputFocus,
    KeyButMask, MOTION_NOTIFY_EVENT, PropMode, Rectangle, Window, WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::testbed::wait_until;

/// A connection to the display, with a window of the test's own.
pub(crate) struct Desktop {
    conn: RustConnection,
    root: Window,
    size: (u16, u16),
    window: Window,
}

impl Desktop {
    /// Opens the window, at the left of the screen.
    pub(crate) fn open(display: &str) -> Self {
        let (conn, number) = x11rb::connect(Some(display)).unwrap();
        let screen = conn.setup().roots[number].clone();
        let window = conn.generate_id().unwrap();
        let events = EventMask::KEY_PRESS
            | EventMask::KEY_RELEASE
            | EventMask::BUTTON_PRESS
            | EventMask::BUTTON_RELEASE;
        let aux = CreateWindowAux::new()
            .background_pixel(0x20_4060)
            .event_mask(events)
            .override_redirect(1);
        conn.create_window(
            screen.root_depth,
            window,
            screen.root,
            40,
            300,
            300,
            200,
            0,
            WindowClass::INPUT_OUTPUT,
            0,
            &aux,
        )
        .unwrap();
        conn.change_property8(
            PropMode::REPLACE,
            window,
            AtomEnum::WM_NAME,
            AtomEnum::STRING,
            b"e2e",
        )
        .unwrap();
        conn.map_window(window).unwrap();
        conn.sync().unwrap();
        let size = (screen.width_in_pixels, screen.height_in_pixels);
        Self {
            conn,
            root: screen.root,
            size,
            window,
        }
    }

    /// Gives the keyboard focus to the test's window.
    pub(crate) fn focus(&self) {
        self.conn
            .set_input_focus(InputFocus::PARENT, self.window, x11rb::CURRENT_TIME)
            .unwrap();
        self.conn.sync().unwrap();
    }

    /// Draws coloured rectangles in the window, depending on `seed`.
    pub(crate) fn draw(&self, seed: u32) {
        let gc = self.conn.generate_id().unwrap();
        self.conn
            .create_gc(gc, self.window, &CreateGCAux::new())
            .unwrap();
        for n in 0..60u32 {
            let value = seed.wrapping_add(n).wrapping_mul(0x9E37_79B9);
            let aux = x11rb::protocol::xproto::ChangeGCAux::new().foreground(value & 0xff_ffff);
            self.conn.change_gc(gc, &aux).unwrap();
            let bits =
                |shift: u32, modulus: u32| i16::try_from((value >> shift) % modulus).unwrap();
            let rectangle = Rectangle {
                x: bits(3, 280),
                y: bits(11, 180),
                width: 37,
                height: 13,
            };
            self.conn
                .poly_fill_rectangle(self.window, gc, &[rectangle])
                .unwrap();
        }
        self.conn.free_gc(gc).unwrap();
        self.conn.sync().unwrap();
    }

    /// Draws a frame of a video in the window: moving waves and grain. Every value is even.
    pub(crate) fn draw_video_frame(&self, frame: u32) {
        const SIZE: (u16, u16) = (300, 200);
        let pixels: Vec<u8> = (0..u32::from(SIZE.1))
            .flat_map(|y| (0..u32::from(SIZE.0)).map(move |x| (x, y)))
            .flat_map(|(x, y)| {
                let grain = ((x * 7919) ^ (y * 104_729) ^ frame).wrapping_mul(0x9e37_79b1) >> 29;
                let wave = |length: f32, phase: f32| {
                    let across = (x + 3 * frame) as f32 / length + phase;
                    let down = (y + frame) as f32 / (length * 0.7) - phase;
                    120.0 + 50.0 * across.sin() + 40.0 * down.cos()
                };
                let even = |light: f32| (light as u32 + grain) as u8 & !1;
                [
                    even(wave(37.0, 0.0)),
                    even(wave(53.0, 1.0)),
                    even(wave(71.0, 2.0)),
                    0,
                ]
            })
            .collect();
        let gc = self.conn.generate_id().unwrap();
        self.conn
            .create_gc(gc, self.window, &CreateGCAux::new())
            .unwrap();
        let format = ImageFormat::Z_PIXMAP;
        // As many rows as fit into one request.
        for (n, rows) in pixels.chunks(usize::from(SIZE.0) * 4 * 50).enumerate() {
            let top = 50 * n as i16;
            let (w, h) = (SIZE.0, 50);
            self.conn
                .put_image(format, self.window, gc, w, h, 0, top, 0, 24, rows)
                .unwrap();
        }
        self.conn.free_gc(gc).unwrap();
        self.conn.sync().unwrap();
    }

    /// Returns the whole screen in BGRX.
    pub(crate) fn pixels(&self) -> Vec<u8> {
        let (w, h) = self.size;
        self.conn
            .get_image(ImageFormat::Z_PIXMAP, self.root, 0, 0, w, h, !0)
            .unwrap()
            .reply()
            .unwrap()
            .data
    }

    /// Returns the keys that the test's window got since the last call: (keycode, pressed).
    pub(crate) fn keys(&self) -> Vec<(u8, bool)> {
        self.conn.sync().unwrap();
        let mut keys = Vec::new();
        while let Some(event) = self.conn.poll_for_event().unwrap() {
            match event {
                Event::KeyPress(key) => keys.push((key.detail, true)),
                Event::KeyRelease(key) => keys.push((key.detail, false)),
                _ => {}
            }
        }
        keys
    }

    /// Waits for a key press in the test's window and returns its keycode.
    pub(crate) fn expect_press(&self) -> u8 {
        wait_until("a key press on the real screen", || {
            self.keys()
                .into_iter()
                .find(|(_, down)| *down)
                .map(|(code, _)| code)
        })
    }

    /// Waits until so many mouse buttons were pressed in the test's window, and returns their numbers.
    /// A wheel has 4 and 5, and 6 and 7 sideways.
    pub(crate) fn expect_buttons(&self, count: usize) -> Vec<u8> {
        let mut pressed = Vec::new();
        wait_until(&format!("{count} presses of mouse buttons"), || {
            self.conn.sync().unwrap();
            while let Some(event) = self.conn.poll_for_event().unwrap() {
                if let Event::ButtonPress(button) = event {
                    pressed.push(button.detail);
                }
            }
            (pressed.len() >= count).then(|| std::mem::take(&mut pressed))
        })
    }

    /// Waits until the test's window gets a press of a key with this keysym. Returns its modifiers.
    pub(crate) fn expect_press_of(&self, keysym: u32) -> KeyButMask {
        let setup = self.conn.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let map = self
            .conn
            .get_keyboard_mapping(first, last - first + 1)
            .unwrap()
            .reply()
            .unwrap();
        let per_key = usize::from(map.keysyms_per_keycode);
        wait_until(&format!("a press of keysym {keysym:#x}"), || {
            self.conn.sync().unwrap();
            while let Some(event) = self.conn.poll_for_event().unwrap() {
                if let Event::KeyPress(key) = event
                    && map.keysyms[usize::from(key.detail - first) * per_key] == keysym
                {
                    return Some(key.state);
                }
            }
            None
        })
    }

    /// Waits until the X server holds down no key and no button.
    pub(crate) fn expect_nothing_held(&self, when: &str) {
        wait_until(&format!("nothing to be held {when}"), || {
            (self.held_input() == (vec![], 0)).then_some(())
        });
    }

    /// Moves the pointer, as the customer would.
    pub(crate) fn move_pointer(&self, x: i16, y: i16) {
        self.conn
            .xtest_fake_input(MOTION_NOTIFY_EVENT, 0, 0, self.root, x, y, 0)
            .unwrap();
        self.conn.sync().unwrap();
    }

    /// Returns the pointer's position.
    pub(crate) fn pointer(&self) -> (i16, i16) {
        let at = self.conn.query_pointer(self.root).unwrap().reply().unwrap();
        (at.root_x, at.root_y)
    }

    /// Returns the keycodes that the X server holds down, and the mouse buttons as its state mask.
    pub(crate) fn held_input(&self) -> (Vec<u8>, u16) {
        let map = self.conn.query_keymap().unwrap().reply().unwrap().keys;
        let down = (0..=255u8)
            .filter(|code| map[usize::from(code / 8)] & (1 << (code % 8)) != 0)
            .collect();
        let mask = self
            .conn
            .query_pointer(self.root)
            .unwrap()
            .reply()
            .unwrap()
            .mask;
        (down, u16::from(mask) & 0x1f00)
    }
}
