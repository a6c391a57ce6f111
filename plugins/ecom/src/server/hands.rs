//! What the client does with keys and pointer: the lock behind the gate.

use std::os::fd::{AsFd as _, BorrowedFd};

use etatuki_rfb::ClientMessage;
use etatuki_screen::Input;

use super::ServeError;
use crate::share::Share;

/// Gives input while control is allowed; nothing stays pressed when it no longer is.
#[derive(Debug)]
pub(super) struct Hands<'a> {
    share: &'a Share,
    /// `None` until control is first used, and again when it was withdrawn.
    input: Option<Input>,
}

impl<'a> Hands<'a> {
    pub(super) fn new(share: &'a Share) -> Self {
        Self { share, input: None }
    }

    /// The window system's messages to the input's connection.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().map(|input| input.as_fd())
    }

    /// The permissions may have changed, or the window system has something to say.
    pub(super) fn look(&mut self) -> Result<(), ServeError> {
        if let Some(input) = self.allowed_now() {
            input.pump()?;
        }
        Ok(())
    }

    /// Does what a message says; messages that aren't input do nothing.
    pub(super) fn obey(&mut self, message: &ClientMessage) -> Result<(), ServeError> {
        let Some(input) = self.allowed()? else {
            return Ok(());
        };
        match *message {
            ClientMessage::Key { down, keysym } => input.key(keysym, down)?,
            ClientMessage::QemuKey {
                down,
                keysym,
                keycode,
            } => input.scancode(keycode, keysym, down)?,
            ClientMessage::Pointer { buttons, x, y } => input.pointer(x, y, buttons)?,
            _ => {}
        }
        Ok(())
    }

    /// Sends what was given.
    pub(super) fn flush(&mut self) -> Result<(), ServeError> {
        if let Some(input) = &mut self.input {
            input.flush()?;
        }
        Ok(())
    }

    fn allowed(&mut self) -> Result<Option<&mut Input>, ServeError> {
        if self.allowed_now().is_none() && self.share.may_control() {
            self.input = Some(Input::open(self.share.display(), self.share.stop_switch())?);
        }
        Ok(self.input.as_mut())
    }

    /// The open input; lets go of everything, and of it, when control is no longer allowed.
    fn allowed_now(&mut self) -> Option<&mut Input> {
        if !self.share.may_control() {
            self.input = None;
        }
        self.input.as_mut()
    }
}
