//! Early start: a video frame is sent while the source is still sending its update. Complete blocks
//! become JPEGs, and travel and are decoded, while the rest comes. The client shows the frame when
//! the update ends, and that is when the source's own has ended.

use super::builder::UpdateBuilder;
use super::{UpdateState, Updater, bounding};
use crate::chunked_update::{Framing, JPEG_CHUNK_BYTES, PartialUpdate};
use crate::encoded_chunk::EncodedChunk;
use crate::framebuffer::Framebuffer;
use etatuki_rfb::encode::server;
use etatuki_rfb::{Rect, encoding};
use std::time::Duration;

impl Updater {
    /// Returns a chunk with JPEGs of those video blocks that have changed completely, while the
    /// source is inside an update; [`next_chunk`](Self::next_chunk) continues and ends it once the
    /// source's update is complete. `None` if there are no such blocks, or if the client or the
    /// link isn't fit for it.
    ///
    /// To be called when the link is idle, from time to time while the source's update comes.
    pub fn start_early(
        &mut self,
        framebuffer: &mut Framebuffer,
        now: Duration,
    ) -> Option<EncodedChunk> {
        if !self.may_start_early(framebuffer) {
            return None;
        }
        let rects = self.video.complete_blocks(framebuffer, now);
        if rects.is_empty() {
            return None;
        }
        UpdateBuilder::new(self, framebuffer, now).early_chunk(rects)
    }

    /// Returns whether an update has begun while the source's isn't complete.
    #[must_use]
    pub fn has_started_early(&self) -> bool {
        matches!(self.state, UpdateState::StartedEarly(_))
    }

    /// Returns whether client and link are fit for it. They aren't if the client must be told of
    /// something first, or if a frame would take turns with other pixels.
    fn may_start_early(&self, framebuffer: &Framebuffer) -> bool {
        let bounds = framebuffer.bounds();
        let covers_all = |area: Rect| area.intersection(&bounds) == Some(bounds);
        let understands_it = self.encodings.supports(encoding::TIGHT)
            && self.encodings.supports(encoding::LAST_RECT);
        let has_credit = self.has_started_early() || self.has_stream_credit();
        understands_it
            && has_credit
            && !(self.is_mid_update()
                || self.needs_full_update
                || self.invalidated.is_some()
                || framebuffer.has_pending_copies())
            && self.continuous.is_some_and(covers_all)
            && self.client_state_is_current(framebuffer)
            && !self.congestion.is_slow()
            && self.budget().jpeg >= bounds.area() * 4
    }

    /// Returns whether size, layout and confirmed extensions are current at the client. If not, an
    /// update of pseudo-rectangles must come first: ExtendedDesktopSize allows no pixels beside it.
    fn client_state_is_current(&self, framebuffer: &Framebuffer) -> bool {
        framebuffer.bounds() == self.client_bounds()
            && !self.encodings.has_unconfirmed()
            && !self.must_announce_layout(framebuffer)
    }
}

impl UpdateBuilder<'_> {
    fn early_chunk(mut self, rects: Vec<Rect>) -> Option<EncodedChunk> {
        let mut update = match std::mem::take(&mut self.updater.state) {
            UpdateState::StartedEarly(update) => update,
            UpdateState::Between | UpdateState::Mid(_) => self.begin_early_update(),
        };
        let jpeg_bytes_before = update.jpeg_bytes;
        for rect in rects {
            update.jpeg_bytes += self.write_jpeg_or_raw(rect);
            self.updater.video.mark_sent_early(rect, self.now);
            if update.jpeg_bytes - jpeg_bytes_before >= JPEG_CHUNK_BYTES {
                break;
            }
        }
        update.bytes += self.out.len();
        self.updater.state = UpdateState::StartedEarly(update);
        self.into_chunk()
    }

    fn begin_early_update(&mut self) -> PartialUpdate {
        self.write_all_out_of_band();
        server::update_start(&mut self.out, None);
        PartialUpdate {
            framing: Framing::LastRect,
            fenced: true,
            ..PartialUpdate::default()
        }
    }

    /// Writes the rest of an update that started early, now that the source's own is complete. Ends
    /// it without the rest if the client must be told of something else first.
    pub(super) fn finish_early_update(&mut self, early: PartialUpdate) {
        let mut update = Some(early);
        if self.updater.client_state_is_current(self.framebuffer) {
            let requested = self.updater.requested.take().unwrap_or_default();
            let area = bounding(self.updater.continuous, requested);
            update = self.encode_update(area, update);
        }
        if let Some(update) = update {
            self.continue_update(update);
        }
    }
}
