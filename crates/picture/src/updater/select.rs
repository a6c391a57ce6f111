//! Selects the contents of the next update. Nothing is written here.

use super::{Turn, Updater};
use crate::chunked_update::split_for_chunks;
use crate::congestion::Budget;
use crate::framebuffer::{CopyRect, Framebuffer};
use crate::scheduler::Selection;
use crate::video::JpegCandidates;
use etatuki_rfb::{CursorImage, Rect, encoding};
use std::time::Duration;

/// The contents of an update, in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct UpdateContents {
    pub(super) cursor: Option<CursorImage>,
    pub(super) pointer: Option<(u16, u16)>,
    pub(super) copies: Vec<CopyRect>,
    pub(super) raw_rects: Vec<Rect>,
    pub(super) jpeg_rects: Vec<Rect>,
    /// Something that changed is left out, for want of budget.
    pub(super) window_limited: bool,
    pub(super) covers_framebuffer: bool,
}

impl UpdateContents {
    /// Returns the number of RFB rectangles.
    pub(super) fn rect_count(&self) -> usize {
        usize::from(self.cursor.is_some())
            + usize::from(self.pointer.is_some())
            + self.copies.len()
            + self.raw_rects.len()
            + self.jpeg_rects.len()
    }
}

impl Updater {
    /// Selects the pointer's shape and position, the copies, and as many of the damaged pixels in
    /// `area` as the budget allows; if there is nothing of all that, the lossless refresh that is
    /// due. The caller must write everything that is selected.
    pub(super) fn select(
        &mut self,
        area: Rect,
        framebuffer: &mut Framebuffer,
        now: Duration,
    ) -> UpdateContents {
        self.damage_invalidated(framebuffer);
        let bounds = self.client_bounds();
        let area = area.intersection(&bounds).unwrap_or_default();
        let covers_framebuffer = area == bounds && bounds == framebuffer.bounds();
        self.drop_resized_client_framebuffer(framebuffer.bounds());
        self.video
            .record_changes(&framebuffer.damage().rects(area), now);
        let video = self.take_jpeg_damage(covers_framebuffer, framebuffer);
        let copies = self.select_copies(covers_framebuffer, framebuffer);
        let cursor = self.select_cursor(framebuffer);
        let cursor_bytes = cursor
            .as_ref()
            .map_or(0, |cursor| cursor.pixels.len() + cursor.mask.len());
        let budget = self.budget().without(cursor_bytes);
        let mut changed = framebuffer.damage().rects(area);
        if video.is_empty() && changed.is_empty() && copies.is_empty() && cursor.is_none() {
            changed = self.select_refresh(area, framebuffer, now);
        }
        let (raw, jpeg) = self.schedule(changed, &video, budget);
        for rect in video {
            framebuffer.damage().add(rect);
        }
        let raw_rects = if self.has_stream_credit() {
            split_for_chunks(raw.rects)
        } else {
            raw.rects
        };
        UpdateContents {
            cursor,
            pointer: self.select_pointer(framebuffer),
            copies,
            raw_rects,
            jpeg_rects: jpeg.rects,
            window_limited: !(raw.is_complete && jpeg.is_complete),
            covers_framebuffer,
        }
    }

    /// Damages what the client has lost.
    fn damage_invalidated(&mut self, framebuffer: &mut Framebuffer) {
        if let Some(invalidated) = self.invalidated.take() {
            framebuffer.convert_copies_to_damage();
            let inside = invalidated.intersection(&self.client_bounds());
            framebuffer.damage().add(inside.unwrap_or_default());
            self.client_framebuffer = None;
        }
    }

