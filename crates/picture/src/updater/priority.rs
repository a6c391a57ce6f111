//! Priority updates: the echo of input on a slow link. After a key or a pointer event, up to two
//! small updates may exceed the congestion window by a quarter, so that the letter doesn't queue
//! behind a page.

use super::Updater;
use super::builder::UpdateBuilder;
use crate::chunked_update::PartialUpdate;
use crate::framebuffer::Framebuffer;
use crate::scheduler::smallest_groups;
use etatuki_rfb::encode::server;

/// Priority updates after an input event: the program may draw more than once.
const MAX_PRIORITY_UPDATES: u8 = 2;

impl Updater {
    /// Takes note of a key or a pointer event of the client; to be called before the source gets
    /// it. On a slow link, small changes that follow may overtake the rest of a page.
    pub fn on_input(&mut self, framebuffer: &Framebuffer) {
        self.priority_left = MAX_PRIORITY_UPDATES;
        self.priority_baseline = framebuffer.change_count();
        self.congestion.on_input();
    }

    pub(super) fn has_priority_credit(&self) -> bool {
        self.priority_left > 0 && self.continuous.is_some() && self.congestion.has_burst_credit()
    }
}

impl UpdateBuilder<'_> {
    /// Writes an update of small changes alone, beyond the congestion window. `None` if there are
    /// none since the input, or if the client lacks something that comes before pixels: a size,
    /// what it has lost, copies.
    pub(super) fn priority_update(&mut self) -> Option<PartialUpdate> {
        let updater = &mut *self.updater;
        let is_current = self.framebuffer.bounds() == updater.client_bounds()
            && updater.invalidated.is_none()
            && !self.framebuffer.has_pending_copies();
        let has_echo = self.framebuffer.change_count() > updater.priority_baseline;
        if !(updater.has_priority_credit() && has_echo && is_current) {
            return None;
        }
        let area = updater
            .continuous?
            .intersection(&self.framebuffer.bounds())?;
        let budget = updater.congestion.budget().raw;
        let (rects, _) = smallest_groups(self.framebuffer.damage().rects(area), budget);
        if rects.is_empty() {
            return None;
        }
        updater.priority_left -= 1;
        updater.priority_baseline = self.framebuffer.change_count();
        server::update_start(&mut self.out, Some(rects.len() as u16));
        self.write_raw(&rects);
        Some(PartialUpdate {
            fenced: true,
            ..PartialUpdate::default()
        })
    }
}
