//! Handing out the text that we offer, in every form that programs ask for (ICCCM sections 2.2, 2.6
//! and 2.7).

use x11rb::NONE;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, EventMask, PropMode,
    SELECTION_NOTIFY_EVENT, SelectionNotifyEvent, SelectionRequestEvent, Window,
};
use x11rb::wrapper::ConnectionExt as _;

use super::Atoms;
use super::text::{to_compound_text, to_latin1};
use crate::error::ScreenError;
use crate::x11::connection::XConnection;

/// Bytes that are handed over at a time; a longer text goes in chunks (INCR). Every server takes a
/// request of this length.
const CHUNK: usize = 128 << 10;
/// Maximum number of texts that go out in chunks at a time; the oldest is given up.
const MAX_TRANSFERS: usize = 8;
/// Maximum number of targets in one MULTIPLE request.
const MAX_MULTIPLE: u32 = 32;

/// The text that we offer while we own the selection.
pub(super) struct Offered {
    text: String,
    /// The server's time of the ownership, once known.
    pub(super) since: Option<u32>,
    transfers: Vec<Transfer>,
}

/// A text that goes out in chunks.
struct Transfer {
    requestor: Window,
    property: Atom,
    kind: Atom,
    rest: Vec<u8>,
}

impl std::fmt::Debug for Offered {
    /// Shows no text: it may be a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offered").finish_non_exhaustive()
    }
}

impl Offered {
    pub(super) fn new(text: String) -> Self {
        Self {
            text,
            since: None,
            transfers: Vec::new(),
        }
    }

    /// Hands the text to a program that pastes it.
    pub(super) fn serve(
        &mut self,
        server: &XConnection,
        atoms: &Atoms,
        request: &SelectionRequestEvent,
    ) -> Result<(), ScreenError> {
        // ICCCM 2.2: an obsolete requestor gives no property, and means the target's name.
        let property = match request.property {
            NONE => request.target,
            property => property,
        };
        let is_written = if request.target == atoms.MULTIPLE {
            request.property != NONE
                && self.write_multiple(server, atoms, request.requestor, property)?
        } else {
            self.write(server, atoms, request.requestor, request.target, property)?
        };
        answer(server, request, if is_written { property } else { NONE })
    }

    /// Goes on with a transfer after the requestor has taken a chunk.
    pub(super) fn on_property_deleted(
        &mut self,
        server: &XConnection,
        requestor: Window,
        property: Atom,
    ) -> Result<(), ScreenError> {
        let is_it = |t: &Transfer| t.requestor == requestor && t.property == property;
        let Some(index) = self.transfers.iter().position(is_it) else {
            return Ok(());
        };
        let transfer = &mut self.transfers[index];
        let rest = transfer.rest.split_off(transfer.rest.len().min(CHUNK));
        let chunk = std::mem::replace(&mut transfer.rest, rest);
        let (kind, replace) = (transfer.kind, PropMode::REPLACE);
        // An empty chunk ends the transfer. The requestor may be gone.
        drop(server.change_property8(replace, requestor, property, kind, &chunk)?);
        if chunk.is_empty() {
            self.transfers.remove(index);
            self.watch(server, requestor, EventMask::NO_EVENT)?;
        }
        Ok(())
    }

    /// Writes the conversion to the requestor's property. Returns false for an unknown target.
    fn write(
        &mut self,
        server: &XConnection,
        atoms: &Atoms,
        requestor: Window,
        target: Atom,
        property: Atom,
    ) -> Result<bool, ScreenError> {
        let (replace, string) = (PropMode::REPLACE, Atom::from(AtomEnum::STRING));
        if target == atoms.TARGETS {
            let (list, kind) = (targets(atoms), AtomEnum::ATOM);
            drop(server.change_property32(replace, requestor, property, kind, &list)?);
            return Ok(true);
        }
        if target == atoms.TIMESTAMP {
            let (since, kind) = ([self.since.unwrap_or_default()], AtomEnum::INTEGER);
            drop(server.change_property32(replace, requestor, property, kind, &since)?);
            return Ok(self.since.is_some());
        }
        let is_latin1 = self.text.chars().all(|c| u8::try_from(c).is_ok());
        let kind = match target == atoms.TEXT {
            true if is_latin1 => string,
            true => atoms.COMPOUND_TEXT,
            false => target,
        };
        let bytes = if [atoms.UTF8_STRING, atoms.PLAIN_UTF8, atoms.PLAIN].contains(&kind) {
            self.text.clone().into_bytes()
        } else if kind == atoms.COMPOUND_TEXT {
            to_compound_text(&self.text)
        } else if kind == string {
            to_latin1(&self.text)
        } else {
            return Ok(false);
        };
        if bytes.len() <= CHUNK {
            drop(server.change_property8(replace, requestor, property, kind, &bytes)?);
            return Ok(true);
        }
        self.begin_transfer(
            server,
            atoms,
            Transfer {
                requestor,
                property,
                kind,
                rest: bytes,
            },
        )?;
        Ok(true)
    }

