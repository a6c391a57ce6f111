//! The CLIPBOARD selection: text that the customer copied, and text that is offered for pasting.
//!
//! ICCCM sections 2.2 to 2.7: the owner of a selection converts its content to the requested
//! target; large content comes in chunks (INCR). XFIXES reports new owners.

mod copied;
mod offered;
mod text;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xfixes::{ConnectionExt as _, SelectionEventMask};
use x11rb::protocol::xproto::{
    AtomEnum, ConnectionExt as _, CreateWindowAux, EventMask, PropMode, Property, Window,
    WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;
use x11rb::{COPY_FROM_PARENT, CURRENT_TIME, NONE};

use super::app_filter::AppFilter;
use super::connection::{Connection, XConnection};
use crate::cancel::CancelToken;
use crate::error::ScreenError;
use crate::shared_app::SharedApp;
pub use copied::Copied;
use copied::{Asker, CopiedReader};
use offered::{Offered, text_targets};

/// Maximum length of a text in bytes, copied or offered.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// Longest wait for the customer's clipboard manager to take our text, when the clipboard closes.
const MAX_SAVE_TIME: Duration = Duration::from_millis(500);

x11rb::atom_manager! {
    pub(super) Atoms: AtomsCookie {
        CLIPBOARD,
        CLIPBOARD_MANAGER,
        SAVE_TARGETS,
        TARGETS,
        TIMESTAMP,
        MULTIPLE,
        UTF8_STRING,
        COMPOUND_TEXT,
        TEXT,
        INCR,
        PLAIN_UTF8: b"text/plain;charset=utf-8",
        PLAIN: b"text/plain",
        // Our window's properties into which other programs write the requested text.
        PASTE_A: b"ETATUKI_PASTE_A",
        PASTE_B: b"ETATUKI_PASTE_B",
        PASTE_C: b"ETATUKI_PASTE_C",
        PASTE_D: b"ETATUKI_PASTE_D",
        SAVE: b"ETATUKI_SAVE",
    }
}

/// The clipboard of an X display, from the moment it is opened: text that was copied before stays
/// private.
///
/// Every call may read events along with a reply, which the descriptor no longer shows then:
/// [`pump`](Self::pump) is the last one before a wait.
#[derive(Debug)]
pub struct Clipboard {
    connection: Connection,
    /// Our window, which owns the selection while we offer a text.
    window: Window,
    atoms: Atoms,
    /// The text that we offer, while we own the selection.
    offered: Option<Offered>,
    reader: CopiedReader,
    /// The hash of the text that was told or offered last: a clipboard manager that takes a text
    /// over copies it once more.
    latest: Option<u64>,
    hasher: RandomState,
    /// The only program whose text is read; `None` for any.
    filter: Option<AppFilter>,
    is_watching: bool,
    /// Whether the clipboard manager was asked to keep our text, and hasn't answered.
    is_saving: bool,
}

impl Clipboard {
    /// Starts to watch the clipboard of `display` (`$DISPLAY` when `None`). With an `app`, text is
    /// read from that program alone. Offered text can be pasted into any program.
    ///
    /// # Errors
    /// [`ScreenError::NoDisplay`], [`ScreenError::Unsupported`] without XFIXES, or the error that
    /// ended the wait.
    pub fn open(
        display: Option<&str>,
        app: Option<&SharedApp>,
        cancel: &CancelToken,
    ) -> Result<Self, ScreenError> {
        let connection = Connection::open(display, cancel)?;
        connection.require_extensions(&["XFIXES"])?;
        let server = &connection.server;
        server.xfixes_query_version(5, 0)?.reply()?;
        let atoms = Atoms::new(server)?.reply()?;
        let window = create_selection_window(server, connection.screen().root)?;
        let filter = match app {
            Some(app) => Some(AppFilter::new(&connection, app, HashMap::new())?),
            None => None,
        };
        let mut clipboard = Self {
            connection,
            window,
            atoms,
            offered: None,
            reader: CopiedReader::default(),
            latest: None,
            hasher: RandomState::new(),
            filter,
            is_watching: false,
            is_saving: false,
        };
        clipboard.watch()?;
        Ok(clipboard)
    }

    /// Tells again what is copied, from now on.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn watch(&mut self) -> Result<(), ScreenError> {
        // What was copied until now is told as an event that doesn't count.
        self.connection.server.sync()?;
        self.pump()?;
        self.is_watching = true;
        let (window, clipboard) = (self.window, self.atoms.CLIPBOARD);
        let new_owners = SelectionEventMask::SET_SELECTION_OWNER;
        let server = &self.connection.server;
        server.xfixes_select_selection_input(window, clipboard, new_owners)?;
        Ok(server.flush()?)
    }

    /// Tells no more what is copied; that stays private. Text that is offered can still be pasted,
    /// and is handed to the customer's clipboard manager, if there is one.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn unwatch(&mut self) -> Result<(), ScreenError> {
        self.is_watching = false;
        self.latest = None;
        self.reader.cancel();
        self.save()
    }

    /// Returns whether a text of ours can be pasted.
    #[must_use]
    pub fn is_offering(&self) -> bool {
        self.offered.is_some()
    }

    /// Offers a text for pasting, with LF at the ends of its lines. One above 1 MiB is not offered.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn offer(&mut self, text: &str) -> Result<(), ScreenError> {
        if text.len() > MAX_TEXT_BYTES {
            return Ok(());
        }
        let text = text::normalised(text);
        self.latest = Some(self.hasher.hash_one(&text));
        self.offered = Some(Offered::new(text));
        let (window, clipboard) = (self.window, self.atoms.CLIPBOARD);
        let server = &self.connection.server;
        server.set_selection_owner(window, clipboard, CURRENT_TIME)?;
        // A key that is faked afterwards, over another connection, pastes this text.
        Ok(server.sync()?)
    }

    /// Processes the events that have arrived. Returns what was copied last, unless it is the text
    /// that was told or offered before. Never waits for another program.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn pump(&mut self) -> Result<Option<Copied>, ScreenError> {
        let mut latest = None;
        while let Some(event) = self.connection.server.poll_for_event()? {
            latest = self.on_event(&event)?.or(latest);
        }
        self.connection.server.flush()?;
        Ok(latest.filter(|copied| self.is_news(copied)))
    }

    fn is_news(&mut self, copied: &Copied) -> bool {
        let hash = match copied {
            Copied::Text(text) => Some(self.hasher.hash_one(text)),
            Copied::Untakable => None,
        };
        let is_echo = hash.is_some() && hash == self.latest;
        self.latest = hash;
        !is_echo
    }

    /// Returns what was copied, once that is known.
    fn on_event(&mut self, event: &Event) -> Result<Option<Copied>, ScreenError> {
        let (window, atoms) = (self.window, self.atoms);
        let asker = Asker {
            server: &self.connection.server,
            window,
            atoms: &atoms,
        };
        match event {
            Event::XfixesSelectionNotify(e) if e.owner == window => {
                if let Some(offered) = &mut self.offered {
                    offered.since = Some(e.selection_timestamp);
                }
            }
            Event::XfixesSelectionNotify(e) if e.owner != NONE && self.is_watching => {
                self.read_if_allowed(e.timestamp)?;
            }
            Event::SelectionNotify(e) if e.selection == atoms.CLIPBOARD => {
                return self.reader.on_answer(asker, e);
            }
            Event::SelectionNotify(_) => self.is_saving = false,
            Event::PropertyNotify(e) if e.window == window && e.state == Property::NEW_VALUE => {
                return self.reader.on_new_property(asker, e.atom);
            }
            Event::PropertyNotify(e) if e.state == Property::DELETE => {
                if let Some(offered) = &mut self.offered {
                    offered.on_property_deleted(asker.server, e.window, e.atom)?;
                }
            }
            Event::SelectionRequest(e) => match &mut self.offered {
                Some(offered) => offered.serve(asker.server, &atoms, e)?,
                None => offered::answer(asker.server, e, NONE)?,
            },
            Event::SelectionClear(e) if e.selection == atoms.CLIPBOARD => {
                // Before the server has confirmed a text as ours, this is about an earlier one.
                self.offered.take_if(|offered| offered.since.is_some());
            }
            _ => {}
        }
        Ok(None)
    }

    /// Reads from the selection's owner. With app sharing, only if the program owns it at that
    /// moment.
    fn read_if_allowed(&mut self, time: u32) -> Result<(), ScreenError> {
        let Self {
            connection,
            window,
            atoms,
            reader,
            filter,
            ..
        } = self;
        let asker = Asker {
            server: &connection.server,
            window: *window,
            atoms,
        };
        let Some(filter) = filter else {
            return reader.begin(asker, time);
        };
        connection.grab_server()?;
        let query = connection.server.get_selection_owner(atoms.CLIPBOARD)?;
        let owner = query.reply()?.owner;
        if owner != NONE && filter.owns_window(&connection.server, owner)? {
            reader.begin(asker, time)?;
        }
        connection.ungrab_server()
    }

    /// Asks the customer's clipboard manager to keep the text that we offer (the freedesktop.org
    /// clipboard manager specification).
    fn save(&mut self) -> Result<(), ScreenError> {
        let (server, window, atoms) = (&self.connection.server, self.window, &self.atoms);
        let manager = server
            .get_selection_owner(atoms.CLIPBOARD_MANAGER)?
            .reply()?
            .owner;
        if self.offered.is_some() && manager != NONE {
            let (property, list) = (atoms.SAVE, text_targets(atoms));
            let (replace, kind) = (PropMode::REPLACE, AtomEnum::ATOM);
            server.change_property32(replace, window, property, kind, &list)?;
            let (selection, target) = (atoms.CLIPBOARD_MANAGER, atoms.SAVE_TARGETS);
            server.convert_selection(window, selection, target, property, CURRENT_TIME)?;
            self.is_saving = true;
        }
        Ok(server.flush()?)
    }

    /// Serves the clipboard manager until it has our text, at most [`MAX_SAVE_TIME`].
    fn save_and_wait(&mut self) -> Result<(), ScreenError> {
        if self.offered.is_none() {
            return Ok(());
        }
        let end = Instant::now() + MAX_SAVE_TIME;
        self.save()?;
        loop {
            while let Some(event) = self.connection.server.poll_for_event()? {
                self.on_event(&event)?;
            }
            self.connection.server.flush()?;
            let is_done = !self.is_saving || self.offered.is_none();
            if is_done || !self.connection.wait_until(end)? {
                return Ok(());
            }
        }
    }
}

impl Drop for Clipboard {
    fn drop(&mut self) {
        self.is_watching = false;
        self.connection.begin_cleanup();
        // Without a server, or a manager in time, the text goes with us.
        let _ = self.save_and_wait();
    }
}

impl AsFd for Clipboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

/// Creates a window that is never shown: selections belong to windows.
fn create_selection_window(server: &XConnection, root: Window) -> Result<Window, ScreenError> {
    let window = server.generate_id()?;
    let events = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
    let (class, visual) = (WindowClass::INPUT_ONLY, COPY_FROM_PARENT);
    server.create_window(0, window, root, 0, 0, 1, 1, 0, class, visual, &events)?;
    Ok(window)
}
