//! Numbers of the encodings and pseudo-encodings that this project uses (RFC 6143 sections 7.7 and
//! 7.8, and the community's list of registered numbers).

/// Raw: uncompressed pixels, row after row.
pub const RAW: i32 = 0;
/// CopyRect: pixels that the client has already, at another position.
pub const COPY_RECT: i32 = 1;
/// Tight, of which this project uses the JPEG subtype alone.
pub const TIGHT: i32 = 7;
/// Tight's compression-control byte of a JPEG rectangle: the subtype in the upper half, no zlib
/// stream to be reset in the lower.
pub(crate) const TIGHT_JPEG_CONTROL: u8 = 0x90;
/// Cursor: the pointer's shape, drawn by the client.
pub const CURSOR: i32 = -239;
/// PointerPos: the pointer's position, when somebody else than the client moved it.
pub const POINTER_POS: i32 = -232;
/// DesktopSize: the framebuffer's new size.
pub const DESKTOP_SIZE: i32 = -223;
/// ExtendedDesktopSize: the framebuffer's size and screens; the client may ask for others.
pub const EXTENDED_DESKTOP_SIZE: i32 = -308;
/// LastRect: end of an update whose header gives no number of rectangles.
pub const LAST_RECT: i32 = -224;
/// Fence messages, both ways.
pub const FENCE: i32 = -312;
/// ContinuousUpdates: updates without a request for each.
pub const CONTINUOUS_UPDATES: i32 = -313;
/// QEMU Extended Key Event: key events with the physical key's scan code beside its keysym.
pub const QEMU_EXTENDED_KEY: i32 = -258;
/// Extended Mouse Buttons: pointer events with nine buttons.
pub const EXTENDED_MOUSE_BUTTONS: i32 = -316;
/// Extended Clipboard: cut text in UTF-8 both ways, in messages of a negative length.
pub const EXTENDED_CLIPBOARD: i32 = 0xc0a1_e5ce_u32.cast_signed();
/// Cut text in UTF-8 both ways, from the confirmation on. This number is the project's own: it is
/// used on the socket between launcher and plugin alone, where the registered Extended Clipboard
/// (zlib, in messages of a negative length) would be too much.
pub const UTF8_CUT_TEXT: i32 = -0x4554_5501;
