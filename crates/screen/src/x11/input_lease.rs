//! Crash recovery of input: what an [`Input`](super::Input) would leave behind if its process were
//! killed.
//!
//! An input records on the root window that it exists, which keycodes it has borrowed, until when
//! programs may need their keysyms, and which settings it has turned off. Whoever finds the record
//! and finds its window gone releases the keys and buttons that are down, restores the settings, and
//! returns the keycodes once their time is over. A [`ControlTrace`](super::ControlTrace) leaves a
//! record of the same form for the input of installed tools, which leave none.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x11rb::NONE;
use x11rb::errors::ReplyError;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, BUTTON_RELEASE_EVENT, ConnectionExt as _, CreateWindowAux, KEY_RELEASE_EVENT,
    PropMode, Window, WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;
use x11rb::{COPY_FROM_PARENT, connection::Connection as _};

use super::borrowed_keycodes::{MIN_LENDING_TIME, return_keycodes};
use super::connection::{Connection, XConnection};
use super::faked_keyboard;
use crate::cancel::CancelToken;
use crate::error::ScreenError;

/// The property on the root window: the lease's window, the settings that are turned off, the time
/// until which the keycodes stay lent (seconds of Unix time, truncated to 32 bits), and these.
const PROPERTY: &[u8] = b"_ETATUKI_INPUT";
/// The property of a [`ControlTrace`](super::ControlTrace): its window.
pub(super) const CONTROL_PROPERTY: &[u8] = b"_ETATUKI_CONTROL";
/// Maximum length of the property that is read, in 32-bit units: there are no more keycodes.
const MAX_PROPERTY_WORDS: u32 = 256;
/// The number of buttons that [`Input`](super::Input) ever presses.
const BUTTON_COUNT: u8 = 9;

/// Releases the keys and buttons that a killed input, or a tool whose launcher was killed, has left
/// pressed on `display` (`$DISPLAY` when `None`), and returns the keycodes that the input had
/// borrowed; those that a busy program may not have read yet, a few seconds later on a thread of its
/// own. Does nothing when none was killed.
///
/// Returns false while an input, or an agent's control by a tool, is alive, or the X server hasn't
/// noticed its death yet.
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
    let mut holder = input.holder;
    if holder == Holder::None {
        holder = LeaseRecord::find(&connection, root, CONTROL_PROPERTY)?.holder;
    }
    connection.server.sync()?;
    if let Some(left) = input.lent_for() {
        return_later(display.map(str::to_owned), left);
    }
    Ok(holder == Holder::None)
}

/// Returns the keycodes that a dropped or killed input has left lent, after `left`. Until then the
/// record stays, for the case that this process ends before.
pub(super) fn return_later(display: Option<String>, left: Duration) {
    let thread = std::thread::Builder::new().name("etatuki-keymap".into());
    let started = thread.spawn(move || {
        std::thread::sleep(left);
        let Ok(cancel) = CancelToken::new() else {
            return;
        };
        // Without a display there is nothing to return; a new input has adopted the keycodes, or
        // it extended their time.
        let _ = release_stale_input(display.as_deref(), &cancel);
    });
    // The next input returns them.
    drop(started);
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
    contents: LeaseContents,
}

/// Traces that an input would leave behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LeaseContents {
    /// Settings of the XTEST keyboard that are turned off.
    pub(super) disabled_controls: u32,
    /// Borrowed keycodes.
    pub(super) keycodes: Vec<u8>,
    /// Unix time in seconds, truncated to 32 bits, until which programs may need them.
    pub(super) lent_until: u32,
}

impl LeaseContents {
    fn from_words(words: &[u32]) -> Self {
        let keycodes = words.iter().skip(2);
        Self {
            disabled_controls: words.first().copied().unwrap_or(0),
            lent_until: words.get(1).copied().unwrap_or(0),
            keycodes: keycodes.filter_map(|key| u8::try_from(*key).ok()).collect(),
        }
    }

    fn words(&self) -> impl Iterator<Item = u32> + '_ {
        let keycodes = self.keycodes.iter().copied().map(u32::from);
        [self.disabled_controls, self.lent_until]
            .into_iter()
            .chain(keycodes)
    }

    /// Returns the time for which keycodes stay lent; `None` when it is over. A clock that was set
    /// back doesn't make it longer.
    fn lent_for(&self) -> Option<Duration> {
        let left = self
            .lent_until
            .wrapping_sub(unix_seconds(SystemTime::now()));
        let left = Duration::from_secs(u64::from(left));
        let is_left = !left.is_zero() && left <= MIN_LENDING_TIME + Duration::from_secs(1);
        (is_left && !self.keycodes.is_empty()).then_some(left)
    }
}

