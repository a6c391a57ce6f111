//! The CLIPBOARD selection: text that the customer copied, and text that is offered for pasting.
//!
//! ICCCM sections 2.2 to 2.7: who owns a selection hands its content out on request, in the form that
//! is asked for; large content comes in pieces (INCR). XFIXES tells of new owners.

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

use super::connection::{Connection, Server};
use super::scope::Scope;
use crate::error::ScreenError;
use crate::program::Program;
use crate::stop::Stop;

/// Bytes of text that are taken from other programs or offered to them; more is left alone.
const MOST: usize = 1 << 20;

x11rb::atom_manager! {
    Atoms: AtomsCookie {
        CLIPBOARD,
        TARGETS,
        UTF8_STRING,
        INCR,
        PLAIN: b"text/plain;charset=utf-8",
        // Where other programs put what we asked for.
        PASTE_A: b"ETATUKI_PASTE_A",
        PASTE_B: b"ETATUKI_PASTE_B",
        PASTE_C: b"ETATUKI_PASTE_C",
        PASTE_D: b"ETATUKI_PASTE_D",
    }
}

/// The clipboard of an X display, from the moment on when it is opened: what was copied before stays private.
#[derive(Debug)]
pub struct Clipboard {
    connection: Connection,
    window: Window,
    atoms: Atoms,
    /// What we offer, while we own the selection.
    offered: Option<String>,
    /// How often we have asked.
    asked: u8,
    /// What has come of a text that is sent in pieces; `None` in it when it became too long.
    pieces: Option<Option<Vec<u8>>>,
    /// What everybody copies is taken when there is none.
    limit: Option<Scope>,
}

impl Clipboard {
    /// Starts to watch the clipboard of `display` (`$DISPLAY` when `None`).
    ///
    /// # Errors
    /// [`ScreenError::NoDisplay`], [`ScreenError::Unsupported`] without XFIXES, or what ended the wait.
    pub fn open(display: Option<&str>, stop: &Stop) -> Result<Self, ScreenError> {
        Self::open_limited(display, None, stop)
    }

