//! What is on its way to a viewer, in order: whole messages, and perhaps an update that goes out while its rectangles
//! still come, behind which everything else waits.

use etatuki_rfb::encode::server;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct WriteBuffer {
    bytes: Vec<u8>,
    /// Inside an update.
    open: bool,
    /// Messages for after it.
    later: Vec<u8>,
}

impl WriteBuffer {
    /// Where whole messages are put.
    pub(super) fn messages(&mut self) -> &mut Vec<u8> {
        if self.open {
            &mut self.later
        } else {
            &mut self.bytes
        }
    }

    /// Begins an update of any number of rectangles, for a viewer that knows LastRect.
    pub(super) fn open_update(&mut self) {
        server::update_start(self.messages(), None);
        self.open = true;
    }

    /// Where the rectangles of the open update are put; `None` without one.
    pub(super) fn open(&mut self) -> Option<&mut Vec<u8>> {
        self.open.then_some(&mut self.bytes)
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn close_update(&mut self) {
        if std::mem::take(&mut self.open) {
            server::last_rect(&mut self.bytes);
            self.bytes.append(&mut self.later);
        }
    }

    /// A whole update.
    pub(super) fn update(&mut self, update: &mut Vec<u8>) {
        let messages = self.messages();
        if messages.is_empty() {
            std::mem::swap(messages, update);
        }
        messages.append(update);
    }

    /// Bytes that nobody has taken.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + self.later.len()
    }

    /// What can be sent now, for an empty buffer, which is kept for what comes.
    pub(super) fn take(&mut self, into: &mut Vec<u8>) {
        std::mem::swap(&mut self.bytes, into);
    }
}
