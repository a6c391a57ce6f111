//! The CLIPBOARD selection: text that the customer copied, and text that is offered for pasting.
//!
//! ICCCM sections 2.2 to 2.7: the owner of a selection converts its content to the requested
//! target; large content comes in chunks (INCR). XFIXES reports new owners.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};

use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xfixes::{ConnectionExt as _, SelectionEventMask};
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ConnectionExt as _, CreateWindowAux, EventMask, GetPropertyReply, PropMode,
    Property, SELECTION_NOTIFY_EVENT, SelectionNotifyEvent, SelectionRequestEvent, Window,
    WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;
use x11rb::{COPY_FROM_PARENT, CURRENT_TIME, NONE};

use super::app_filter::AppFilter;
use super::connection::{Connection, XConnection};
use crate::cancel::CancelToken;
use crate::error::ScreenError;
use crate::shared_app::SharedApp;

/// Maximum length of a text in bytes, copied or offered; longer ones are ignored.
const MAX_TEXT_BYTES: usize = 1 << 20;

x11rb::atom_manager! {
    Atoms: AtomsCookie {
        CLIPBOARD,
        TARGETS,
        UTF8_STRING,
        INCR,
        PLAIN: b"text/plain;charset=utf-8",
        // Our window's properties into which other programs write the requested text.
        PASTE_A: b"ETATUKI_PASTE_A",
        PASTE_B: b"ETATUKI_PASTE_B",
        PASTE_C: b"ETATUKI_PASTE_C",
        PASTE_D: b"ETATUKI_PASTE_D",
    }
}

/// The clipboard of an X display, from the moment it is opened: text that was copied before stays
/// private.
#[derive(Debug)]
pub struct Clipboard {
    connection: Connection,
    /// Our window, which owns the selection while we offer a text.
    window: Window,
    atoms: Atoms,
    /// The text that we offer, while we own the selection.
    offered: Option<String>,
    /// The number of requests for a text so far, wrapping; selects the property.
    request_count: u8,
    /// The text that is arriving in chunks.
    incoming: Option<IncrTransfer>,
    /// The only program whose text is read; `None` for any.
    filter: Option<AppFilter>,
}

/// An INCR transfer under way.
#[derive(Debug)]
enum IncrTransfer {
    Collecting(Vec<u8>),
    /// The text is too long or malformed; further chunks are dropped.
    Rejected,
}

impl Clipboard {
    /// Starts to watch the clipboard of `display` (`$DISPLAY` when `None`).
    ///
    /// # Errors
    /// [`ScreenError::NoDisplay`], [`ScreenError::Unsupported`] without XFIXES, or the error that
    /// ended the wait.
    pub fn open(display: Option<&str>, cancel: &CancelToken) -> Result<Self, ScreenError> {
        Self::open_filtered(display, None, cancel)
    }

