//! What the client is told of the screen's size and of the screens in it, and of what we understand.

use super::Updater;
use crate::framebuffer::Framebuffer;
use crate::video::VideoRegions;
use etatuki_rfb::encode::server;

impl Updater {
    /// An update of its own for what changes no pixel, as ExtendedDesktopSize asks for, and whose
    /// last rectangle is the size, as early clients of DesktopSize do. The request stays open.
    pub(super) fn tell_layout(&mut self, framebuffer: &mut Framebuffer, out: &mut Vec<u8>) -> bool {
        let resized = self.size != (framebuffer.width(), framebuffer.height());
        let extended = self.owes_layout(framebuffer);
        let plain = self.known.desktop_size && resized && !extended;
        self.layout_due = false;
        let confirm = std::mem::take(&mut self.confirm);
        let count = confirm.len() as u16 + u16::from(extended || plain);
        if count == 0 {
            return false;
        }
        server::update_start(out, Some(count));
        for encoding in confirm {
            server::supports(out, encoding);
        }
        if extended {
            put(out, 0, 0, framebuffer);
            self.layout = framebuffer.layout_version();
            self.follow_size(framebuffer);
        } else if plain {
            server::desktop_size(out, framebuffer.width(), framebuffer.height());
            self.follow_size(framebuffer);
        }
        true
    }

    pub(super) fn owes_layout(&self, framebuffer: &Framebuffer) -> bool {
        let resized = self.size != (framebuffer.width(), framebuffer.height());
        let due = self.layout_due || self.layout != framebuffer.layout_version();
        self.known.extended_desktop_size && (resized || due)
    }

    /// The client knows the screen's size now; if it is another one, it has lost the picture.
    pub(super) fn follow_size(&mut self, framebuffer: &mut Framebuffer) {
        let size = (framebuffer.width(), framebuffer.height());
        if self.size != size {
            self.size = size;
            self.client_framebuffer = None;
            self.video = VideoRegions::new(size.0, size.1);
            framebuffer.damage_all();
        }
    }
}

pub(super) fn put(out: &mut Vec<u8>, reason: u16, status: u16, framebuffer: &Framebuffer) {
    let size = (framebuffer.width(), framebuffer.height());
    server::extended_desktop_size(out, reason, status, size, framebuffer.layout());
}
