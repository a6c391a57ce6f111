//! The state of one client: its encodings, its requests, its credit, and the update that it is
//! being sent.
//!
//! This file takes in what the client says. [`select`] decides what the next update holds,
//! [`builder`] writes it. [`early_start`] and [`priority`] are the two ways around the usual order,
//! [`layout`] announces sizes.

use crate::chunked_update::PartialUpdate;
use crate::client_framebuffer::ClientFramebuffer;
use crate::congestion::{Budget, CongestionControl};
use crate::copy_detector::CopyDetector;
use crate::encoded_chunk::EncodedChunk;
use crate::framebuffer::Framebuffer;
use crate::jpeg::JpegEncoder;
use crate::out_of_band::{MAX_OUT_OF_BAND, OutOfBand, own_fence, own_fence_number};
use crate::scheduler::Scheduler;
use crate::video::VideoRegions;
use builder::UpdateBuilder;
use encodings::ClientEncodings;
use etatuki_rfb::encode::fence_flags;
use etatuki_rfb::{Rect, encoding};
use std::collections::VecDeque;
use std::time::Duration;

mod builder;
mod early_start;
mod encodings;
mod layout;
mod priority;
mod select;

/// Maximum bytes of pixels in one update: 8 MiB; the rest comes with the next one. A chunk that
/// [`Updater::next_chunk`] returns is at most 64 KiB longer.
pub const MAX_UPDATE_PIXELS: usize = 8 << 20;

/// The client asked for more than it may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// Too many fences or SetDesktopSize messages whose answers the client hasn't read.
    #[error("the client asked {MAX_OUT_OF_BAND} times without reading an answer")]
    TooManyUnanswered,
}

/// One client's view of a [`Framebuffer`], and the updates that bring it up to date. It paints no
/// pointer: a client without the Cursor encoding sees none.
#[derive(Debug)]
pub struct Updater {
    /// Framebuffer size as the client knows it.
    client_size: (u16, u16),
    /// Nothing has been sent yet: all of the framebuffer is new to the client.
    needs_full_update: bool,
    encodings: ClientEncodings,
    out_of_band: VecDeque<OutOfBand>,
    /// Area of the open FramebufferUpdateRequest; not clipped, perhaps empty.
    requested: Option<Rect>,
    /// Area that the client has lost and asked for again.
    invalidated: Option<Rect>,
    /// Area of continuous updates, while they are enabled.
    continuous: Option<Rect>,
    /// The client wants to be told the layout, although it hasn't changed.
    layout_requested: bool,
    /// [`Framebuffer::layout_version`] that the client knows.
    layout_version: u64,
    /// [`Framebuffer::cursor_version`] that the client has.
    cursor_version: u64,
    /// Version of the pointer's position that the client knows.
    pointer_version: u64,
    congestion: CongestionControl,
    raw_scheduler: Scheduler,
    jpeg_scheduler: Scheduler,
    turn: Turn,
    /// The client's pixels; known only for a client with CopyRect, from the first moment at which
    /// it had everything.
    client_framebuffer: Option<ClientFramebuffer>,
    copy_detector: CopyDetector,
    video: VideoRegions,
    /// Priority updates left for the last input event.
    priority_left: u8,
    /// [`Framebuffer::change_count`] at that event; only newer changes may use them.
    priority_baseline: u64,
    jpeg_encoder: JpegEncoder,
    state: UpdateState,
}

/// Whether an update is under way.
#[derive(Debug, Default)]
enum UpdateState {
    /// The last chunk ended its update, or there was none.
    #[default]
    Between,
    /// The last chunk ended inside an update whose contents are selected.
    Mid(PartialUpdate),
    /// An update of video began while the source's own update wasn't complete; the rest is to be
    /// selected.
    StartedEarly(PartialUpdate),
}

/// The one that goes first where video fills the link and other pixels have changed too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Raw,
    Jpeg,
}