    fn begin_transfer(
        &mut self,
        server: &XConnection,
        atoms: &Atoms,
        transfer: Transfer,
    ) -> Result<(), ScreenError> {
        let Transfer {
            requestor,
            property,
            ..
        } = transfer;
        self.transfers
            .retain(|t| t.requestor != requestor || t.property != property);
        if self.transfers.len() == MAX_TRANSFERS {
            self.transfers.remove(0);
        }
        self.watch(server, requestor, EventMask::PROPERTY_CHANGE)?;
        let length = [transfer.rest.len() as u32];
        let (replace, kind) = (PropMode::REPLACE, atoms.INCR);
        drop(server.change_property32(replace, requestor, property, kind, &length)?);
        self.transfers.push(transfer);
        Ok(())
    }

    /// Subscribes to a requestor's events, unless another transfer to it needs them.
    fn watch(
        &self,
        server: &XConnection,
        requestor: Window,
        events: EventMask,
    ) -> Result<(), ScreenError> {
        if self.transfers.iter().all(|t| t.requestor != requestor) {
            let aux = ChangeWindowAttributesAux::new().event_mask(events);
            drop(server.change_window_attributes(requestor, &aux)?);
        }
        Ok(())
    }

    /// Carries out each pair of target and property; the target of one that fails becomes None
    /// (ICCCM section 2.6.2).
    fn write_multiple(
        &mut self,
        server: &XConnection,
        atoms: &Atoms,
        requestor: Window,
        property: Atom,
    ) -> Result<bool, ScreenError> {
        let any = AtomEnum::ANY;
        let query = server.get_property(false, requestor, property, any, 0, 2 * MAX_MULTIPLE)?;
        let Ok(reply) = query.reply() else {
            return Ok(false);
        };
        let kind = reply.type_;
        let Some(pairs) = reply.value32().filter(|_| reply.bytes_after == 0) else {
            return Ok(false);
        };
        let mut pairs: Vec<u32> = pairs.collect();
        for pair in pairs.chunks_exact_mut(2) {
            let [target, place] = pair else { continue };
            let is_nested = *target == atoms.MULTIPLE || *place == NONE;
            if is_nested || !self.write(server, atoms, requestor, *target, *place)? {
                *target = NONE;
            }
        }
        let replace = PropMode::REPLACE;
        drop(server.change_property32(replace, requestor, property, kind, &pairs)?);
        Ok(true)
    }
}

/// Returns the targets that we convert to, but for those that only ask.
pub(super) fn text_targets(atoms: &Atoms) -> [Atom; 6] {
    let string = AtomEnum::STRING.into();
    let (utf8, plain) = (atoms.UTF8_STRING, atoms.PLAIN_UTF8);
    [
        utf8,
        plain,
        atoms.PLAIN,
        atoms.COMPOUND_TEXT,
        atoms.TEXT,
        string,
    ]
}

fn targets(atoms: &Atoms) -> Vec<Atom> {
    let mut all = vec![atoms.TARGETS, atoms.TIMESTAMP, atoms.MULTIPLE];
    all.extend(text_targets(atoms));
    all
}

/// Answers a request. The property is NONE when it is refused.
pub(super) fn answer(
    server: &XConnection,
    request: &SelectionRequestEvent,
    property: Atom,
) -> Result<(), ScreenError> {
    let event = SelectionNotifyEvent {
        response_type: SELECTION_NOTIFY_EVENT,
        sequence: 0,
        time: request.time,
        requestor: request.requestor,
        selection: request.selection,
        target: request.target,
        property,
    };
    // The requestor may be gone.
    drop(server.send_event(false, request.requestor, EventMask::NO_EVENT, event)?);
    Ok(())
}
