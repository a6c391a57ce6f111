//! Messages that a client (a viewer) sends to a server: RFC 6143 section 7.5, and extensions.

use crate::{ClipboardMessage, PixelFormat, Rect, ScreenLayout};

/// A message from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage {
    /// SetPixelFormat (section 7.5.1): the format of all later pixels.
    SetPixelFormat(PixelFormat),
    /// SetEncodings (section 7.5.2): the encodings and pseudo-encodings that the client
    /// understands, best first.
    SetEncodings(Vec<i32>),
    /// FramebufferUpdateRequest (section 7.5.3).
    UpdateRequest {
        /// Asks for changed pixels alone.
        incremental: bool,
        /// Requested area; not clipped by the parser.
        rect: Rect,
    },
    /// KeyEvent (section 7.5.4): a key went down or up.
    Key {
        /// True for a press.
        down: bool,
        /// X11 keysym.
        keysym: u32,
    },
    /// QEMU Extended Key Event: a key event with the physical key.
    QemuKey {
        /// True for a press.
        down: bool,
        /// X11 keysym; 0 when the client doesn't know it.
        keysym: u32,
        /// PC scan code (set 1); extended ones with 0x80 set.
        keycode: u32,
    },
    /// PointerEvent (section 7.5.5), in either [`PointerFormat`].
    Pointer {
        /// Buttons that are held: bit 0 left, 1 middle, 2 right, 3 to 6 wheel up, down, left,
        /// right, 7 back, 8 forward.
        buttons: u16,
        /// Column; not clipped by the parser.
        x: u16,
        /// Row; not clipped by the parser.
        y: u16,
    },
    /// ClientCutText (section 7.5.6): the client's clipboard, Latin-1 unless UTF-8 was agreed on.
    CutText(Vec<u8>),
    /// ClientCutText above the limit, skipped: copying much text must not end a session. Only from a
    /// parser [`with_extended_clipboard`](crate::ClientParser::with_extended_clipboard).
    CutTextSkipped {
        /// Length of the message's content in bytes.
        length: u32,
    },
    /// ClientCutText of a negative length. Only from a parser
    /// [`with_extended_clipboard`](crate::ClientParser::with_extended_clipboard).
    Clipboard(ClipboardMessage),
    /// Fence: a request, or the response to the server's.
    Fence {
        /// Bits of [`crate::encode::fence_flags`].
        flags: u32,
        /// Bytes that the response returns untouched.
        payload: Vec<u8>,
    },
    /// EnableContinuousUpdates: updates without requests, on or off.
    EnableContinuousUpdates {
        /// On or off.
        enable: bool,
        /// Area to be updated; not clipped by the parser.
        rect: Rect,
    },
    /// SetDesktopSize: a request for another size of the framebuffer.
    SetDesktopSize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
        /// Screens in the framebuffer.
        screens: Vec<ScreenLayout>,
    },
}

/// Wire format of pointer events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PointerFormat {
    /// RFC 6143's: 6 bytes, eight buttons.
    #[default]
    Standard,
    /// Extended Mouse Buttons': an event with a button above the eighth has one byte more, and the
    /// top bit of the first button mask marks it. Both sides use it from the server's confirmation
    /// on (see [`encode::server::supports`](crate::encode::server::supports)).
    Extended,
}

impl PointerFormat {
    /// Returns the format of a connection, by whether Extended Mouse Buttons was confirmed on it.
    #[must_use]
    pub const fn negotiated(extended_mouse_buttons: bool) -> Self {
        if extended_mouse_buttons {
            Self::Extended
        } else {
            Self::Standard
        }
    }
}
