//! Crash recovery of input: what an [`Input`](super::Input) would leave behind if its process were
//! killed.
//!
//! An input records on the root window that it exists, and which keycodes it has borrowed. Whoever
//! finds the record and finds its window gone releases the keys and buttons that are down, and
//! returns the keycodes. A [`ControlTrace`](super::ControlTrace) leaves a record of the same form
//! for the input of installed tools, which leave none.

use x11rb::NONE;
use x11rb::errors::ReplyError;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, BUTTON_RELEASE_EVENT, ConnectionExt as _, CreateWindowAux, KEY_RELEASE_EVENT,
    PropMode, Window, WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;
use x11rb::{COPY_FROM_PARENT, connection::Connection as _};

use super::connection::{Connection, XConnection};
use crate::cancel::CancelToken;
use crate::error::ScreenError;

/// The property on the root window: the lease's window, then the borrowed keycodes.
const PROPERTY: &[u8] = b"_ETATUKI_INPUT";
/// The property of a [`ControlTrace`](super::ControlTrace): its window.
pub(super) const CONTROL_PROPERTY: &[u8] = b"_ETATUKI_CONTROL";
/// Maximum length of the property that is read, in 32-bit units: there are no more keycodes.
const MAX_PROPERTY_WORDS: u32 = 256;
/// The number of buttons that [`Input`](super::Input) ever presses.
const BUTTON_COUNT: u8 = 9;

/// Releases the keys and buttons that a killed input, or a tool whose launcher was killed, has left
/// pressed on `display` (`$DISPLAY` when `None`), and returns the keycodes that the input had
/// borrowed. Does nothing when none was killed.
///
/// Returns false while an input is alive, or the X server hasn't noticed its death yet.
///
/// # Errors
/// [`ScreenError::NoDisplay`], or the error that ended the wait.
pub fn release_stale_input(
    display: Option<&str>,
    cancel: &CancelToken,
) -> Result<bool, ScreenError> {
    let connection = Connection::open(display, cancel)?;
    if !connection.has_extension("XTEST")? {
        return Ok(true);
    }
    connection.server.xtest_get_version(2, 2)?.reply()?;
    let root = connection.screen().root;
    let input = LeaseRecord::find(&connection, root, PROPERTY)?;
    if input.holder == Holder::None {
        LeaseRecord::find(&connection, root, CONTROL_PROPERTY)?;
    }
    connection.server.sync()?;
    Ok(input.holder == Holder::None)
}

/// The record of one input on the root window.
#[derive(Debug)]
pub(super) struct InputLease {
    atom: Atom,
    /// A window that ends with our connection, however that ends. `NONE` while another input holds
    /// the lease.
    window: Window,
}

/// The holder of the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    None,
    OtherInput,
}

/// The record of an input on the root window, as it was found.
struct LeaseRecord {
    atom: Atom,
    holder: Holder,
}

impl InputLease {
    /// Cleans up after a killed input, and records this one.
    pub(super) fn acquire(connection: &Connection, root: Window) -> Result<Self, ScreenError> {
        Self::acquire_as(connection, root, PROPERTY)
    }

    /// As [`acquire`](Self::acquire), with the record in another property.
    pub(super) fn acquire_as(
        connection: &Connection,
        root: Window,
        property: &[u8],
    ) -> Result<Self, ScreenError> {
        let LeaseRecord { atom, holder } = LeaseRecord::find(connection, root, property)?;
        let window = match holder {
            Holder::None => create_lease_window(&connection.server, root)?,
            Holder::OtherInput => NONE,
        };
        let lease = Self { atom, window };
        lease.record(&connection.server, root, &[])?;
        Ok(lease)
    }

    /// Records the borrowed keycodes.
    pub(super) fn record(
        &self,
        server: &XConnection,
        root: Window,
        borrowed: &[u8],
    ) -> Result<(), ScreenError> {
        if self.window == NONE {
            return Ok(());
        }
        let mut list = vec![self.window];
        list.extend(borrowed.iter().copied().map(u32::from));
        let (mode, kind) = (PropMode::REPLACE, AtomEnum::CARDINAL);
        server.change_property32(mode, root, self.atom, kind, &list)?;
        Ok(())
    }

    /// Deletes the record: nothing is left behind.
    pub(super) fn release(&self, server: &XConnection, root: Window) -> Result<(), ScreenError> {
        if self.window != NONE {
            server.delete_property(root, self.atom)?;
        }
        Ok(())
    }
}

impl LeaseRecord {
    /// Looks for a record, and cleans up after a holder whose window is gone.
    fn find(connection: &Connection, root: Window, property: &[u8]) -> Result<Self, ScreenError> {
        let server = &connection.server;
        let atom = server.intern_atom(false, property)?.reply()?.atom;
        let kind = AtomEnum::CARDINAL;
        let property = server.get_property(false, root, atom, kind, 0, MAX_PROPERTY_WORDS)?;
        let property: Vec<u32> = property.reply()?.value32().into_iter().flatten().collect();
        let Some((window, borrowed)) = property.split_first() else {
            let holder = Holder::None;
            return Ok(Self { atom, holder });
        };
        let holder = match server.get_window_attributes(*window)?.reply() {
            Ok(_) => Holder::OtherInput,
            Err(ReplyError::X11Error(_)) => Holder::None,
            Err(error) => return Err(error.into()),
        };
        if holder == Holder::None {
            let borrowed = borrowed.iter().filter_map(|key| u8::try_from(*key).ok());
            release_faked_input(connection, root)?;
            return_keycodes(connection, borrowed)?;
            server.delete_property(root, atom)?;
        }
        Ok(Self { atom, holder })
    }
}

/// Releases every pressed key and all buttons of the XTEST devices. A release changes nothing where
/// an XTEST device holds nothing: keys that the customer holds stay down.
pub(super) fn release_faked_input(
    connection: &Connection,
    root: Window,
) -> Result<(), ScreenError> {
    let server = &connection.server;
    let pressed = server.query_keymap()?.reply()?.keys;
    for keycode in (8..=u8::MAX).filter(|k| pressed[usize::from(k / 8)] >> (k % 8) & 1 == 1) {
        server.xtest_fake_input(KEY_RELEASE_EVENT, keycode, 0, root, 0, 0, 0)?;
    }
    for button in 1..=BUTTON_COUNT {
        server.xtest_fake_input(BUTTON_RELEASE_EVENT, button, 0, root, 0, 0, 0)?;
    }
    Ok(())
}

fn return_keycodes(
    connection: &Connection,
    borrowed: impl Iterator<Item = u8>,
) -> Result<(), ScreenError> {
    let setup = connection.setup();
    for keycode in borrowed.filter(|k| (setup.min_keycode..=setup.max_keycode).contains(k)) {
        connection
            .server
            .change_keyboard_mapping(1, keycode, 1, &[0])?;
    }
    Ok(())
}

fn create_lease_window(server: &XConnection, root: Window) -> Result<Window, ScreenError> {
    let window = server.generate_id()?;
    let (class, attributes) = (WindowClass::INPUT_ONLY, CreateWindowAux::new());
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
        &attributes,
    )?;
    Ok(window)
}
