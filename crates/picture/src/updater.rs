//! What one client gets to see: its encodings, its credit, and the next update.

use crate::chunked_update::{
    JPEG_CHUNK_BYTES, MAX_RAW_BEFORE_JPEG, PartialUpdate, RAW_CHUNK_BYTES, split_for_chunks,
};
use crate::client_framebuffer::ClientFramebuffer;
use crate::congestion::{Budget, CongestionControl};
use crate::copy_detector::CopyDetector;
use crate::encoded_chunk::EncodedChunk;
use crate::framebuffer::{CopyRect, Framebuffer};
use crate::grid::raw_bytes;
use crate::jpeg::JpegEncoder;
use crate::out_of_band::{MAX_PENDING, OutOfBand, own_fence, own_fence_number};
use crate::scheduler::{Scheduler, Selection};
use crate::video::{JpegCandidates, VideoRegions};
use etatuki_rfb::encode::{fence_flags, server};
use etatuki_rfb::{Rect, encoding};
use std::collections::VecDeque;
use std::time::Duration;

mod ahead;
mod hurry;
mod layout;

/// Bytes of pixels that one update holds at most; what is left comes with the next one. A chunk that
/// [`Updater::next`] returns is at most 64 KiB longer.
pub const MAX_UPDATE_PIXELS: usize = 8 << 20;
/// The client asked for more than it may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// Too many fences or sizes without taking in the answers.
    #[error("the client asked {MAX_PENDING} times without reading an answer")]
    TooManyUnanswered,
}

/// One client's state. It paints no pointer: a client without Cursor support sees none.
#[derive(Debug)]
pub struct Updater {
    /// The screen's size as the client knows it.
    size: (u16, u16),
    /// The client has seen nothing yet.
    fresh: bool,
    known: Known,
    /// Extensions that wait to be confirmed by an empty rectangle.
    confirm: Vec<i32>,
    out_of_band: VecDeque<OutOfBand>,
    /// An update was asked for, of this area (not clipped, perhaps empty).
    requested: Option<Rect>,
    /// The client has lost this area.
    lost: Option<Rect>,
    /// The client wants to know the layout.
    layout_due: bool,
    /// The number of the layout that the client knows.
    layout: u64,
    /// Continuous updates are on, of this area.
    continuous: Option<Rect>,
    congestion: CongestionControl,
    scheduler: Scheduler,
    /// The number of the pointer shape that the client has.
    cursor: u64,
    /// The number of the pointer's place that the client knows.
    pointer: u64,
    /// The client's picture, if it is known and the client can make moves.
    client_framebuffer: Option<ClientFramebuffer>,
    copy_detector: CopyDetector,
    /// Where the client's picture is a JPEG's.
    video: VideoRegions,
    /// It is the film's turn, where both film and other things have changed.
    film_next: bool,
    jpeg_scheduler: Scheduler,
    /// So many updates may still hurry.
    hurried: u8,
    /// The screen's changes that were there before.
    unhurried: u64,
    jpeg: JpegEncoder,
    /// The update that the last chunk didn't end.
    begun: Option<PartialUpdate>,
    /// The update that has begun while the tool's own isn't whole.
    ahead: Option<PartialUpdate>,
    /// Where JPEG files begin in the chunk that is being made.
    incompressible_from: Option<usize>,
}

/// What the client understands, and what it has been told of ours.
#[derive(Debug, Default)]
struct Known {
    copy_rect: bool,
    /// Tight's JPEG rectangles; of Tight nothing else is sent.
    jpeg: bool,
    last_rect: bool,
    cursor: bool,
    pointer_pos: bool,
    desktop_size: bool,
    extended_desktop_size: bool,
    /// Has been told that we understand fences.
    fence: bool,
    /// Has been told that we understand continuous updates.
    continuous: bool,
    confirmed: Vec<i32>,
}

