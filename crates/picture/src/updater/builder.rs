//! Writes the next chunk: out-of-band messages, then as much of an update as a chunk may hold.

use super::select::UpdateContents;
use super::{UpdateState, Updater};
use crate::chunked_update::{
    Framing, JPEG_CHUNK_BYTES, MAX_RAW_BEFORE_JPEG, PartialUpdate, RAW_CHUNK_BYTES,
};
use crate::client_framebuffer::ClientFramebuffer;
use crate::congestion::SentUpdate;
use crate::encoded_chunk::EncodedChunk;
use crate::framebuffer::Framebuffer;
use crate::grid::raw_bytes;
use crate::out_of_band::{OutOfBand, own_fence};
use etatuki_rfb::encode::server;
use etatuki_rfb::{Rect, encoding};
use std::time::Duration;

/// One chunk in the making.
pub(super) struct UpdateBuilder<'a> {
    pub(super) updater: &'a mut Updater,
    pub(super) framebuffer: &'a mut Framebuffer,
    pub(super) now: Duration,
    pub(super) out: Vec<u8>,
    /// Offset of the first JPEG in `out`.
    incompressible_from: Option<usize>,
}

impl<'a> UpdateBuilder<'a> {
    pub(super) fn new(
        updater: &'a mut Updater,
        framebuffer: &'a mut Framebuffer,
        now: Duration,
    ) -> Self {
        Self {
            updater,
            framebuffer,
            now,
            out: Vec::new(),
            incompressible_from: None,
        }
    }

    /// Does the work of [`Updater::next_chunk`].
    pub(super) fn next_chunk(mut self) -> Option<EncodedChunk> {
        match std::mem::take(&mut self.updater.state) {
            UpdateState::Between => self.begin_update(),
            UpdateState::Mid(update) => self.continue_update(update),
            UpdateState::StartedEarly(update) => self.finish_early_update(update),
        }
        self.into_chunk()
    }

    /// Returns what was written; `None` if that is nothing.
    pub(super) fn into_chunk(self) -> Option<EncodedChunk> {
        let incompressible_from = self.incompressible_from.unwrap_or(self.out.len());
        (!self.out.is_empty()).then_some(EncodedChunk {
            bytes: self.out,
            incompressible_from,
        })
    }

    fn begin_update(&mut self) {
        if std::mem::take(&mut self.updater.needs_full_update) {
            self.updater.client_framebuffer = None;
            self.framebuffer.damage_all();
        }
        self.write_all_out_of_band();
        let update = if self.updater.has_credit() {
            self.requested_update()
        } else {
            self.priority_update()
        };
        if let Some(update) = update {
            self.continue_update(update);
        }
    }

    /// Begins an update for the client's credit: first an update of its own for a new layout, if
    /// there is one.
    fn requested_update(&mut self) -> Option<PartialUpdate> {
        let area = self.updater.permitted_area();
        let fenced = self.updater.has_stream_credit();
        let layout_announced = self.write_layout_update();
        let update = self.encode_update(area, None);
        let update = update.or(layout_announced.then(PartialUpdate::default))?;
        self.updater.requested = None;
        Some(PartialUpdate { fenced, ..update })
    }

    /// Selects an update's contents and writes its first rectangles, behind those of `early`.
    /// `None` if there is nothing to write.
    pub(super) fn encode_update(
        &mut self,
        area: Rect,
        early: Option<PartialUpdate>,
    ) -> Option<PartialUpdate> {
        let contents = self.updater.select(area, self.framebuffer, self.now);
        match contents.rect_count() {
            0 => early,
            count => {
                let update = early.unwrap_or_else(|| {
                    server::update_start(&mut self.out, Some(count as u16));
                    PartialUpdate::default()
                });
                Some(self.write_contents(contents, update))
            }
        }
    }

    /// Writes all but JPEG and the pixels behind it, which the update's continuation writes.
    fn write_contents(&mut self, contents: UpdateContents, update: PartialUpdate) -> PartialUpdate {
        if let Some(cursor) = &contents.cursor {
            server::cursor(&mut self.out, cursor);
        }
        if let Some(position) = contents.pointer {
            server::pointer_pos(&mut self.out, position);
        }
        for copy in &contents.copies {
            server::copy_rect(&mut self.out, copy.rect, copy.from);
        }
        let mut raw_rects = contents.raw_rects;
        if raw_rects.iter().map(raw_bytes).sum::<usize>() <= MAX_RAW_BEFORE_JPEG {
            self.write_raw(&std::mem::take(&mut raw_rects));
        }
        if !contents.window_limited {
            self.updater.priority_left = 0;
        }
        PartialUpdate {
            jpeg_rects: contents.jpeg_rects.into(),
            raw_rects: raw_rects.into(),
            window_limited: contents.window_limited,
            covers_framebuffer: contents.covers_framebuffer,
            ..update
        }
    }

