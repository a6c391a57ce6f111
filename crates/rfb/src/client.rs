//! Messages from a client (a viewer) to a server, and their parser: RFC 6143 section 7.5 and extensions.

use crate::{Layout, Limits, PixelFormat, ProtocolError, Rect};

/// A message from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage {
    /// Pixels shall come in this format from now on.
    SetPixelFormat(PixelFormat),
    /// What the client understands, best first; also the pseudo-encodings.
    SetEncodings(Vec<i32>),
    /// Please send an update.
    UpdateRequest {
        /// Only what changed.
        incremental: bool,
        /// Of this area; not clipped by the parser.
        rect: Rect,
    },
    /// A key went down or up.
    Key {
        /// Down or up.
        down: bool,
        /// X11 keysym.
        keysym: u32,
    },
    /// The same, with the key's place.
    QemuKey {
        /// Down or up.
        down: bool,
        /// X11 keysym; 0 when the client doesn't know it.
        keysym: u32,
        /// PC scan code (set 1); extended ones with 0x80 set.
        keycode: u32,
    },
    /// The pointer is here, with these buttons held.
    Pointer {
        /// Bit 0 left, 1 middle, 2 right, 3 to 6 wheel up, down, left, right, 7 back, 8 forward.
        buttons: u16,
        /// Column; not clipped by the parser.
        x: u16,
        /// Row; not clipped by the parser.
        y: u16,
    },
    /// The client's clipboard, Latin-1.
    CutText(Vec<u8>),
    /// A fence, or the answer to one of ours.
    Fence {
        /// See [`crate::encode::fence_flags`].
        flags: u32,
        /// To be returned untouched.
        payload: Vec<u8>,
    },
    /// Updates without requests, on or off.
    EnableContinuousUpdates {
        /// On or off.
        enable: bool,
        /// The area; not clipped by the parser.
        rect: Rect,
    },
    /// Please change the framebuffer's size.
    SetDesktopSize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
        /// The screens in it.
        screens: Vec<Layout>,
    },
}

/// Reads what a client sends after the handshake.
#[derive(Debug)]
pub struct ClientParser {
    limits: Limits,
    extended_pointer: bool,
}

impl ClientParser {
    /// A parser at the start of a message.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            extended_pointer: false,
        }
    }

    /// Whether pointer events may come in the form with nine buttons: from the moment on when the
    /// client knows that the server understands it (see [`encode::server::supports`](crate::encode::server::supports)).
    pub fn set_extended_pointer(&mut self, on: bool) {
        self.extended_pointer = on;
    }

    /// More bytes, split anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        todo!("{} {:?}", bytes.len(), self.limits)
    }

    /// The next whole message; `None` until more bytes come.
    ///
    /// # Errors
    /// The client broke the protocol; the same error comes back from then on.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<ClientMessage>, ProtocolError> {
        todo!("{}", self.extended_pointer)
    }
}