impl Updater {
    /// A client that was told this size in ServerInit and has seen nothing yet.
    #[must_use]
    pub fn new(width: u16, height: u16) -> Self {
        Self {
            size: (width, height),
            fresh: true,
            known: Known::default(),
            confirm: Vec::new(),
            out_of_band: VecDeque::new(),
            requested: None,
            lost: None,
            layout_due: false,
            layout: 0,
            continuous: None,
            congestion: CongestionControl::default(),
            scheduler: Scheduler::default(),
            cursor: 0,
            pointer: 0,
            client_framebuffer: None,
            copy_detector: CopyDetector::default(),
            video: VideoRegions::new(width, height),
            film_next: false,
            jpeg_scheduler: Scheduler::default(),
            hurried: 0,
            unhurried: 0,
            jpeg: JpegEncoder::default(),
            begun: None,
            ahead: None,
            incompressible_from: None,
        }
    }

    /// The client's list. Every extension in it is confirmed to the client, so leave out what the
    /// session doesn't support. Continuous updates count only together with fences, which pace them.
    pub fn set_encodings(&mut self, encodings: &[i32]) {
        let has = |encoding| encodings.contains(&encoding);
        let known = &mut self.known;
        known.copy_rect = has(encoding::COPY_RECT);
        if !known.copy_rect {
            self.client_framebuffer = None;
        }
        known.jpeg = has(encoding::TIGHT);
        known.last_rect = has(encoding::LAST_RECT);
        if has(encoding::CURSOR) && !known.cursor {
            self.cursor = 0;
        }
        known.cursor = has(encoding::CURSOR);
        known.pointer_pos = has(encoding::POINTER_POS);
        known.desktop_size = has(encoding::DESKTOP_SIZE);
        known.extended_desktop_size = has(encoding::EXTENDED_DESKTOP_SIZE);
        for extension in [
            encoding::QEMU_EXTENDED_KEY,
            encoding::EXTENDED_MOUSE_BUTTONS,
        ] {
            if has(extension) && !known.confirmed.contains(&extension) {
                known.confirmed.push(extension);
                self.confirm.push(extension);
            }
        }
        if has(encoding::FENCE) && !known.fence {
            known.fence = true;
            self.out_of_band.push_back(own_fence(0));
        }
        if has(encoding::CONTINUOUS_UPDATES) && known.fence && !known.continuous {
            known.continuous = true;
            self.out_of_band
                .push_back(OutOfBand::EndOfContinuousUpdates);
        }
    }

    /// The client asks for an update; the area is clipped when the update is made. Not incremental:
    /// the client has lost that area. Several requests are answered by one update.
    pub fn request(&mut self, incremental: bool, rect: Rect) {
        if incremental && self.continuous.is_some() {
            return;
        }
        self.requested = Some(around(self.requested, rect));
        if !incremental {
            self.lost = Some(around(self.lost, rect));
            self.layout_due = true;
        }
    }

    /// The client turns continuous updates on (of this area) or off. On counts only when they have
    /// been confirmed to it.
    pub fn continuous(&mut self, enable: bool, rect: Rect) {
        if enable {
            self.continuous = self.known.continuous.then_some(rect);
            return;
        }
        self.continuous = None;
        if self.out_of_band.back() != Some(&OutOfBand::EndOfContinuousUpdates) {
            self.out_of_band
                .push_back(OutOfBand::EndOfContinuousUpdates);
        }
    }

    /// A fence from the client: a question, which the next chunk answers, or the answer to one of ours. `now` counts
    /// from any moment that stays the same.
    ///
    /// # Errors
    /// Too many questions at once; end the session.
    pub fn client_fence(
        &mut self,
        flags: u32,
        payload: &[u8],
        now: Duration,
    ) -> Result<(), UpdateError> {
        if flags & fence_flags::REQUEST == 0 {
            if let Some(number) = own_fence_number(payload) {
                self.congestion.on_ack(number, now);
            }
            return Ok(());
        }
        self.answer(OutOfBand::Fence {
            flags: flags & fence_flags::SUPPORTED,
            payload: payload.to_vec(),
        })
    }

