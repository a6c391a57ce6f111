//! Whether the Esc key is held down, in whichever window.

use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::ConnectionExt as _;

use super::connection::Connection;
use crate::error::ScreenError;
use crate::stop::Stop;

/// The keysym of Esc (X11's keysymdef.h, `XK_Escape`).
const ESCAPE: u32 = 0xff1b;

/// Asks whether Esc is held down. Looks at the keyboard alone and grabs nothing: the key reaches the
/// program that it was meant for as well.
#[derive(Debug)]
pub struct EscapeKey {
    connection: Connection,
    keycodes: Vec<u8>,
}

impl EscapeKey {
    /// Connects to `display`, or to `$DISPLAY`, and finds the key on the keyboard.
    ///
    /// # Errors
    /// There is no display that answers.
    pub fn open(display: Option<&str>, stop: &Stop) -> Result<Self, ScreenError> {
        let connection = Connection::open(display, stop)?;
        let keycodes = keycodes_of(&connection, ESCAPE)?;
        Ok(Self {
            connection,
            keycodes,
        })
    }

    /// Whether it is held down now.
    ///
    /// # Errors
    /// The display is gone.
    pub fn is_down(&self) -> Result<bool, ScreenError> {
        let held = self.connection.server.query_keymap()?.reply()?.keys;
        let is_held = |code: &u8| held[usize::from(code / 8)] & (1 << (code % 8)) != 0;
        Ok(self.keycodes.iter().any(is_held))
    }
}

/// All keys that give `keysym`, in any shift level and group.
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
    let per_key = usize::from(map.keysyms_per_keycode).max(1);
    let keys = (first..=last).zip(map.keysyms.chunks(per_key));
    Ok(keys
        .filter(|(_, symbols)| symbols.contains(&keysym))
        .map(|(code, _)| code)
        .collect())
}
