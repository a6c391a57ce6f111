//! Messages that a server (the side with the screen) sends to a client: RFC 6143 section 7.6, and
//! extensions.

use crate::{Rect, ScreenLayout};

/// A message from a server. A FramebufferUpdate comes in parts, so that a large one is never held
/// as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerMessage {
    /// Start of a FramebufferUpdate (section 7.6.1). Its rectangles follow, then
    /// [`ServerMessage::UpdateEnd`].
    UpdateStart,
    /// Rectangle of the update, or a band of whole rows of a large Raw one.
    Rectangle(Rectangle),
    /// End of the update: the client's picture is now one that the screen really showed.
    UpdateEnd,
    /// ServerCutText (section 7.6.4): the server's clipboard, Latin-1 unless UTF-8 was agreed on.
    CutText(Vec<u8>),
    /// ServerCutText above the limit, skipped: copying much text must not end a session.
    CutTextSkipped {
        /// Length of the text in bytes.
        length: u32,
    },
    /// Bell (section 7.6.3): a beep.
    Bell,
    /// Fence: a request, or the response to the client's.
    Fence {
        /// Bits of [`crate::encode::fence_flags`].
        flags: u32,
        /// Bytes that the response returns untouched.
        payload: Vec<u8>,
    },
    /// EndOfContinuousUpdates: the first one confirms the extension, later ones say that the
    /// updates have ended.
    EndOfContinuousUpdates,
}

/// A rectangle of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rectangle {
    /// Raw (section 7.7.1): uncompressed pixels.
    Raw {
        /// Destination; inside the screen, not empty.
        rect: Rect,
        /// Rows without gaps, in the connection's pixel format.
        pixels: Vec<u8>,
    },
    /// Tight's JPEG subtype. Only a parser [with JPEG](crate::ServerParser::with_jpeg) accepts it.
    Jpeg {
        /// Destination; inside the screen, not empty, at most [`MAX_JPEG_WIDTH`] wide.
        rect: Rect,
        /// The whole JPEG file, not decoded. Its own size should be the rectangle's.
        data: Vec<u8>,
    },
    /// CopyRect (section 7.7.2): pixels that the client has at another position; the two may
    /// overlap.
    CopyRect {
        /// Destination; inside the screen, not empty.
        rect: Rect,
        /// Left top corner of the source, which is inside the screen too.
        from: (u16, u16),
    },
    /// Cursor (section 7.8.1): the pointer's shape.
    Cursor(CursorImage),
    /// PointerPos: the pointer's position, moved by somebody else than this client.
    PointerPos {
        /// Column; perhaps outside the screen.
        x: u16,
        /// Row; perhaps outside the screen.
        y: u16,
    },
    /// DesktopSize (section 7.8.2): the screen's new size; its content is unknown from now on.
    DesktopSize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// ExtendedDesktopSize: the framebuffer's size and the screens in it.
    ExtendedDesktopSize {
        /// Cause: 0 the server itself, 1 this client's request, 2 another client's.
        reason: u16,
        /// Result: 0 done; 1 forbidden, 2 out of resources, 3 invalid layout. Nothing changed
        /// unless it is 0.
        status: u16,
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
        /// Screens in the framebuffer.
        screens: Vec<ScreenLayout>,
    },
    /// Confirmation of an extension, an empty rectangle of its pseudo-encoding: QEMU Extended Key
    /// Event, Extended Mouse Buttons, or cut text in UTF-8.
    Supports {
        /// Number of the pseudo-encoding.
        encoding: i32,
    },
}

/// Largest number of columns of a JPEG rectangle: Tight's bound for each of its rectangles (RFB
/// protocol, 'Tight Encoding').
pub const MAX_JPEG_WIDTH: u16 = 2048;

/// The pointer's shape. A width or height of 0 hides the pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CursorImage {
    /// Position of the pixel that points, from the image's left top corner.
    pub hotspot: (u16, u16),
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// `width * height` pixels in the connection's format.
    pub pixels: Vec<u8>,
    /// Opacity, 1 bit a pixel, 1 is opaque; the leftmost is the highest bit; rows start at a byte.
    pub mask: Vec<u8>,
}

impl CursorImage {
    /// Returns the bytes of one mask row.
    #[must_use]
    pub const fn mask_stride(width: u16) -> usize {
        (width as usize).div_ceil(8)
    }
}