    /// Writes on until the chunk is full or the update complete; a fence ends one that is fenced.
    pub(super) fn continue_update(&mut self, mut update: PartialUpdate) {
        let bounds = self.framebuffer.bounds();
        self.updater.drop_resized_client_framebuffer(bounds);
        // The framebuffer may have shrunk meanwhile; a rectangle that is outside was counted, and
        // goes empty.
        let clipped = |rect: Rect| rect.intersection(&bounds).unwrap_or_default();
        let jpeg_bytes_before = update.jpeg_bytes;
        while let Some(rect) = update.jpeg_rects.pop_front() {
            update.jpeg_bytes += self.write_jpeg_or_raw(clipped(rect));
            let is_full = update.jpeg_bytes - jpeg_bytes_before >= JPEG_CHUNK_BYTES;
            if is_full && !update.jpeg_rects.is_empty() {
                return self.suspend(update);
            }
        }
        if update.jpeg_bytes > jpeg_bytes_before && !update.raw_rects.is_empty() {
            return self.suspend(update);
        }
        while let Some(rect) = update.raw_rects.pop_front() {
            self.write_raw(&[clipped(rect)]);
            let next = update.raw_rects.front().map_or(0, raw_bytes);
            if next > 0 && self.out.len() + next > RAW_CHUNK_BYTES && update.fenced {
                return self.suspend(update);
            }
        }
        self.end_update(&update);
    }

    /// Leaves the rest of the update to the next chunk.
    fn suspend(&mut self, mut update: PartialUpdate) {
        update.bytes += self.out.len();
        self.updater.state = UpdateState::Mid(update);
    }

    fn end_update(&mut self, update: &PartialUpdate) {
        self.learn_client_framebuffer(update);
        if update.framing == Framing::LastRect {
            server::last_rect(&mut self.out);
        }
        if update.fenced {
            let number = self.updater.congestion.on_sent(SentUpdate {
                bytes: update.bytes + self.out.len(),
                jpeg_bytes: update.jpeg_bytes,
                window_limited: update.window_limited,
            });
            self.write_out_of_band(own_fence(number));
        }
    }

    /// Copies the framebuffer as the client's, at the first moment at which a client with CopyRect
    /// has all of it.
    fn learn_client_framebuffer(&mut self, update: &PartialUpdate) {
        let can_copy = self.updater.encodings.supports(encoding::COPY_RECT);
        if self.updater.client_framebuffer.is_some() || !(can_copy && update.covers_framebuffer) {
            return;
        }
        let bounds = self.framebuffer.bounds();
        if self.framebuffer.damage().rects(bounds).is_empty() {
            let client = ClientFramebuffer::all_of(self.framebuffer);
            self.updater.client_framebuffer = Some(client);
        }
    }

    pub(super) fn write_all_out_of_band(&mut self) {
        while let Some(message) = self.updater.out_of_band.pop_front() {
            self.write_out_of_band(message);
        }
    }

    fn write_out_of_band(&mut self, message: OutOfBand) {
        match message {
            OutOfBand::Fence { flags, payload } => server::fence(&mut self.out, flags, &payload),
            OutOfBand::EndOfContinuousUpdates => server::end_of_continuous_updates(&mut self.out),
            OutOfBand::DesktopSize { status } => self.write_desktop_size_answer(status),
        }
    }

    /// Writes rectangles as Raw; the client has them exactly from now on.
    pub(super) fn write_raw(&mut self, rects: &[Rect]) {
        self.out
            .reserve(rects.iter().map(raw_bytes).sum::<usize>() + rects.len() * 12);
        let stride = usize::from(self.framebuffer.width()) * 4;
        for rect in rects {
            server::raw_from(&mut self.out, *rect, self.framebuffer.pixels(), stride);
            self.updater.video.mark_exact(*rect);
            self.mark_delivered(*rect);
        }
    }

    /// Writes `rect` as JPEG and marks it lossy, or as Raw if the encoder refuses it. Returns the
    /// JPEG bytes written (0 for Raw).
    pub(super) fn write_jpeg_or_raw(&mut self, rect: Rect) -> usize {
        let Some(bytes) = self.write_jpeg(rect) else {
            self.write_raw(&[rect]);
            return 0;
        };
        self.updater.video.mark_lossy(rect);
        match &mut self.updater.client_framebuffer {
            Some(client) if self.updater.video.is_all_video(rect) => {
                self.framebuffer.damage().remove(rect);
                client.invalidate(rect);
            }
            _ => self.mark_delivered(rect),
        }
        bytes
    }

    /// Returns the JPEG's bytes; `None` if the encoder refuses the rectangle.
    fn write_jpeg(&mut self, rect: Rect) -> Option<usize> {
        let Updater {
            jpeg_encoder,
            congestion,
            ..
        } = &mut *self.updater;
        let start = self.out.len();
        let stride = usize::from(self.framebuffer.width()) * 4;
        let quality = congestion.jpeg_quality();
        let file = jpeg_encoder.encode(self.framebuffer.pixels(), stride, rect, quality);
        let file = file
            .ok()
            .filter(|file| server::jpeg(&mut self.out, rect, file))?;
        self.incompressible_from.get_or_insert(start);
        congestion.on_jpeg_encoded(rect.area(), file.len());
        Some(file.len())
    }

    fn mark_delivered(&mut self, rect: Rect) {
        self.framebuffer.damage().remove(rect);
        if let Some(client) = &mut self.updater.client_framebuffer {
            client.update_from(rect, self.framebuffer);
        }
    }
}