    /// The last chunk has left, as so many bytes on the line, whose round trip is known or not. From this and the answers
    /// to our fences comes how much may be on its way; a client whose chunks' leaving is never told gets little at a time.
    pub fn left(&mut self, bytes: usize, round_trip: Option<Duration>, now: Duration) {
        if self.is_inside() || self.is_ahead() {
            self.congestion.on_part_written(bytes);
        } else {
            self.congestion.on_written(bytes, round_trip, now);
        }
    }

    /// Answers a SetDesktopSize of the client: 0 done (call it after the resize), 1 forbidden, 2 out
    /// of resources, 3 invalid layout.
    ///
    /// # Errors
    /// Too many of them at once; end the session.
    pub fn desktop_size_answer(&mut self, status: u16) -> Result<(), UpdateError> {
        self.answer(OutOfBand::DesktopSize { status })
    }

    fn answer(&mut self, message: OutOfBand) -> Result<(), UpdateError> {
        if self.out_of_band.len() >= MAX_PENDING {
            return Err(UpdateError::TooManyUnanswered);
        }
        self.out_of_band.push_back(message);
        Ok(())
    }

    /// Whether an update could be sent now, if there were anything new: the moment to ask a tool for one.
    #[must_use]
    pub fn wants_update(&self) -> bool {
        !self.is_inside() && (self.has_credit() || self.may_hurry())
    }

    fn has_credit(&self) -> bool {
        self.requested.is_some() || self.streams()
    }