    /// As [`open`](Self::open). With an `app`, text is read from that program alone. Offered text
    /// can be pasted into any program.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_filtered(
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
        let new_owners = SelectionEventMask::SET_SELECTION_OWNER;
        server.xfixes_select_selection_input(window, atoms.CLIPBOARD, new_owners)?;
        server.flush()?;
        let filter = match app {
            Some(app) => Some(AppFilter::new(&connection, app, HashMap::new())?),
            None => None,
        };
        Ok(Self {
            connection,
            window,
            atoms,
            offered: None,
            request_count: 0,
            incoming: None,
            filter,
        })
    }

    /// Offers a text for pasting. One above 1 MiB is not offered.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn offer(&mut self, text: String) -> Result<(), ScreenError> {
        if text.len() > MAX_TEXT_BYTES {
            return Ok(());
        }
        self.offered = Some(text);
        self.connection.server.set_selection_owner(
            self.window,
            self.atoms.CLIPBOARD,
            CURRENT_TIME,
        )?;
        Ok(self.connection.server.flush()?)
    }

    /// Processes the events that have arrived. Returns the latest text that was copied. Never waits
    /// for another program.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn pump(&mut self) -> Result<Option<String>, ScreenError> {
        let mut copied = None;
        while let Some(event) = self.connection.server.poll_for_event()? {
            if let Some(bytes) = self.on_event(event)? {
                copied = String::from_utf8(bytes).ok().or(copied);
            }
        }
        self.connection.server.flush()?;
        Ok(copied)
    }

    /// Returns a text that has arrived completely.
    fn on_event(&mut self, event: Event) -> Result<Option<Vec<u8>>, ScreenError> {
        match event {
            Event::XfixesSelectionNotify(e) if e.owner != self.window && e.owner != NONE => {
                self.request_text_if_allowed(e.timestamp)?
            }
            Event::SelectionNotify(e) if e.property == self.text_property() => {
                return self.on_text_ready();
            }
            Event::PropertyNotify(e)
                if e.state == Property::NEW_VALUE
                    && e.atom == self.text_property()
                    && self.incoming.is_some() =>
            {
                return self.on_incr_chunk();
            }
            Event::SelectionRequest(e) => self.serve_request(&e)?,
            Event::SelectionClear(_) => self.offered = None,
            _ => {}
        }
        Ok(None)
    }

    /// Requests the text from the selection's owner. With app sharing, only if the program owns it
    /// at that moment.
    fn request_text_if_allowed(&mut self, time: u32) -> Result<(), ScreenError> {
        if self.filter.is_none() {
            return self.request_text(time);
        }
        self.connection.grab_server()?;
        let selection = self.atoms.CLIPBOARD;
        let query = self.connection.server.get_selection_owner(selection)?;
        let owner = query.reply()?.owner;
        let is_app = match &mut self.filter {
            Some(filter) if owner != NONE => filter.owns_window(&self.connection.server, owner)?,
            _ => false,
        };
        if is_app {
            self.request_text(time)?;
        }
        self.connection.ungrab_server()
    }

    /// Requests the text, in another property than the last three times: text that is still
    /// arriving there is no longer wanted.
    fn request_text(&mut self, time: u32) -> Result<(), ScreenError> {
        self.incoming = None;
        self.request_count = self.request_count.wrapping_add(1);
        let (window, property) = (self.window, self.text_property());
        let Atoms {
            CLIPBOARD,
            UTF8_STRING,
            ..
        } = self.atoms;
        self.connection
            .server
            .convert_selection(window, CLIPBOARD, UTF8_STRING, property, time)?;
        Ok(())
    }

    /// Returns the property of the latest request.
    fn text_property(&self) -> Atom {
        let Atoms {
            PASTE_A,
            PASTE_B,
            PASTE_C,
            PASTE_D,
            ..
        } = self.atoms;
        [PASTE_A, PASTE_B, PASTE_C, PASTE_D][usize::from(self.request_count % 4)]
    }

    /// Reads the requested text, or begins an INCR transfer.
    fn on_text_ready(&mut self) -> Result<Option<Vec<u8>>, ScreenError> {
        let property = self.take_property()?;
        if property.type_ == self.atoms.INCR {
            self.incoming = Some(IncrTransfer::Collecting(Vec::new()));
            return Ok(None);
        }
        Ok(is_whole_text(&property).then_some(property.value))
    }

    /// Reads another chunk; an empty one ends the transfer.
    fn on_incr_chunk(&mut self) -> Result<Option<Vec<u8>>, ScreenError> {
        let property = self.take_property()?;
        if property.value.is_empty() {
            return Ok(match self.incoming.take() {
                Some(IncrTransfer::Collecting(text)) => Some(text),
                Some(IncrTransfer::Rejected) | None => None,
            });
        }
        if let Some(IncrTransfer::Collecting(text)) = &mut self.incoming {
            let fits = text.len() + property.value.len() <= MAX_TEXT_BYTES;
            if is_whole_text(&property) && fits {
                text.extend_from_slice(&property.value);
            } else {
                self.incoming = Some(IncrTransfer::Rejected);
            }
        }
        Ok(None)
    }

    /// Reads and deletes our property; the deletion tells the other program to continue.
    fn take_property(&self) -> Result<GetPropertyReply, ScreenError> {
        let (server, property) = (&self.connection.server, self.text_property());
        let reply = server
            .get_property(
                false,
                self.window,
                property,
                AtomEnum::ANY,
                0,
                (MAX_TEXT_BYTES / 4) as u32,
            )?
            .reply()?;
        server.delete_property(self.window, property)?;
        Ok(reply)
    }

    /// Hands the offered text to a program that pastes it.
    fn serve_request(&self, request: &SelectionRequestEvent) -> Result<(), ScreenError> {
        // ICCCM 2.2: an obsolete requestor gives no property, and means the target's name.
        let property = if request.property == NONE {
            request.target
        } else {
            request.property
        };
        let is_written = match &self.offered {
            Some(text) => self.write_target(request, property, text)?,
            None => false,
        };
        let event = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: request.time,
            requestor: request.requestor,
            selection: request.selection,
            target: request.target,
            property: if is_written { property } else { NONE },
        };
        self.connection
            .server
            .send_event(false, request.requestor, EventMask::NO_EVENT, event)?;
        Ok(())
    }

    /// Writes the text, converted to the requested target, to the requestor's property. Returns
    /// false for an unknown target.
    fn write_target(
        &self,
        request: &SelectionRequestEvent,
        property: Atom,
        text: &str,
    ) -> Result<bool, ScreenError> {
        let (server, window, atoms) = (&self.connection.server, request.requestor, &self.atoms);
        let string = Atom::from(AtomEnum::STRING);
        let target = request.target;
        if target == atoms.TARGETS {
            let all = [atoms.TARGETS, atoms.UTF8_STRING, atoms.PLAIN, string];
            server.change_property32(PropMode::REPLACE, window, property, AtomEnum::ATOM, &all)?;
        } else if target == atoms.UTF8_STRING || target == atoms.PLAIN {
            server.change_property8(
                PropMode::REPLACE,
                window,
                property,
                target,
                text.as_bytes(),
            )?;
        } else if target == string {
            let latin1: Vec<u8> = text
                .chars()
                .map(|c| u8::try_from(c).unwrap_or(b'?'))
                .collect();
            server.change_property8(PropMode::REPLACE, window, property, string, &latin1)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

impl AsFd for Clipboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

/// Returns whether the property is text, and was read to its end.
fn is_whole_text(property: &GetPropertyReply) -> bool {
    property.format == 8 && property.bytes_after == 0
}

/// Creates a window that is never shown: selections belong to windows.
fn create_selection_window(server: &XConnection, root: Window) -> Result<Window, ScreenError> {
    let window = server.generate_id()?;
    let events = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
    let (class, visual) = (WindowClass::INPUT_ONLY, COPY_FROM_PARENT);
    server.create_window(0, window, root, 0, 0, 1, 1, 0, class, visual, &events)?;
    Ok(window)
}
