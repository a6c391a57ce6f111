//! What the client may do besides looking: keys, pointer, clipboard. The lock behind the gate.

use std::os::fd::{AsFd as _, BorrowedFd};

use etatuki_rfb::ClientMessage;
use etatuki_rfb::encode::server;
use etatuki_screen::{Clipboard, Input};

use super::ServeError;
use super::places::Place;
use crate::share::Share;

/// Gives input and exchanges the clipboard while control is allowed; nothing stays pressed when it no
/// longer is.
#[derive(Debug)]
pub(super) struct Hands<'a> {
    share: &'a Share,
    /// Open while control is allowed.
    open: Option<Open>,
    /// Where the client has put the pointer last.
    pointed: Option<Place>,
}

#[derive(Debug)]
struct Open {
    input: Input,
    clipboard: Clipboard,
}

impl<'a> Hands<'a> {
    pub(super) fn new(share: &'a Share) -> Self {
        Self {
            share,
            open: None,
            pointed: None,
        }
    }

    /// Where the client has put the pointer last.
    pub(super) fn pointed(&self) -> Option<Place> {
        self.pointed
    }

    /// What the window system says to them.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let open = self.open.iter();
        open.flat_map(|open| [open.input.as_fd(), open.clipboard.as_fd()])
    }

    /// The permissions may have changed, or the window system has something to say: perhaps that the
    /// customer copied a text, which is then told, in UTF-8 or Latin-1.
    pub(super) fn look(&mut self, utf8: bool, out: &mut Vec<u8>) -> Result<(), ServeError> {
        let Some(open) = self.allowed()? else {
            return Ok(());
        };
        open.input.pump()?;
        if let Some(text) = open.clipboard.pump()? {
            server::cut_text(out, &to_bytes(text, utf8));
        }
        Ok(())
    }

    /// Does what a message says; messages that are none of ours do nothing.
    /// Cut text is UTF-8 or Latin-1.
    pub(super) fn obey(&mut self, message: &ClientMessage, utf8: bool) -> Result<(), ServeError> {
        let Some(Open { input, clipboard }) = self.allowed()? else {
            return Ok(());
        };
        match message {
            ClientMessage::Key { down, keysym } => input.send_keysym(*keysym, *down)?,
            ClientMessage::QemuKey {
                down,
                keysym,
                keycode,
            } => input.send_scancode(*keycode, *keysym, *down)?,
            ClientMessage::Pointer { buttons, x, y } => {
                input.send_pointer(*x, *y, *buttons)?;
                self.pointed = Some((*x, *y));
            }
            ClientMessage::CutText(text) => clipboard.offer(to_text(text, utf8))?,
            _ => {}
        }
        Ok(())
    }

    /// Sends what was given.
    pub(super) fn flush(&mut self) -> Result<(), ServeError> {
        if let Some(open) = &mut self.open {
            open.input.flush()?;
        }
        Ok(())
    }

    /// Opens them when control is allowed; lets go of everything, and of them, when it is not.
    fn allowed(&mut self) -> Result<Option<&mut Open>, ServeError> {
        if !self.share.may_control() {
            self.open = None;
        } else if self.open.is_none() {
            let (display, app) = (self.share.display(), self.share.app());
            let cancel = self.share.cancel_token();
            self.open = Some(Open {
                input: Input::open_filtered(display, app, cancel)?,
                clipboard: Clipboard::open_filtered(display, app, cancel)?,
            });
        }
        Ok(self.open.as_mut())
    }
}

/// What Latin-1 lacks becomes a question mark.
fn to_bytes(text: String, utf8: bool) -> Vec<u8> {
    if utf8 {
        return text.into_bytes();
    }
    let latin1 = |c| u8::try_from(c).unwrap_or(b'?');
    text.chars().map(latin1).collect()
}

/// A text that is no UTF-8 was on its way before that was agreed on.
fn to_text(bytes: &[u8], utf8: bool) -> String {
    let latin1 = || bytes.iter().copied().map(char::from).collect();
    match str::from_utf8(bytes) {
        Ok(text) if utf8 => text.to_owned(),
        _ => latin1(),
    }
}
