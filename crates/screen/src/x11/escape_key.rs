//! The state of the Esc key, in whichever window.

use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::ConnectionExt as _;

use super::connection::Connection;
use crate::cancel::CancelToken;
use crate::error::ScreenError;

/// The keysym of Esc (X11's keysymdef.h).
const XK_ESCAPE: u32 = 0xff1b;

/// Queries whether Esc is held down. Grabs nothing: the key still reaches the program that has the
/// focus.
#[derive(Debug)]
pub struct EscapeKey {
    connection: Connection,
    keycodes: Vec<u8>,
}

impl EscapeKey {
    /// Connects to `display`, or to `$DISPLAY`, and finds the key on the keyboard.
    ///
    /// # Errors
    /// No display answers.
    pub fn open(display: Option<&str>, cancel: &CancelToken) -> Result<Self, ScreenError> {
        let connection = Connection::open(display, cancel)?;
        let keycodes = keycodes_of(&connection, XK_ESCAPE)?;
        Ok(Self {
            connection,
            keycodes,
        })
    }

    /// Returns whether it is held down now.
    ///
    /// # Errors
    /// The display is gone.
    pub fn is_down(&self) -> Result<bool, ScreenError> {
        let pressed = self.connection.server.query_keymap()?.reply()?.keys;
        let is_pressed = |code: &u8| pressed[usize::from(code / 8)] & (1 << (code % 8)) != 0;
        Ok(self.keycodes.iter().any(is_pressed))
    }
}

/// Returns all keycodes that give `keysym`, on any shift level and group.
fn keycodes_of(connection: &Connection, keysym: u32) -> Result<Vec<u8>, ScreenError> {
    let (first, last) = {
        let setup = connection.server.setup();
        (setup.min_keycode, setup.max_keycode)
    };
    let count = last - first + 1;
    let map = connection
        .server
        .get_keyboard_mapping(first, count)?
        .reply()?;
    let keysyms_per_keycode = usize::from(map.keysyms_per_keycode).max(1);
    let keys = (first..=last).zip(map.keysyms.chunks(keysyms_per_keycode));
    Ok(keys
        .filter(|(_, keysyms)| keysyms.contains(&keysym))
        .map(|(code, _)| code)
        .collect())
}
