//! Bytes on their way to a viewer, in order. While an update is open, its rectangles are sent as
//! they are written, and all other messages wait behind its end.

use etatuki_rfb::encode::server;

/// Whole messages, and at most one open update.
#[derive(Debug, Default)]
pub(crate) struct WriteBuffer {
    bytes: Vec<u8>,
    /// Whether `bytes` ends inside an update.
    update_open: bool,
    /// Messages behind the open update.
    behind_update: Vec<u8>,
}

impl WriteBuffer {
    /// Returns the buffer for whole messages.
    pub(crate) fn messages(&mut self) -> &mut Vec<u8> {
        if self.update_open {
            &mut self.behind_update
        } else {
            &mut self.bytes
        }
    }

    /// Starts an update with any number of rectangles; the viewer must know LastRect.
    pub(crate) fn start_update(&mut self) {
        server::update_start(self.messages(), None);
        self.update_open = true;
    }

    /// Returns the buffer for the rectangles of the open update.
    pub(crate) fn rectangles(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.update_open, "no update is open");
        &mut self.bytes
    }

    /// Ends the open update.
    pub(crate) fn end_update(&mut self) {
        if std::mem::take(&mut self.update_open) {
            server::last_rect(&mut self.bytes);
            self.bytes.append(&mut self.behind_update);
        }
    }

    /// Appends a whole message and leaves `message` empty.
    pub(crate) fn append(&mut self, message: &mut Vec<u8>) {
        let messages = self.messages();
        if messages.is_empty() {
            std::mem::swap(messages, message);
        }
        messages.append(message);
    }

    /// Returns the number of bytes that have not been taken.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.behind_update.len()
    }

    /// Exchanges the bytes that can be sent now for `empty`, which is used for further ones.
    pub(crate) fn take(&mut self, empty: &mut Vec<u8>) {
        std::mem::swap(&mut self.bytes, empty);
    }
}