/// Returns the time until which a keysym that is typed now stays on its keycode.
pub(super) fn lent_until() -> u32 {
    // Rounded up.
    unix_seconds(SystemTime::now() + MIN_LENDING_TIME + Duration::from_secs(1))
}

fn unix_seconds(time: SystemTime) -> u32 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs() as u32
}

impl InputLease {
    /// Cleans up after a killed input, and records this one. Returns the keycodes that are still
    /// lent: they are this one's now.
    pub(super) fn acquire(
        connection: &Connection,
        root: Window,
    ) -> Result<(Self, Vec<u8>), ScreenError> {
        let found = LeaseRecord::find(connection, root, PROPERTY)?;
        let adopted = match found.holder {
            Holder::None => found.contents.keycodes.clone(),
            Holder::OtherInput => Vec::new(),
        };
        Ok((found.succeed(connection, root)?, adopted))
    }

    /// As [`acquire`](Self::acquire), with the record in another property and nothing lent.
    pub(super) fn acquire_as(
        connection: &Connection,
        root: Window,
        property: &[u8],
    ) -> Result<Self, ScreenError> {
        LeaseRecord::find(connection, root, property)?.succeed(connection, root)
    }

    /// Records what this input would leave behind.
    pub(super) fn record(
        &self,
        server: &XConnection,
        root: Window,
        contents: &LeaseContents,
    ) -> Result<(), ScreenError> {
        if self.window == NONE {
            return Ok(());
        }
        let list: Vec<u32> = [self.window].into_iter().chain(contents.words()).collect();
        let (mode, kind) = (PropMode::REPLACE, AtomEnum::CARDINAL);
        server.change_property32(mode, root, self.atom, kind, &list)?;
        Ok(())
    }

    /// Leaves the record behind, as if this input had been killed.
    pub(super) fn abandon(&self, server: &XConnection) -> Result<(), ScreenError> {
        if self.window != NONE {
            server.destroy_window(self.window)?;
        }
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
    /// Looks for a record, and cleans up after a holder whose window is gone. Keycodes that are lent
    /// still stay in the record.
    fn find(connection: &Connection, root: Window, property: &[u8]) -> Result<Self, ScreenError> {
        let server = &connection.server;
        let atom = server.intern_atom(false, property)?.reply()?.atom;
        let kind = AtomEnum::CARDINAL;
        let property = server.get_property(false, root, atom, kind, 0, MAX_PROPERTY_WORDS)?;
        let property: Vec<u32> = property.reply()?.value32().into_iter().flatten().collect();
        let Some((window, words)) = property.split_first() else {
            return Ok(Self {
                atom,
                holder: Holder::None,
                contents: LeaseContents::default(),
            });
        };
        let mut found = Self {
            atom,
            holder: match server.get_window_attributes(*window)?.reply() {
                Ok(_) => Holder::OtherInput,
                Err(ReplyError::X11Error(_)) => Holder::None,
                Err(error) => return Err(error.into()),
            },
            contents: LeaseContents::from_words(words),
        };
        if found.holder == Holder::None {
            found.clean_up(connection, root, *window)?;
        }
        Ok(found)
    }

    fn clean_up(
        &mut self,
        connection: &Connection,
        root: Window,
        window: Window,
    ) -> Result<(), ScreenError> {
        let server = &connection.server;
        release_faked_input(connection, root)?;
        let disabled = std::mem::take(&mut self.contents.disabled_controls);
        if disabled != 0 {
            faked_keyboard::restore_stale(connection, disabled)?;
        }
        let setup = connection.setup();
        let known = setup.min_keycode..=setup.max_keycode;
        self.contents
            .keycodes
            .retain(|keycode| known.contains(keycode));
        if self.lent_for().is_some() {
            let atom = self.atom;
            return InputLease { atom, window }.record(server, root, &self.contents);
        }
        return_keycodes(server, self.contents.keycodes.drain(..))?;
        server.delete_property(root, self.atom)?;
        Ok(())
    }

    /// Records an input of our own, unless another one is alive.
    fn succeed(self, connection: &Connection, root: Window) -> Result<InputLease, ScreenError> {
        let window = match self.holder {
            Holder::None => create_lease_window(&connection.server, root)?,
            Holder::OtherInput => NONE,
        };
        let lease = InputLease {
            atom: self.atom,
            window,
        };
        lease.record(&connection.server, root, &self.contents)?;
        Ok(lease)
    }

    /// Returns the time for which the dead holder's keycodes stay lent.
    fn lent_for(&self) -> Option<Duration> {
        let contents = Some(&self.contents).filter(|_| self.holder == Holder::None);
        contents?.lent_for()
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
