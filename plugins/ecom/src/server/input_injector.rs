//! The client's input: keys, pointer and clipboard. A second lock behind the launcher's gate.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use etatuki_rfb::ClientMessage;
use etatuki_rfb::encode::server;
use etatuki_screen::{Clipboard, Copied, Input};

use super::ServeError;
use super::pointer_throttle::Position;
use crate::share::Share;

/// Gives input and exchanges the clipboard while control is permitted. When it no longer is,
/// everything pressed is released; text that the client sent can still be pasted.
#[derive(Debug)]
pub(super) struct InputInjector<'a> {
    share: &'a Share,
    /// Open while control is permitted.
    devices: Option<Devices>,
    /// The clipboard that control has left behind, with the client's text.
    left_clipboard: Option<Clipboard>,
    /// The position to which the client moved the pointer last.
    client_position: Option<Position>,
}

#[derive(Debug)]
struct Devices {
    input: Input,
    clipboard: Clipboard,
}

/// The encoding of cut text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CutTextEncoding {
    /// RFC 6143 section 7.6.4.
    Latin1,
    Utf8,
}

impl<'a> InputInjector<'a> {
    pub(super) fn new(share: &'a Share) -> Self {
        Self {
            share,
            devices: None,
            left_clipboard: None,
            client_position: None,
        }
    }

    /// Returns the position to which the client moved the pointer last.
    pub(super) fn client_position(&self) -> Option<Position> {
        self.client_position
    }

    /// Returns the descriptors of the open devices.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let devices = self.devices.iter();
        let fds = devices.flat_map(|devices| [devices.input.as_fd(), devices.clipboard.as_fd()]);
        fds.chain(self.left_clipboard.iter().map(Clipboard::as_fd))
    }

    /// Returns the time until [`pump`](Self::pump) has input to carry out that had to wait; `None` if
    /// none waits.
    pub(super) fn due_in(&self) -> Option<Duration> {
        self.devices.as_ref()?.input.due_in()
    }

    /// Returns whether more input may be read from the client.
    pub(super) fn accepts_input(&self) -> bool {
        let devices = self.devices.as_ref();
        devices.is_none_or(|devices| devices.input.accepts_input())
    }

    /// Follows the permissions, and processes the devices' events. Appends a cut text message when
    /// the customer has copied a text, an empty one for anything else.
    pub(super) fn pump(
        &mut self,
        encoding: CutTextEncoding,
        out: &mut Vec<u8>,
    ) -> Result<(), ServeError> {
        self.permitted_devices()?;
        self.pump_left_clipboard()?;
        let Some(devices) = &mut self.devices else {
            return Ok(());
        };
        devices.input.pump()?;
        match devices.clipboard.pump()? {
            Some(Copied::Text(text)) => server::cut_text(out, &encoding.encode(text)),
            Some(Copied::Untakable) => server::cut_text(out, &[]),
            None => {}
        }
        Ok(())
    }

    /// Hands out the text that was left, until another program copies one.
    fn pump_left_clipboard(&mut self) -> Result<(), ServeError> {
        if let Some(clipboard) = &mut self.left_clipboard {
            clipboard.pump()?;
        }
        self.left_clipboard
            .take_if(|clipboard| !clipboard.is_offering());
        Ok(())
    }

    /// Carries out an input message. Other messages do nothing.
    pub(super) fn inject(
        &mut self,
        message: &ClientMessage,
        encoding: CutTextEncoding,
    ) -> Result<(), ServeError> {
        let Some(Devices { input, clipboard }) = self.permitted_devices()? else {
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
                self.client_position = Some((*x, *y));
            }
            ClientMessage::CutText(text) => {
                // Keys before the text have their own connection.
                input.flush()?;
                clipboard.offer(&encoding.decode(text))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Sends the input given so far.
    pub(super) fn flush(&mut self) -> Result<(), ServeError> {
        if let Some(devices) = &mut self.devices {
            devices.input.flush()?;
        }
        Ok(())
    }

    /// Opens the devices when control is permitted. Closes them, which releases everything, when it
    /// is not. A clipboard with a text of the client's stays, for pasting alone.
    fn permitted_devices(&mut self) -> Result<Option<&mut Devices>, ServeError> {
        if !self.share.may_control() {
            if let Some(Devices { input, clipboard }) = self.devices.take() {
                drop(input);
                self.leave(clipboard)?;
            }
        } else if self.devices.is_none() {
            let (display, app) = (self.share.display(), self.share.app());
            let cancel = self.share.cancel_token();
            let clipboard = match self.left_clipboard.take() {
                Some(mut clipboard) => {
                    clipboard.watch()?;
                    clipboard
                }
                None => Clipboard::open(display, app, cancel)?,
            };
            self.devices = Some(Devices {
                input: Input::open(display, app, cancel)?,
                clipboard,
            });
        }
        Ok(self.devices.as_mut())
    }

    fn leave(&mut self, mut clipboard: Clipboard) -> Result<(), ServeError> {
        if clipboard.is_offering() {
            clipboard.unwatch()?;
            self.left_clipboard = Some(clipboard);
        }
        Ok(())
    }
}

impl CutTextEncoding {
    /// Encodes a text. Characters that Latin-1 lacks become question marks.
    fn encode(self, text: String) -> Vec<u8> {
        match self {
            Self::Utf8 => text.into_bytes(),
            Self::Latin1 => {
                let latin1 = |c| u8::try_from(c).unwrap_or(b'?');
                text.chars().map(latin1).collect()
            }
        }
    }

    /// Decodes a text. Bytes that are no UTF-8 were sent before that was agreed on, and are
    /// Latin-1.
    fn decode(self, bytes: &[u8]) -> String {
        let latin1 = || bytes.iter().copied().map(char::from).collect();
        match str::from_utf8(bytes) {
            Ok(text) if self == Self::Utf8 => text.to_owned(),
            _ => latin1(),
        }
    }
}