    /// Takes out of the damage what may go as JPEG, so that no copy is searched for in it. The
    /// caller puts it back: it is damaged until it is written.
    fn take_jpeg_damage(
        &mut self,
        covers_framebuffer: bool,
        framebuffer: &mut Framebuffer,
    ) -> Vec<Rect> {
        if !(self.encodings.supports(encoding::TIGHT) && covers_framebuffer) {
            return Vec::new();
        }
        let candidates = if self.has_stream_credit() && self.congestion.is_slow() {
            JpegCandidates::VideoAndStills
        } else {
            JpegCandidates::Video
        };
        let bounds = framebuffer.bounds();
        let damaged = framebuffer.damage().rects(bounds);
        let rects = self.video.jpeg_rects(&damaged, candidates, framebuffer);
        for rect in &rects {
            framebuffer.damage().remove(*rect);
        }
        rects
    }

    /// Selects the copies that the client has to make before it gets pixels: those of the source,
    /// then those that the detector finds. A client that can't make them gets pixels instead.
    fn select_copies(
        &mut self,
        covers_framebuffer: bool,
        framebuffer: &mut Framebuffer,
    ) -> Vec<CopyRect> {
        if !(self.encodings.supports(encoding::COPY_RECT) && covers_framebuffer) {
            framebuffer.convert_copies_to_damage();
            return Vec::new();
        }
        let mut copies = framebuffer.take_pending_copies();
        if let Some(client) = &mut self.client_framebuffer {
            copies.iter().for_each(|copy| client.apply_copy(*copy));
            let bounds = framebuffer.bounds();
            let damaged = framebuffer.damage().rects(bounds);
            copies.extend(self.copy_detector.detect(client, framebuffer, &damaged));
        }
        for CopyRect { rect, from } in &copies {
            self.video.apply_copy(*rect, *from);
        }
        copies
    }

    /// Selects the pointer's shape if the client hasn't got it.
    fn select_cursor(&mut self, framebuffer: &Framebuffer) -> Option<CursorImage> {
        let version = framebuffer.cursor_version();
        if !self.encodings.supports(encoding::CURSOR) || self.cursor_version == version {
            return None;
        }
        let cursor = framebuffer.cursor().cloned()?;
        self.cursor_version = version;
        Some(cursor)
    }

    /// Selects the pointer's position if it has been moved since the client was told, and not by
    /// the client.
    fn select_pointer(&mut self, framebuffer: &Framebuffer) -> Option<(u16, u16)> {
        let (position, version) = framebuffer.pointer();
        let before = std::mem::replace(&mut self.pointer_version, version);
        position.filter(|_| self.encodings.supports(encoding::POINTER_POS) && before != version)
    }

    /// Selects the lossless refresh that is due inside `area`. The framebuffer may be smaller than
    /// the client knows.
    fn select_refresh(
        &mut self,
        area: Rect,
        framebuffer: &Framebuffer,
        now: Duration,
    ) -> Vec<Rect> {
        let area = area.intersection(&framebuffer.bounds()).unwrap_or_default();
        let due = self.video.due_refresh(now).into_iter();
        let due: Vec<Rect> = due.filter_map(|rect| rect.intersection(&area)).collect();
        if due.is_empty() {
            self.video.defer_refresh(now);
        }
        due
    }

    /// Selects the pixels that fit the budget, as they are and as JPEG. Both go together, or the
    /// picture would be torn between them; they take turns if one fills the link.
    fn schedule(
        &mut self,
        changed: Vec<Rect>,
        video: &[Rect],
        budget: Budget,
    ) -> (Selection, Selection) {
        let jpeg_first = !video.is_empty() && (changed.is_empty() || self.turn == Turn::Jpeg);
        let raw = if jpeg_first {
            Selection::none_of(&changed)
        } else {
            self.raw_scheduler.select(changed, budget.raw)
        };
        let jpeg = if jpeg_first || raw.is_complete {
            self.jpeg_scheduler.select(video.to_vec(), budget.jpeg)
        } else {
            Selection::none_of(video)
        };
        self.turn = if jpeg.rects.is_empty() && !jpeg.is_complete {
            Turn::Jpeg
        } else {
            Turn::Raw
        };
        (raw, jpeg)
    }
}
