//! Numbers of the encodings and pseudo-encodings that this project knows (RFC 6143 section 7.7, and the
//! community's list of registered numbers).

/// Pixels as they are, row after row.
pub const RAW: i32 = 0;
/// A rectangle that the client already has, from another place.
pub const COPY_RECT: i32 = 1;
/// Tight, of which this project knows the JPEG rectangles alone.
pub const TIGHT: i32 = 7;
/// Tight's compression-control byte of a JPEG rectangle: the subtype in the upper half, no zlib stream to
/// be reset in the lower.
pub(crate) const TIGHT_JPEG: u8 = 0x90;
/// The pointer's shape, drawn by the client.
pub const CURSOR: i32 = -239;
/// Where the pointer is, when the client isn't the one that moved it.
pub const POINTER_POS: i32 = -232;
/// The framebuffer has another size.
pub const DESKTOP_SIZE: i32 = -223;
/// The framebuffer's size and its screens; the client may ask for another.
pub const EXTENDED_DESKTOP_SIZE: i32 = -308;
/// Ends an update whose number of rectangles wasn't known at its start.
pub const LAST_RECT: i32 = -224;
/// Fence messages, both ways.
pub const FENCE: i32 = -312;
/// Updates without a request for each.
pub const CONTINUOUS_UPDATES: i32 = -313;
/// Key events that carry the key's place (scan code) as well as its meaning.
pub const QEMU_EXTENDED_KEY: i32 = -258;
/// Pointer events with nine buttons.
pub const EXTENDED_MOUSE_BUTTONS: i32 = -316;
/// Cut text is UTF-8 both ways, from the confirmation on. A number of our own: it is spoken on the socket between
/// launcher and plugin alone, where the registered way (zlib in messages of a negative length) would be too much.
pub const UTF8_CUT_TEXT: i32 = -0x4554_5501;