    /// As [`open`](Self::open), but what is copied is taken from `program` alone. What is offered can be
    /// pasted by whoever the customer pastes it into.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn of_program(
        display: Option<&str>,
        program: &Program,
        stop: &Stop,
    ) -> Result<Self, ScreenError> {
        Self::open_limited(display, Some(program), stop)
    }

    fn open_limited(
        display: Option<&str>,
        program: Option<&Program>,
        stop: &Stop,
    ) -> Result<Self, ScreenError> {
        let connection = Connection::open(display, stop)?;
        if !connection.has("XFIXES")? {
            return Err(ScreenError::Unsupported(
                "the X server has no XFIXES extension".into(),
            ));
        }
        let server = &connection.server;
        server.xfixes_query_version(5, 0)?.reply()?;
        let atoms = Atoms::new(server)?.reply()?;
        let window = make_window(server, connection.screen().root)?;
        let new_owners = SelectionEventMask::SET_SELECTION_OWNER;
        server.xfixes_select_selection_input(window, atoms.CLIPBOARD, new_owners)?;
        server.flush()?;
        let limit = match program {
            Some(program) => Some(Scope::new(&connection, program, HashMap::new())?),
            None => None,
        };
        Ok(Self {
            connection,
            window,
            atoms,
            offered: None,
            asked: 0,
            pieces: None,
            limit,
        })
    }

    /// Offers a text to whoever pastes. One above 1 MiB is not offered.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn offer(&mut self, text: String) -> Result<(), ScreenError> {
        if text.len() > MOST {
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

    /// Takes in what the server has said; gives the text that somebody copied, the latest only. Never
    /// waits for news.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn pump(&mut self) -> Result<Option<String>, ScreenError> {
        let mut copied = None;
        while let Some(event) = self.connection.server.poll_for_event()? {
            if let Some(bytes) = self.take_in(event)? {
                copied = String::from_utf8(bytes).ok().or(copied);
            }
        }
        self.connection.server.flush()?;
        Ok(copied)
    }

    fn take_in(&mut self, event: Event) -> Result<Option<Vec<u8>>, ScreenError> {
        match event {
            Event::XfixesSelectionNotify(e) if e.owner != self.window && e.owner != NONE => {
                self.ask_if_allowed(e.timestamp)?
            }
            Event::SelectionNotify(e) if e.property == self.property() => return self.receive(),
            Event::PropertyNotify(e)
                if e.state == Property::NEW_VALUE
                    && e.atom == self.property()
                    && self.pieces.is_some() =>
            {
                return self.receive_piece();
            }
            Event::SelectionRequest(e) => self.answer(&e)?,
            Event::SelectionClear(_) => self.offered = None,
            _ => {}
        }
        Ok(None)
    }

    /// Asks whoever owns the selection at that very moment, if that is the program, or anybody may be asked.
    fn ask_if_allowed(&mut self, time: u32) -> Result<(), ScreenError> {
        if self.limit.is_none() {
            return self.ask(time);
        }
        self.connection.hold()?;
        let selection = self.atoms.CLIPBOARD;
        let asked = self.connection.server.get_selection_owner(selection)?;
        let owner = asked.reply()?.owner;
        let owns = match &mut self.limit {
            Some(scope) if owner != NONE => scope.owns(&self.connection.server, owner)?,
            _ => false,
        };
        if owns {
            self.ask(time)?;
        }
        self.connection.let_go()
    }

    /// Asks for the text, in another place than the last few times: what is still on its way there is
    /// no longer wanted.
    fn ask(&mut self, time: u32) -> Result<(), ScreenError> {
        self.pieces = None;
        self.asked = self.asked.wrapping_add(1);
        let (window, property) = (self.window, self.property());
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

    /// Where the text that was asked for last comes.
    fn property(&self) -> Atom {
        let Atoms {
            PASTE_A,
            PASTE_B,
            PASTE_C,
            PASTE_D,
            ..
        } = self.atoms;
        [PASTE_A, PASTE_B, PASTE_C, PASTE_D][usize::from(self.asked % 4)]
    }

    /// The text has come, or is about to come in pieces.
    fn receive(&mut self) -> Result<Option<Vec<u8>>, ScreenError> {
        let property = self.take_property()?;
        if property.type_ == self.atoms.INCR {
            self.pieces = Some(Some(Vec::new()));
            return Ok(None);
        }
        Ok(whole(&property).then_some(property.value))
    }

    /// Another piece; an empty one is the end.
    fn receive_piece(&mut self) -> Result<Option<Vec<u8>>, ScreenError> {
        let property = self.take_property()?;
        if property.value.is_empty() {
            return Ok(self.pieces.take().flatten());
        }
        let fits = |text: &Vec<u8>| whole(&property) && text.len() + property.value.len() <= MOST;
        if let Some(pieces) = &mut self.pieces {
            *pieces = pieces.take().filter(fits).map(|mut text| {
                text.extend_from_slice(&property.value);
                text
            });
        }
        Ok(None)
    }

    /// Reads our property and deletes it, which tells the other program to go on.
    fn take_property(&self) -> Result<GetPropertyReply, ScreenError> {
        let (server, property) = (&self.connection.server, self.property());
        let reply = server
            .get_property(
                false,
                self.window,
                property,
                AtomEnum::ANY,
                0,
                (MOST / 4) as u32,
            )?
            .reply()?;
        server.delete_property(self.window, property)?;
        Ok(reply)
    }

    /// Another program pastes what we offer.
    fn answer(&self, request: &SelectionRequestEvent) -> Result<(), ScreenError> {
        // ICCCM 2.2: an obsolete requestor gives no property, and means the target's name.
        let property = if request.property == NONE {
            request.target
        } else {
            request.property
        };
        let given = match &self.offered {
            Some(text) => self.give(request, property, text)?,
            None => false,
        };
        let event = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: request.time,
            requestor: request.requestor,
            selection: request.selection,
            target: request.target,
            property: if given { property } else { NONE },
        };
        self.connection
            .server
            .send_event(false, request.requestor, EventMask::NO_EVENT, event)?;
        Ok(())
    }

    fn give(
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

/// Text, and all of it.
fn whole(property: &GetPropertyReply) -> bool {
    property.format == 8 && property.bytes_after == 0
}

/// A window that is never shown: selections belong to windows.
fn make_window(server: &Server, root: Window) -> Result<Window, ScreenError> {
    let window = server.generate_id()?;
    let events = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
    let (class, visual) = (WindowClass::INPUT_ONLY, COPY_FROM_PARENT);
    server.create_window(0, window, root, 0, 0, 1, 1, 0, class, visual, &events)?;
    Ok(window)
}
