//! A framebuffer update that is collected before it is sent, from one update of the link's or
//! several.

use etatuki_rfb::encode::server;

/// Bytes above which a collected update is sent in several.
const MAX_BYTES: usize = 16 << 20;
/// Rectangles of an update; 65,535 would mean that LastRect ends it.
pub(crate) const MAX_RECTANGLES: u16 = u16::MAX - 1;

/// The message, whose count of rectangles is written when it is taken.
#[derive(Debug)]
pub(crate) struct PendingUpdate {
    /// The message so far.
    pub(crate) bytes: Vec<u8>,
    /// Rectangles in it.
    pub(crate) rectangles: u16,
    /// Whether it contains a resize; nothing may be appended behind one.
    pub(crate) has_resize: bool,
}

impl PendingUpdate {
    /// Creates an update without rectangles.
    pub(crate) fn new() -> Self {
        let mut bytes = Vec::new();
        server::update_start(&mut bytes, Some(0));
        Self {
            bytes,
            rectangles: 0,
            has_resize: false,
        }
    }

    /// Returns whether it must be sent before more is appended.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() > MAX_BYTES || self.rectangles == MAX_RECTANGLES
    }

    /// Returns the complete message and starts anew.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut update = std::mem::replace(self, Self::new());
        server::set_rectangle_count(&mut update.bytes, update.rectangles);
        update.bytes
    }
}
