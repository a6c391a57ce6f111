//! Announces the framebuffer's size, the layout of its screens, and the extensions that we support.

use super::Updater;
use super::builder::UpdateBuilder;
use crate::framebuffer::Framebuffer;
use crate::video::VideoRegions;
use etatuki_rfb::encode::server;
use etatuki_rfb::encoding;

/// Reasons in ExtendedDesktopSize.
const CHANGED_BY_SERVER: u16 = 0;
const REQUESTED_BY_CLIENT: u16 = 1;
/// Status of a layout that holds; any other is a refusal.
const STATUS_OK: u16 = 0;

impl Updater {
    pub(super) fn must_announce_layout(&self, framebuffer: &Framebuffer) -> bool {
        let resized = self.client_bounds() != framebuffer.bounds();
        let changed = self.layout_version != framebuffer.layout_version();
        let due = resized || changed || self.layout_requested;
        self.encodings.supports(encoding::EXTENDED_DESKTOP_SIZE) && due
    }
}

impl UpdateBuilder<'_> {
    /// Writes an update of its own for what is no pixel, as ExtendedDesktopSize demands. Its last
    /// rectangle is the size, as early clients of DesktopSize demand. The client's request stays
    /// open. Returns whether anything was written.
    pub(super) fn write_layout_update(&mut self) -> bool {
        let extended = self.updater.must_announce_layout(self.framebuffer);
        let resized = self.updater.client_bounds() != self.framebuffer.bounds();
        let supports_plain = self.updater.encodings.supports(encoding::DESKTOP_SIZE);
        let plain = supports_plain && resized && !extended;
        self.updater.layout_requested = false;
        let extensions = self.updater.encodings.take_unconfirmed();
        let count = extensions.len() as u16 + u16::from(extended || plain);
        if count == 0 {
            return false;
        }
        server::update_start(&mut self.out, Some(count));
        for extension in extensions {
            server::supports(&mut self.out, extension);
        }
        if extended {
            self.write_extended_desktop_size(CHANGED_BY_SERVER, STATUS_OK);
            self.mark_layout_known();
        } else if plain {
            let (width, height) = (self.framebuffer.width(), self.framebuffer.height());
            server::desktop_size(&mut self.out, width, height);
            self.mark_size_known();
        }
        true
    }

    /// Writes the answer to SetDesktopSize as an update of its own.
    pub(super) fn write_desktop_size_answer(&mut self, status: u16) {
        if !self
            .updater
            .encodings
            .supports(encoding::EXTENDED_DESKTOP_SIZE)
        {
            return;
        }
        server::update_start(&mut self.out, Some(1));
        self.write_extended_desktop_size(REQUESTED_BY_CLIENT, status);
        // A client ignores the size in a refusal, so a change is still to be announced.
        if status == STATUS_OK {
            self.mark_layout_known();
        }
    }

    fn write_extended_desktop_size(&mut self, reason: u16, status: u16) {
        let size = (self.framebuffer.width(), self.framebuffer.height());
        let layout = self.framebuffer.layout();
        server::extended_desktop_size(&mut self.out, reason, status, size, layout);
    }

    fn mark_layout_known(&mut self) {
        self.updater.layout_version = self.framebuffer.layout_version();
        self.mark_size_known();
    }

    /// Notes that the client knows the size. A client that learns another size loses its picture.
    fn mark_size_known(&mut self) {
        let size = (self.framebuffer.width(), self.framebuffer.height());
        if self.updater.client_size != size {
            self.updater.client_size = size;
            self.updater.client_framebuffer = None;
            self.updater.video = VideoRegions::new(size.0, size.1);
            self.framebuffer.damage_all();
        }
    }
}