impl Updater {
    /// Creates the state of a client that was told this size in ServerInit, and nothing else yet.
    #[must_use]
    pub fn new(width: u16, height: u16) -> Self {
        Self {
            client_size: (width, height),
            needs_full_update: true,
            encodings: ClientEncodings::default(),
            out_of_band: VecDeque::new(),
            requested: None,
            invalidated: None,
            continuous: None,
            layout_requested: false,
            layout_version: 0,
            cursor_version: 0,
            pointer_version: 0,
            congestion: CongestionControl::default(),
            raw_scheduler: Scheduler::default(),
            jpeg_scheduler: Scheduler::default(),
            turn: Turn::Raw,
            client_framebuffer: None,
            copy_detector: CopyDetector::default(),
            video: VideoRegions::new(width, height),
            priority_left: 0,
            priority_baseline: 0,
            jpeg_encoder: JpegEncoder::default(),
            state: UpdateState::Between,
        }
    }

    /// Takes in SetEncodings. Every extension in the list is confirmed to the client, so the caller
    /// leaves out what the session doesn't support. Continuous updates count only together with
    /// fences, which pace them.
    pub fn set_encodings(&mut self, list: &[i32]) {
        let had_cursor = self.encodings.supports(encoding::CURSOR);
        self.encodings.set(list);
        if !self.encodings.supports(encoding::COPY_RECT) {
            self.client_framebuffer = None;
        }
        if self.encodings.supports(encoding::CURSOR) && !had_cursor {
            self.cursor_version = 0;
        }
        if self.encodings.announce(encoding::FENCE) {
            self.out_of_band.push_back(own_fence(0));
        }
        if self.encodings.has_announced(encoding::FENCE)
            && self.encodings.announce(encoding::CONTINUOUS_UPDATES)
        {
            self.out_of_band
                .push_back(OutOfBand::EndOfContinuousUpdates);
        }
    }

    /// Takes in FramebufferUpdateRequest; the area is clipped when the update is made. A request
    /// that isn't incremental says that the client has lost the area. One update answers several
    /// requests.
    pub fn request(&mut self, incremental: bool, rect: Rect) {
        if incremental && self.continuous.is_some() {
            return;
        }
        self.requested = Some(bounding(self.requested, rect));
        if !incremental {
            self.invalidated = Some(bounding(self.invalidated, rect));
            self.layout_requested = true;
        }
    }

    /// Takes in EnableContinuousUpdates. To enable them counts only once the client has been told
    /// of the extension.
    pub fn enable_continuous_updates(&mut self, enable: bool, rect: Rect) {
        if enable {
            let announced = self.encodings.has_announced(encoding::CONTINUOUS_UPDATES);
            self.continuous = announced.then_some(rect);
            return;
        }
        self.continuous = None;
        if self.out_of_band.back() != Some(&OutOfBand::EndOfContinuousUpdates) {
            self.out_of_band
                .push_back(OutOfBand::EndOfContinuousUpdates);
        }
    }

    /// Takes in a fence: a request, which the next chunk answers, or the acknowledgement of one of
    /// ours. `now` counts from any fixed moment.
    ///
    /// # Errors
    /// Too many requests without reading the answers; end the session.
    pub fn on_fence(
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
        self.push_out_of_band(OutOfBand::Fence {
            flags: flags & fence_flags::SUPPORTED,
            payload: payload.to_vec(),
        })
    }

    /// Answers SetDesktopSize: 0 done (to be called after the resize), 1 forbidden, 2 out of
    /// resources, 3 invalid layout.
    ///
    /// # Errors
    /// Too many of them without reading the answers; end the session.
    pub fn answer_set_desktop_size(&mut self, status: u16) -> Result<(), UpdateError> {
        self.push_out_of_band(OutOfBand::DesktopSize { status })
    }

    fn push_out_of_band(&mut self, message: OutOfBand) -> Result<(), UpdateError> {
        if self.out_of_band.len() >= MAX_OUT_OF_BAND {
            return Err(UpdateError::TooManyUnanswered);
        }
        self.out_of_band.push_back(message);
        Ok(())
    }

