//! The encodings that a client supports, and the extensions that have been announced to it.

use etatuki_rfb::encoding;

/// The encodings that make a difference here; a client's list may hold any others.
const KNOWN: [i32; 11] = [
    encoding::COPY_RECT,
    encoding::TIGHT,
    encoding::LAST_RECT,
    encoding::CURSOR,
    encoding::POINTER_POS,
    encoding::DESKTOP_SIZE,
    encoding::EXTENDED_DESKTOP_SIZE,
    encoding::FENCE,
    encoding::CONTINUOUS_UPDATES,
    encoding::QEMU_EXTENDED_KEY,
    encoding::EXTENDED_MOUSE_BUTTONS,
];

/// The client's last SetEncodings list, and what was announced because of any such list.
#[derive(Debug, Default)]
pub(super) struct ClientEncodings {
    supported: Vec<i32>,
    /// Extensions that were announced; an announcement is never taken back.
    announced: Vec<i32>,
    /// Input extensions that are still to be announced, by an empty rectangle each.
    unconfirmed: Vec<i32>,
}

impl ClientEncodings {
    /// Replaces the list. Input extensions that are new in it are to be confirmed.
    pub(super) fn set(&mut self, list: &[i32]) {
        let supported = KNOWN.into_iter().filter(|known| list.contains(known));
        self.supported = supported.collect();
        for extension in [
            encoding::QEMU_EXTENDED_KEY,
            encoding::EXTENDED_MOUSE_BUTTONS,
        ] {
            if self.announce(extension) {
                self.unconfirmed.push(extension);
            }
        }
    }

    pub(super) fn supports(&self, encoding: i32) -> bool {
        self.supported.contains(&encoding)
    }

    /// Returns whether the extension is now to be announced: the client supports it and hasn't been
    /// told.
    pub(super) fn announce(&mut self, extension: i32) -> bool {
        let is_new = self.supports(extension) && !self.has_announced(extension);
        if is_new {
            self.announced.push(extension);
        }
        is_new
    }

    pub(super) fn has_announced(&self, extension: i32) -> bool {
        self.announced.contains(&extension)
    }

    pub(super) fn has_unconfirmed(&self) -> bool {
        !self.unconfirmed.is_empty()
    }

    /// Returns the input extensions to confirm, and counts them as confirmed.
    pub(super) fn take_unconfirmed(&mut self) -> Vec<i32> {
        std::mem::take(&mut self.unconfirmed)
    }
}
