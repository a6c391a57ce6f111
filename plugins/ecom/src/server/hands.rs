//! What the client may do besides looking: keys, pointer, clipboard. The lock behind the gate.

use std::os::fd::{AsFd as _, BorrowedFd};

use etatuki_rfb::ClientMessage;
use etatuki_rfb::encode::server;
use etatuki_screen::{Clipboard, Input};

use super::ServeError;
use crate::share::Share;

/// Gives input and exchanges the clipboard while control is allowed; nothing stays pressed when it no
/// longer is.
#[derive(Debug)]
pub(super) struct Hands<'a> {
    share: &'a Share,
    /// Open while control is allowed.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    input: Input,
    clipboard: Clipboard,
}

impl<'a> Hands<'a> {
    pub(super) fn new(share: &'a Share) -> Self {
        Self { share, open: None }
    }

    /// What the window system says to them.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let open = self.open.iter();
        open.flat_map(|open| [open.input.as_fd(), open.clipboard.as_fd()])
    }

    /// The permissions may have changed, or the window system has something to say: perhaps that the
    /// customer copied a text, which is then told.
    pub(super) fn look(&mut self, out: &mut Vec<u8>) -> Result<(), ServeError> {
        let Some(open) = self.allowed()? else {
            return Ok(());
        };
        open.input.pump()?;
        if let Some(text) = open.clipboard.pump()? {
            server::cut_text(out, &to_latin1(&text));
        }
        Ok(())
    }

    /// Does what a message says; messages that are none of ours do nothing.
    pub(super) fn obey(&mut self, message: &ClientMessage) -> Result<(), ServeError> {
        let Some(Open { input, clipboard }) = self.allowed()? else {
            return Ok(());
        };
        match message {
            ClientMessage::Key { down, keysym } => input.key(*keysym, *down)?,
            ClientMessage::QemuKey {
                down,
                keysym,
                keycode,
            } => input.scancode(*keycode, *keysym, *down)?,
            ClientMessage::Pointer { buttons, x, y } => input.pointer(*x, *y, *buttons)?,
            ClientMessage::CutText(text) => clipboard.offer(from_latin1(text))?,
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
            let (display, stop) = (self.share.display(), self.share.stop_switch());
            self.open = Some(match self.share.program() {
                Some(program) => Open {
                    input: Input::of_program(display, program, stop)?,
                    clipboard: Clipboard::of_program(display, program, stop)?,
                },
                None => Open {
                    input: Input::open(display, stop)?,
                    clipboard: Clipboard::open(display, stop)?,
                },
            });
        }
        Ok(self.open.as_mut())
    }
}

/// RFB's clipboard knows no more (RFC 6143 section 7.6.4).
fn to_latin1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(c).unwrap_or(b'?'))
        .collect()
}

fn from_latin1(text: &[u8]) -> String {
    text.iter().copied().map(char::from).collect()
}
