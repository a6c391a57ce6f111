//! Reading what was copied: which targets its owner has, and the text by the best of them.

use x11rb::NONE;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ConnectionExt as _, GetPropertyReply, SelectionNotifyEvent, Window,
};

use super::text::{from_compound_text, from_latin1, normalised};
use super::{Atoms, MAX_TEXT_BYTES};
use crate::error::ScreenError;
use crate::x11::connection::XConnection;

/// The customer's clipboard, since somebody copied.
#[derive(Clone, PartialEq, Eq)]
pub enum Copied {
    /// A text of at most 1 MiB, with LF at the ends of lines.
    Text(String),
    /// Something that can't be taken: no text (a picture, files), or one above 1 MiB.
    Untakable,
}

impl std::fmt::Debug for Copied {
    /// Shows no text: it may be a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text(…)",
            Self::Untakable => "Untakable",
        })
    }
}

/// The conversation with a selection's owner.
#[derive(Default)]
pub(super) struct CopiedReader {
    /// The number of requests so far, wrapping; selects the property.
    request_count: u8,
    stage: Stage,
    /// The time of the selection that is read.
    time: u32,
    /// Targets to ask for if the present one fails, the best last.
    candidates: Vec<Atom>,
}

#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    /// The owner was asked for its targets.
    Targets,
    /// The owner was asked for the text by this target.
    Text(Atom),
    /// The text arrives in chunks (ICCCM section 2.7.2); `None` once it is too long.
    Incr { kind: Atom, text: Option<Vec<u8>> },
}

impl std::fmt::Debug for CopiedReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopiedReader").finish_non_exhaustive()
    }
}

/// The place where owners answer: our window and its atoms.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) server: &'a XConnection,
    pub(super) window: Window,
    pub(super) atoms: &'a Atoms,
}

impl CopiedReader {
    /// Begins to read from a new owner. What an earlier one is still sending is no longer wanted.
    pub(super) fn begin(&mut self, asker: Asker<'_>, time: u32) -> Result<(), ScreenError> {
        self.time = time;
        self.candidates.clear();
        self.stage = Stage::Targets;
        self.request(asker, asker.atoms.TARGETS)
    }

    /// Forgets what is being read.
    pub(super) fn cancel(&mut self) {
        self.stage = Stage::Idle;
    }

    /// Handles an owner's answer. Returns what was copied, once that is known.
    pub(super) fn on_answer(
        &mut self,
        asker: Asker<'_>,
        event: &SelectionNotifyEvent,
    ) -> Result<Option<Copied>, ScreenError> {
        let is_refusal = event.property == NONE;
        let target = match self.stage {
            Stage::Targets => asker.atoms.TARGETS,
            Stage::Text(target) => target,
            Stage::Idle | Stage::Incr { .. } => return Ok(None),
        };
        let is_latest = event.property == self.property(asker.atoms)
            || is_refusal && event.target == target && [0, self.time].contains(&event.time);
        if !is_latest {
            return Ok(None);
        }
        let property = match is_refusal {
            true => None,
            false => Some(self.take_property(asker)?),
        };
        match self.stage {
            Stage::Targets => {
                self.candidates = candidates(asker.atoms, property.as_ref());
                self.ask_for_next(asker)
            }
            _ => self.on_text(asker, target, property),
        }
    }

    /// Handles a change of our window's property: another chunk, if a text arrives in chunks.
    pub(super) fn on_new_property(
        &mut self,
        asker: Asker<'_>,
        property: Atom,
    ) -> Result<Option<Copied>, ScreenError> {
        if property != self.property(asker.atoms) || !matches!(self.stage, Stage::Incr { .. }) {
            return Ok(None);
        }
        let chunk = self.take_property(asker)?;
        let Stage::Incr { kind, text } = &mut self.stage else {
            return Ok(None);
        };
        if !chunk.value.is_empty() {
            let fits = |text: &Vec<u8>| {
                is_whole_text(&chunk) && text.len() + chunk.value.len() <= MAX_TEXT_BYTES
            };
            *text = text.take().filter(fits);
            if let Some(text) = text {
                text.extend_from_slice(&chunk.value);
            }
            return Ok(None);
        }
        let (kind, text) = (*kind, text.take());
        self.stage = Stage::Idle;
        match text {
            Some(text) => self.finish(asker, kind, &text),
            None => Ok(Some(Copied::Untakable)),
        }
    }