    /// Takes note that the last chunk has been written to the link, as `bytes` on the wire;
    /// `round_trip` is the link's own, if known. From this and from the acknowledged fences comes
    /// the congestion window: a client whose chunks are never reported gets little at a time.
    pub fn on_written(&mut self, bytes: usize, round_trip: Option<Duration>, now: Duration) {
        match self.state {
            UpdateState::Between => self.congestion.on_written(bytes, round_trip, now),
            UpdateState::Mid(_) | UpdateState::StartedEarly(_) => {
                self.congestion.on_part_written(bytes);
            }
        }
    }

    /// Returns the next chunk: whole server messages, the last of which may be an update that later
    /// chunks go on with (see [`is_mid_update`](Self::is_mid_update)). `None` if nothing has
    /// changed, or if there is no credit for it (an update request, or continuous updates and room
    /// in the congestion window).
    ///
    /// To be called when the link is idle, after every event, until it returns `None`; and never
    /// while the source is inside an update of its own, for which there is
    /// [`start_early`](Self::start_early).
    pub fn next_chunk(
        &mut self,
        framebuffer: &mut Framebuffer,
        now: Duration,
    ) -> Option<EncodedChunk> {
        UpdateBuilder::new(self, framebuffer, now).next_chunk()
    }

    /// Returns whether an update could be sent now if anything had changed: the moment to request
    /// one from the source.
    #[must_use]
    pub fn wants_update(&self) -> bool {
        !self.is_mid_update() && (self.has_credit() || self.has_priority_credit())
    }

    /// Returns whether the last chunk ended inside an update. The framebuffer should not change
    /// until [`next_chunk`](Self::next_chunk) has returned the rest, or the client sees parts of
    /// two frames.
    #[must_use]
    pub fn is_mid_update(&self) -> bool {
        matches!(self.state, UpdateState::Mid(_))
    }

    /// Returns the number of the oldest update that the client hasn't acknowledged, one that isn't
    /// complete included. `None` if the client has everything that was sent, or acknowledges nothing.
    #[must_use]
    pub fn oldest_unacknowledged(&self) -> Option<u32> {
        let is_partial = !matches!(self.state, UpdateState::Between);
        let partial = is_partial.then(|| self.congestion.next_number());
        self.congestion.oldest_in_flight().or(partial)
    }

    /// Returns the earliest time at which [`next_chunk`](Self::next_chunk) may return something
    /// although nothing happens: the lossless refresh of what went as JPEG. `None` if there is no
    /// refresh due, or no credit.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        self.video.refresh_at().filter(|_| self.wants_update())
    }

    fn has_credit(&self) -> bool {
        self.requested.is_some() || self.has_stream_credit()
    }

    /// Returns whether continuous updates are enabled, and the congestion window has room.
    fn has_stream_credit(&self) -> bool {
        self.continuous.is_some() && self.congestion.has_credit()
    }

    /// Returns the area that may be sent now.
    fn permitted_area(&self) -> Rect {
        let streamed = self.continuous.filter(|_| self.has_stream_credit());
        let requested = self.requested.unwrap_or_default();
        bounding(streamed, requested)
    }

    /// Returns the bytes of pixels that an update may hold; only continuous updates are bound by
    /// the congestion window.
    fn budget(&self) -> Budget {
        let max = Budget {
            raw: MAX_UPDATE_PIXELS,
            jpeg: MAX_UPDATE_PIXELS,
        };
        if self.has_stream_credit() {
            self.congestion.budget().min(max)
        } else {
            max
        }
    }

    fn client_bounds(&self) -> Rect {
        Rect::new(0, 0, self.client_size.0, self.client_size.1)
    }

    /// Forgets the client's pixels if the framebuffer's size has changed since they were known.
    fn drop_resized_client_framebuffer(&mut self, bounds: Rect) {
        self.client_framebuffer
            .take_if(|client| client.bounds() != bounds);
    }
}

fn bounding(area: Option<Rect>, rect: Rect) -> Rect {
    area.map_or(rect, |area| area.union(&rect))
}
