//! Messages from a server (the side with the screen) to a client: RFC 6143 section 7.6 and extensions.

use crate::{Layout, Rect};

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
    /// A clipboard text above the limit was passed over: copying much must not end a session.
    CutTextSkipped {
        /// Its length in bytes.
        length: u32,
    },
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
    /// New pixels as a JPEG file, from Tight. Only a parser that was told to takes one
    /// ([`ServerParser::with_jpeg`](crate::ServerParser::with_jpeg)).
    Jpeg {
        /// Where; inside the screen, not empty, at most [`MAX_JPEG_WIDTH`] wide.
        rect: Rect,
        /// The whole file, not looked into. Its own size should be the rectangle's.
        data: Vec<u8>,
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
    /// The pointer is at another place, moved by somebody else.
    PointerPos {
        /// Column; perhaps outside the screen.
        x: u16,
        /// Row; perhaps outside the screen.
        y: u16,
    },
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
    /// QEMU keys, extended mouse buttons or cut text in UTF-8.
    Supports {
        /// The pseudo-encoding's number.
        encoding: i32,
    },
}

/// Columns of a JPEG rectangle at most: Tight's bound for every rectangle of its own (the community's
/// protocol page, 'Tight Encoding').
pub const MAX_JPEG_WIDTH: u16 = 2048;

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