    /// Whether the last chunk has begun an update that it didn't end. The screen should stay as it is until
    /// [`next`](Self::next) has given the rest: or the client sees parts of two states.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        self.begun.is_some()
    }

    /// Continuous updates are on, and the client keeps up with them.
    fn streams(&self) -> bool {
        self.continuous.is_some() && self.congestion.has_credit()
    }

    /// The next chunk: whole server messages, the last of which may be an update whose rest comes with the chunks after
    /// this one (see [`is_inside`](Self::is_inside)). `None` when there is nothing to say or no credit to say it (an
    /// update request, or continuous updates and room on the line).
    /// Call it when the link has credit, after every event, until it returns `None`.
    pub fn next(&mut self, framebuffer: &mut Framebuffer, now: Duration) -> Option<EncodedChunk> {
        let mut out = Vec::new();
        if let Some(update) = self.begun.take() {
            self.go_on(update, framebuffer, &mut out);
        } else {
            self.begin(framebuffer, now, &mut out);
        }
        (!out.is_empty()).then(|| self.chunk(out))
    }

    fn chunk(&mut self, bytes: Vec<u8>) -> EncodedChunk {
        let incompressible_from = self.incompressible_from.take().unwrap_or(bytes.len());
        EncodedChunk {
            bytes,
            incompressible_from,
        }
    }

    /// What there is to say, and as much of an update as a chunk may hold.
    fn begin(&mut self, framebuffer: &mut Framebuffer, now: Duration, out: &mut Vec<u8>) {
        if let Some(ahead) = self.ahead.take() {
            return self.catch_up(ahead, framebuffer, now, out);
        }
        if std::mem::take(&mut self.fresh) {
            self.client_framebuffer = None;
            framebuffer.damage_all();
        }
        while let Some(message) = self.out_of_band.pop_front() {
            self.say(message, framebuffer, out);
        }
        let update = if self.has_credit() {
            let (area, fenced) = (self.area(), self.streams());
            let told = self.tell_layout(framebuffer, out);
            let update = self.show(area, None, framebuffer, now, out);
            let update = update.or(told.then(PartialUpdate::default));
            update.map(|update| {
                self.requested = None;
                PartialUpdate { fenced, ..update }
            })
        } else {
            self.hurry(framebuffer, out)
        };
        if let Some(update) = update {
            self.go_on(update, framebuffer, out);
        }
    }

    /// More of the update, and behind the last of it a fence, if updates follow each other.
    fn go_on(
        &mut self,
        mut update: PartialUpdate,
        framebuffer: &mut Framebuffer,
        out: &mut Vec<u8>,
    ) {
        let bounds = framebuffer.bounds();
        self.client_framebuffer
            .take_if(|client| client.bounds() != bounds);
        // Nothing is left of it where the screen has shrunk meanwhile, but it was counted.
        let left = |rect: Rect| rect.intersection(&bounds).unwrap_or_default();
        let before = update.jpeg_bytes;
        while let Some(rect) = update.jpeg_rects.pop_front() {
            update.jpeg_bytes += self.put_film(left(rect), framebuffer, out);
            if update.jpeg_bytes - before >= JPEG_CHUNK_BYTES && !update.jpeg_rects.is_empty() {
                return self.stop_for_now(update, out);
            }
        }
        if update.jpeg_bytes > before && !update.raw_rects.is_empty() {
            return self.stop_for_now(update, out);
        }
        while let Some(rect) = update.raw_rects.pop_front() {
            self.put(&[left(rect)], framebuffer, out);
            let next = update.raw_rects.front().map_or(0, |rect| rect.area() * 4);
            if next > 0 && out.len() + next > RAW_CHUNK_BYTES && update.fenced {
                return self.stop_for_now(update, out);
            }
        }
        let knows = self.client_framebuffer.is_some()
            || !(self.known.copy_rect && update.covers_framebuffer);
        if !knows && framebuffer.damage().rects(bounds).is_empty() {
            self.client_framebuffer = Some(ClientFramebuffer::all_of(framebuffer));
        }
        if update.open {
            server::last_rect(out);
        }
        if update.fenced {
            let whole = update.bytes + out.len();
            let fence = own_fence(self.congestion.on_sent(
                whole,
                update.jpeg_bytes,
                update.window_limited,
            ));
            self.say(fence, framebuffer, out);
        }
    }

    fn stop_for_now(&mut self, mut update: PartialUpdate, out: &[u8]) {
        update.bytes += out.len();
        self.begun = Some(update);
    }

    /// When [`next`](Self::next) may have something although nothing happens: what stood still goes from JPEG to what it
    /// is.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.video.refresh_at().filter(|_| self.wants_update())
    }

    fn say(&mut self, message: OutOfBand, framebuffer: &mut Framebuffer, out: &mut Vec<u8>) {
        match message {
            OutOfBand::Fence { flags, payload } => server::fence(out, flags, &payload),
            OutOfBand::EndOfContinuousUpdates => server::end_of_continuous_updates(out),
            OutOfBand::DesktopSize { status } if self.known.extended_desktop_size => {
                server::update_start(out, Some(1));
                layout::put(out, 1, status, framebuffer);
                // after a refusal the client ignores the size, so that a change is still to be told
                if status == 0 {
                    self.layout = framebuffer.layout_version();
                    self.follow_size(framebuffer);
                }
            }
            OutOfBand::DesktopSize { .. } => {}
        }
    }

    /// What the client may be sent now.
    fn area(&self) -> Rect {
        let streamed = self.continuous.filter(|_| self.streams());
        let requested = self.requested.unwrap_or_default();
        around(streamed, requested)
    }

    /// What an update may hold: continuous ones keep to what the line takes.
    fn budget(&self) -> Budget {
        let most = Budget {
            pixels: MAX_UPDATE_PIXELS,
            jpeg: MAX_UPDATE_PIXELS,
        };
        let paced = self.streams().then(|| self.congestion.budget().min(most));
        paced.unwrap_or(most)
    }

    /// An update with the pointer's shape and place, the moves, and then as many of the damaged pixels in
    /// `area` as it may hold, but for its film; behind what of it has gone ahead. `None` without anything to show.
    fn show(
        &mut self,
        area: Rect,
        ahead: Option<PartialUpdate>,
        framebuffer: &mut Framebuffer,
        now: Duration,
        out: &mut Vec<u8>,
    ) -> Option<PartialUpdate> {
        let bounds = Rect::new(0, 0, self.size.0, self.size.1);
        if let Some(lost) = self.lost.take() {
            framebuffer.convert_copies_to_damage();
            let lost = lost.intersection(&bounds).unwrap_or_default();
            framebuffer.damage().add(lost);
            self.client_framebuffer = None;
        }
        let area = area.intersection(&bounds).unwrap_or_default();
        let whole = area == bounds && bounds == framebuffer.bounds();
        self.client_framebuffer
            .take_if(|client| client.bounds() != framebuffer.bounds());
        self.video
            .record_changes(&framebuffer.damage().rects(area), now);
        let scenes = self.scenes(whole, framebuffer);
        let moves = self.moves(whole, framebuffer);
        let cursor = self.known.cursor && self.cursor != framebuffer.cursor_version();
        let cursor = framebuffer.cursor().filter(|_| cursor).cloned();
        let used = cursor
            .as_ref()
            .map_or(0, |cursor| cursor.pixels.len() + cursor.mask.len());
        let budget = self.budget().without(used);
        let mut changed = framebuffer.damage().rects(area);
        if scenes.is_empty() && changed.is_empty() && moves.is_empty() && cursor.is_none() {
            changed = self.rested(area, framebuffer, now);
        }
        let Chosen { rects, films, cut } = self.choose(changed, &scenes, budget);
        let rects = if self.streams() {
            split_for_chunks(rects)
        } else {
            rects
        };
        let place = self.news_of_pointer(framebuffer);
        let count = usize::from(cursor.is_some())
            + usize::from(place.is_some())
            + moves.len()
            + rects.len()
            + films.len();
        if count == 0 {
            return ahead;
        }
        let update = ahead.unwrap_or_else(|| {
            server::update_start(out, Some(count as u16));
            PartialUpdate::default()
        });
        if let Some(cursor) = cursor {
            server::cursor(out, &cursor);
            self.cursor = framebuffer.cursor_version();
        }
        if let Some(place) = place {
            server::pointer_pos(out, place);
        }
        for copy in moves {
            server::copy_rect(out, copy.rect, copy.from);
        }
        scenes
            .iter()
            .for_each(|scene| framebuffer.damage().add(*scene));
        let (soon, rects) = if rects.iter().map(raw_bytes).sum::<usize>() <= MAX_RAW_BEFORE_JPEG {
            (rects, Vec::new())
        } else {
            (Vec::new(), rects)
        };
        self.put(&soon, framebuffer, out);
        if !cut {
            self.hurried = 0;
        }
        Some(PartialUpdate {
            jpeg_rects: films.into(),
            raw_rects: rects.into(),
            window_limited: cut,
            covers_framebuffer: whole,
            ..update
        })
    }

    /// What of the changes and of the film has room. Both together, or the picture would be torn between them; in turns
    /// where one fills the line.
    fn choose(&mut self, changed: Vec<Rect>, scenes: &[Rect], budget: Budget) -> Chosen {
        let split = |selection: Selection| (selection.rects, !selection.is_complete);
        let film_first = !scenes.is_empty() && (changed.is_empty() || self.film_next);
        let (rects, changes_wait) = if film_first {
            (Vec::new(), !changed.is_empty())
        } else {
            split(self.scheduler.select(changed, budget.pixels))
        };
        let (films, film_waits) = if film_first || !changes_wait {
            split(self.jpeg_scheduler.select(scenes.to_vec(), budget.jpeg))
        } else {
            (Vec::new(), !scenes.is_empty())
        };
        self.film_next = films.is_empty() && film_waits;
        Chosen {
            rects,
            films,
            cut: changes_wait || film_waits,
        }
    }

    /// Pixels as they are, which the client has from now on.
    fn put(&mut self, rects: &[Rect], framebuffer: &mut Framebuffer, out: &mut Vec<u8>) {
        out.reserve(rects.iter().map(raw_bytes).sum::<usize>() + rects.len() * 12);
        let stride = usize::from(framebuffer.width()) * 4;
        for rect in rects {
            server::raw_from(out, *rect, framebuffer.pixels(), stride);
            self.video.mark_exact(*rect);
            self.has_got(*rect, framebuffer);
        }
    }

    /// Pixels that the client has nearly from now on, unless there is no JPEG of them; bytes of the file.
    fn put_film(&mut self, rect: Rect, framebuffer: &mut Framebuffer, out: &mut Vec<u8>) -> usize {
        let Some(bytes) = self.put_jpeg(rect, framebuffer, out) else {
            self.put(&[rect], framebuffer, out);
            return 0;
        };
        self.video.mark_lossy(rect);
        match &mut self.client_framebuffer {
            Some(client) if self.video.is_all_video(rect) => {
                framebuffer.damage().remove(rect);
                client.invalidate(rect);
            }
            _ => self.has_got(rect, framebuffer),
        }
        bytes
    }

    fn has_got(&mut self, rect: Rect, framebuffer: &mut Framebuffer) {
        framebuffer.damage().remove(rect);
        if let Some(client) = &mut self.client_framebuffer {
            client.update_from(rect, framebuffer);
        }
    }

    /// Bytes of the file; `None` where there is no JPEG.
    fn put_jpeg(
        &mut self,
        rect: Rect,
        framebuffer: &Framebuffer,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let (quality, start) = (self.congestion.jpeg_quality(), out.len());
        let stride = usize::from(framebuffer.width()) * 4;
        let file = self
            .jpeg
            .encode(framebuffer.pixels(), stride, rect, quality);
        let file = file.ok().filter(|file| server::jpeg(out, rect, file))?;
        self.incompressible_from.get_or_insert(start);
        self.congestion.on_jpeg_encoded(rect.area(), file.len());
        Some(file.len())
    }

    /// The film that has changed, taken out of the damage; whoever calls this puts back what isn't sent.
    fn scenes(&mut self, whole: bool, framebuffer: &mut Framebuffer) -> Vec<Rect> {
        if !(self.known.jpeg && whole) {
            return Vec::new();
        }
        let candidates = if self.streams() && self.congestion.is_slow() {
            JpegCandidates::VideoAndStills
        } else {
            JpegCandidates::Video
        };
        let bounds = framebuffer.bounds();
        let damaged = framebuffer.damage().rects(bounds);
        let scenes = self.video.jpeg_rects(&damaged, candidates, framebuffer);
        for scene in &scenes {
            framebuffer.damage().remove(*scene);
        }
        scenes
    }

    /// What of a film has come to rest, inside `area`. The screen may be smaller than the client knows.
    fn rested(&mut self, area: Rect, framebuffer: &Framebuffer, now: Duration) -> Vec<Rect> {
        let area = area.intersection(&framebuffer.bounds()).unwrap_or_default();
        let rested = self.video.due_refresh(now).into_iter();
        let rested: Vec<Rect> = rested.filter_map(|rect| rect.intersection(&area)).collect();
        if rested.is_empty() {
            self.video.defer_refresh(now);
        }
        rested
    }

    /// The moves that the client has to make before it gets pixels, if it can make any: the tool's,
    /// then those that are found.
    fn moves(&mut self, whole: bool, framebuffer: &mut Framebuffer) -> Vec<CopyRect> {
        if !(self.known.copy_rect && whole) {
            framebuffer.convert_copies_to_damage();
            return Vec::new();
        }
        let mut moves = framebuffer.take_pending_copies();
        if let Some(client) = &mut self.client_framebuffer {
            moves.iter().for_each(|copy| client.apply_copy(*copy));
            let bounds = framebuffer.bounds();
            let damaged = framebuffer.damage().rects(bounds);
            moves.extend(self.copy_detector.detect(client, framebuffer, &damaged));
        }
        for CopyRect { rect, from } in &moves {
            self.video.apply_copy(*rect, *from);
        }
        moves
    }

    /// Where the pointer is, when the client doesn't know.
    fn news_of_pointer(&mut self, framebuffer: &Framebuffer) -> Option<(u16, u16)> {
        let (place, number) = framebuffer.pointer();
        let before = std::mem::replace(&mut self.pointer, number);
        place.filter(|_| self.known.pointer_pos && before != number)
    }
}

/// What an update will hold: pixels as they are, and as JPEG; and whether something must wait.
struct Chosen {
    rects: Vec<Rect>,
    films: Vec<Rect>,
    cut: bool,
}

fn around(area: Option<Rect>, rect: Rect) -> Rect {
    area.map_or(rect, |area| area.union(&rect))
}