    fn on_text(
        &mut self,
        asker: Asker<'_>,
        target: Atom,
        property: Option<GetPropertyReply>,
    ) -> Result<Option<Copied>, ScreenError> {
        let Some(property) = property else {
            return self.ask_for_next(asker);
        };
        if property.type_ == asker.atoms.INCR {
            let (kind, text) = (target, Some(Vec::new()));
            self.stage = Stage::Incr { kind, text };
            return Ok(None);
        }
        if property.bytes_after > 0 {
            self.stage = Stage::Idle;
            return Ok(Some(Copied::Untakable));
        }
        if !is_whole_text(&property) {
            return self.ask_for_next(asker);
        }
        // TEXT is answered in whichever encoding the owner likes.
        let kind = match target == asker.atoms.TEXT {
            true => property.type_,
            false => target,
        };
        self.finish(asker, kind, &property.value)
    }

    fn finish(
        &mut self,
        asker: Asker<'_>,
        kind: Atom,
        bytes: &[u8],
    ) -> Result<Option<Copied>, ScreenError> {
        let Some(text) = decode(asker.atoms, kind, bytes) else {
            return self.ask_for_next(asker);
        };
        self.stage = Stage::Idle;
        let text = normalised(&text);
        Ok(Some(match text.len() {
            0 => Copied::Untakable,
            len if len > MAX_TEXT_BYTES => Copied::Untakable,
            _ => Copied::Text(text),
        }))
    }

    fn ask_for_next(&mut self, asker: Asker<'_>) -> Result<Option<Copied>, ScreenError> {
        let Some(target) = self.candidates.pop() else {
            self.stage = Stage::Idle;
            return Ok(Some(Copied::Untakable));
        };
        self.stage = Stage::Text(target);
        self.request(asker, target)?;
        Ok(None)
    }

    /// Asks the owner, with another property than the last three times: what is still arriving
    /// there is no longer wanted.
    fn request(&mut self, asker: Asker<'_>, target: Atom) -> Result<(), ScreenError> {
        self.request_count = self.request_count.wrapping_add(1);
        let property = self.property(asker.atoms);
        let selection = asker.atoms.CLIPBOARD;
        let Asker { server, window, .. } = asker;
        server.convert_selection(window, selection, target, property, self.time)?;
        Ok(())
    }

    /// Returns the property of the latest request.
    fn property(&self, atoms: &Atoms) -> Atom {
        let all = [atoms.PASTE_A, atoms.PASTE_B, atoms.PASTE_C, atoms.PASTE_D];
        all[usize::from(self.request_count % 4)]
    }

    /// Reads and deletes our property; the deletion tells the other program to continue.
    fn take_property(&self, asker: Asker<'_>) -> Result<GetPropertyReply, ScreenError> {
        let Asker { server, window, .. } = asker;
        let (property, words) = (self.property(asker.atoms), (MAX_TEXT_BYTES / 4) as u32);
        let any = AtomEnum::ANY;
        let reply = server.get_property(false, window, property, any, 0, words)?;
        let reply = reply.reply()?;
        server.delete_property(window, property)?;
        Ok(reply)
    }
}

/// Returns the targets of text that an owner has, the best last. One that doesn't tell its targets
/// may still have a text.
fn candidates(atoms: &Atoms, targets: Option<&GetPropertyReply>) -> Vec<Atom> {
    let all = [
        atoms.TEXT,
        atoms.PLAIN,
        AtomEnum::STRING.into(),
        atoms.COMPOUND_TEXT,
        atoms.PLAIN_UTF8,
        atoms.UTF8_STRING,
    ];
    let told: Option<Vec<Atom>> = targets.and_then(|reply| Some(reply.value32()?.collect()));
    let is_there = |target: &Atom| told.as_ref().is_none_or(|told| told.contains(target));
    all.into_iter().filter(is_there).collect()
}

fn decode(atoms: &Atoms, kind: Atom, bytes: &[u8]) -> Option<String> {
    let utf8 = || str::from_utf8(bytes).ok().map(str::to_owned);
    match kind {
        kind if kind == atoms.UTF8_STRING || kind == atoms.PLAIN_UTF8 => utf8(),
        kind if kind == atoms.COMPOUND_TEXT => from_compound_text(bytes),
        kind if kind == Atom::from(AtomEnum::STRING) => Some(from_latin1(bytes)),
        // text/plain has no charset: most programs mean UTF-8.
        _ => utf8().or_else(|| Some(from_latin1(bytes))),
    }
}

/// Returns whether the property is text, and was read to its end.
fn is_whole_text(property: &GetPropertyReply) -> bool {
    property.format == 8 && property.bytes_after == 0
}
