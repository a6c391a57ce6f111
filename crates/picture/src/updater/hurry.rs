//! What needn't wait for its turn: small changes that follow a key, on a line that something large fills.

use super::Updater;
use crate::chunked_update::PartialUpdate;
use crate::framebuffer::Framebuffer;
use crate::scheduler::smallest_groups;
use etatuki_rfb::Rect;
use etatuki_rfb::encode::server;

/// So many updates may hurry after a key: the tool may draw more than once.
const HURRIED: u8 = 2;

impl Updater {
    /// The client presses a key, or moves its pointer; to be called before the tool hears of it. On a slow line, small
    /// changes that follow may go before the rest of a page has left.
    pub fn acts(&mut self, framebuffer: &Framebuffer) {
        self.hurried = HURRIED;
        self.unhurried = framebuffer.change_count();
        self.congestion.on_input();
    }

    pub(super) fn may_hurry(&self) -> bool {
        self.hurried > 0 && self.continuous.is_some() && self.congestion.has_burst_credit()
    }

    /// An update with small changes alone, beyond the credit. Not where the client doesn't show what it did before.
    pub(super) fn hurry(
        &mut self,
        framebuffer: &mut Framebuffer,
        out: &mut Vec<u8>,
    ) -> Option<PartialUpdate> {
        let same = framebuffer.bounds() == Rect::new(0, 0, self.size.0, self.size.1);
        let follows = framebuffer.change_count() > self.unhurried;
        if !(self.may_hurry() && follows && same)
            || self.lost.is_some()
            || framebuffer.has_pending_copies()
        {
            return None;
        }
        let area = self.continuous?.intersection(&framebuffer.bounds())?;
        let budget = self.congestion.budget().pixels;
        let (rects, _) = smallest_groups(framebuffer.damage().rects(area), budget);
        if rects.is_empty() {
            return None;
        }
        self.hurried -= 1;
        self.unhurried = framebuffer.change_count();
        server::update_start(out, Some(rects.len() as u16));
        self.put(&rects, framebuffer, out);
        Some(PartialUpdate {
            fenced: true,
            ..PartialUpdate::default()
        })
    }
}
