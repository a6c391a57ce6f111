//! What an [`Input`](super::Input) would leave behind if its process were killed: keys and buttons that are down, and
//! keycodes that it has lent. It writes down on the root window that it is there, and what it has lent; whoever finds
//! that and finds its window gone puts things right.

use x11rb::NONE;
use x11rb::errors::ReplyError;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, BUTTON_RELEASE_EVENT, ConnectionExt as _, CreateWindowAux, KEY_RELEASE_EVENT,
    PropMode, Window, WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;
use x11rb::{COPY_FROM_PARENT, connection::Connection as _};

use super::connection::{Connection, Server};
use crate::error::ScreenError;
use crate::stop::Stop;

/// A window's number, then keycodes.
const NAME: &[u8] = b"_ETATUKI_INPUT";
/// Keycodes that are read at most: more there are none.
const MOST: u32 = 256;
/// Buttons that are ever pressed.
const BUTTONS: u8 = 9;

/// Puts right what an input whose process was killed has left on `display` (`$DISPLAY` when `None`): what it held down
/// is let go of, what it lent is taken back. Where none was killed, nothing happens; gives false while an input is at
/// work, or the X server hasn't heard of its death yet.
///
/// # Errors
/// [`ScreenError::NoDisplay`], or what ended the wait.
pub fn mend(display: Option<&str>, stop: &Stop) -> Result<bool, ScreenError> {
    let connection = Connection::open(display, stop)?;
    if !connection.has("XTEST")? {
        return Ok(true);
    }
    connection.server.xtest_get_version(2, 2)?.reply()?;
    let (_, alive) = Traces::find(&connection, connection.screen().root)?;
    connection.server.sync()?;
    Ok(!alive)
}

/// What is written down of one input.
#[derive(Debug)]
pub(super) struct Traces {
    atom: Atom,
    /// Ends with our connection, however that ends. None while another input is at work here.
    window: Window,
}

impl Traces {
    /// Puts right what a dead one left, and writes down that this one is there.
    pub(super) fn begin(connection: &Connection, root: Window) -> Result<Self, ScreenError> {
        let (atom, alive) = Self::find(connection, root)?;
        let window = if alive {
            NONE
        } else {
            make_window(&connection.server, root)?
        };
        let traces = Self { atom, window };
        traces.write(&connection.server, root, &[])?;
        Ok(traces)
    }

    /// These keycodes are lent now.
    pub(super) fn write(
        &self,
        server: &Server,
        root: Window,
        lent: &[u8],
    ) -> Result<(), ScreenError> {
        if self.window == NONE {
            return Ok(());
        }
        let mut list = vec![self.window];
        list.extend(lent.iter().copied().map(u32::from));
        let (mode, kind) = (PropMode::REPLACE, AtomEnum::CARDINAL);
        server.change_property32(mode, root, self.atom, kind, &list)?;
        Ok(())
    }

    /// Nothing is left behind.
    pub(super) fn end(&self, server: &Server, root: Window) -> Result<(), ScreenError> {
        if self.window != NONE {
            server.delete_property(root, self.atom)?;
        }
        Ok(())
    }

    /// Says whether another input is at work.
    fn find(connection: &Connection, root: Window) -> Result<(Atom, bool), ScreenError> {
        let server = &connection.server;
        let atom = server.intern_atom(false, NAME)?.reply()?.atom;
        let kind = AtomEnum::CARDINAL;
        let written = server.get_property(false, root, atom, kind, 0, MOST)?;
        let written: Vec<u32> = written.reply()?.value32().into_iter().flatten().collect();
        let Some((window, lent)) = written.split_first() else {
            return Ok((atom, false));
        };
        let alive = match server.get_window_attributes(*window)?.reply() {
            Ok(_) => true,
            Err(ReplyError::X11Error(_)) => false,
            Err(error) => return Err(error.into()),
        };
        if !alive {
            let lent = lent.iter().filter_map(|key| u8::try_from(*key).ok());
            put_right(connection, root, lent)?;
            server.delete_property(root, atom)?;
        }
        Ok((atom, alive))
    }
}

/// Releases change nothing where the faking devices hold nothing: what the customer himself holds stays down.
fn put_right(
    connection: &Connection,
    root: Window,
    lent: impl Iterator<Item = u8>,
) -> Result<(), ScreenError> {
    let server = &connection.server;
    let down = server.query_keymap()?.reply()?.keys;
    for keycode in (8..=u8::MAX).filter(|k| down[usize::from(k / 8)] >> (k % 8) & 1 == 1) {
        server.xtest_fake_input(KEY_RELEASE_EVENT, keycode, 0, root, 0, 0, 0)?;
    }
    for button in 1..=BUTTONS {
        server.xtest_fake_input(BUTTON_RELEASE_EVENT, button, 0, root, 0, 0, 0)?;
    }
    let setup = connection.setup();
    for keycode in lent.filter(|k| (setup.min_keycode..=setup.max_keycode).contains(k)) {
        server.change_keyboard_mapping(1, keycode, 1, &[0])?;
    }
    Ok(())
}

fn make_window(server: &Server, root: Window) -> Result<Window, ScreenError> {
    let window = server.generate_id()?;
    let (class, look) = (WindowClass::INPUT_ONLY, CreateWindowAux::new());
    server.create_window(
        0,
        window,
        root,
        0,
        0,
        1,
        1,
        0,
        class,
        COPY_FROM_PARENT,
        &look,
    )?;
    Ok(window)
}
