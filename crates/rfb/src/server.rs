//! Messages from a server (the side with the screen) to a client, and their parser: RFC 6143 section 7.6
//! and extensions.

use crate::{Layout, Limits, PixelFormat, ProtocolError, Rect};

/// A message from a server. Updates come in parts, so that a large one is never held as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerMessage {
    /// An update begins. Its rectangles follow, then [`ServerMessage::UpdateEnd`].
    UpdateStart,
    /// A rectangle of the update, or a band of whole rows of a large Raw one.
    Rectangle(Rectangle),
    /// The update is complete: what the screen shows now is a state that it really had.
    UpdateEnd,
    /// The server's clipboard, Latin-1.
    CutText(Vec<u8>),
    /// A beep.
    Bell,
    /// A fence, or the answer to one of ours.
    Fence {
        /// See [`crate::encode::fence_flags`].
        flags: u32,
        /// To be returned untouched.
        payload: Vec<u8>,
    },
    /// Continuous updates are understood (the first time), or have ended.
    EndOfContinuousUpdates,
}

/// A rectangle of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rectangle {
    /// New pixels.
    Raw {
        /// Where; inside the screen, not empty.
        rect: Rect,
        /// Rows without gaps, in the connection's pixel format.
        pixels: Vec<u8>,
    },
    /// Pixels that are already there, from another place; the two may overlap.
    CopyRect {
        /// Where to; inside the screen, not empty.
        rect: Rect,
        /// Left top corner from where; its rectangle is inside the screen too.
        from: (u16, u16),
    },
    /// The pointer has another shape.
    Cursor(CursorImage),
    /// The screen has another size; its content is unknown from now on.
    DesktopSize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// The screen's size and layout.
    ExtendedDesktopSize {
        /// Why: 0 the server's own doing, 1 this client asked, 2 another client asked.
        reason: u16,
        /// 0 done; 1 forbidden, 2 out of resources, 3 invalid layout: then nothing changed.
        status: u16,
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
        /// The screens in it.
        screens: Vec<Layout>,
    },
    /// The server understands this extension (an empty rectangle of the encoding):
    /// QEMU keys or extended mouse buttons.
    Supports {
        /// The pseudo-encoding's number.
        encoding: i32,
    },
    /// The update ends here, whatever its count said.
    LastRect,
}

/// The pointer's shape. A width or height of 0 means that no pointer is to be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CursorImage {
    /// The pixel that points, from the image's left top corner.
    pub hot: (u16, u16),
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// `width * height` pixels in the connection's format.
    pub pixels: Vec<u8>,
    /// One bit a pixel, 1 is opaque; leftmost is the highest bit; rows start at a byte.
    pub mask: Vec<u8>,
}

impl CursorImage {
    /// Bytes of one mask row.
    #[must_use]
    pub const fn mask_stride(width: u16) -> usize {
        (width as usize).div_ceil(8)
    }
}

/// Reads what a server sends after the handshake.
#[derive(Debug)]
pub struct ServerParser {
    limits: Limits,
    format: PixelFormat,
    width: u16,
    height: u16,
}

impl ServerParser {
    /// A parser for a connection whose pixels come in `format`, on a screen of this size
    /// (from ServerInit; later sizes are followed).
    #[must_use]
    pub fn new(limits: Limits, format: PixelFormat, width: u16, height: u16) -> Self {
        Self {
            limits,
            format,
            width,
            height,
        }
    }

    /// The screen's size as the server last said it.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        (self.width, self.height)
    }

    /// More bytes, split anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        todo!("{} {:?}", bytes.len(), self.limits)
    }

    /// The next whole message or part of an update; `None` until more bytes come.
    ///
    /// # Errors
    /// The server broke the protocol; the same error comes back from then on.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<ServerMessage>, ProtocolError> {
        todo!("{:?}", self.format)
    }
}
