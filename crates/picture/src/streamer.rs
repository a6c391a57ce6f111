//! Decides when a chunk goes to the link, when the source is asked for more, and when it is held.
//!
//! Three rules. The latest state wins: changes gather in the framebuffer while the link is busy,
//! and nothing is requested from the source while something waits. An update shows one frame: the
//! source is held while the client has a part of one, but not for longer than [`MAX_FRAME_HOLD`]. A
//! video frame starts early: while the source is inside an update, its complete blocks may go
//! ahead.
//!
//! Sockets and clock belong to the caller, who reports what happens and calls [`Streamer::drive`]
//! after every event.

use crate::encoded_chunk::EncodedChunk;
use crate::framebuffer::Framebuffer;
use crate::updater::Updater;
use etatuki_rfb::encode::server;
use etatuki_rfb::{PixelFormat, ServerInit};
use std::time::Duration;

/// Time for which the source may be held so that an update in several chunks shows one frame: 1 s.
/// A video frame takes some milliseconds, and a torn picture does less harm than a source that
/// nobody reads.
pub const MAX_FRAME_HOLD: Duration = Duration::from_secs(1);

/// The source of a picture, as it is now.
#[derive(Debug)]
pub struct Source<'a> {
    /// The pixels that the source has drawn so far.
    pub framebuffer: &'a mut Framebuffer,
    /// Whether the framebuffer shows a whole frame.
    pub state: SourceState,
    /// Pixels have come since the framebuffer got its size. Before that it shows our own black.
    pub has_pixels: bool,
}

/// Whether a source's framebuffer shows a whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// It does: the last update is complete.
    BetweenUpdates,
    /// It may not: an update has begun.
    MidUpdate,
}

/// The outcome of [`Streamer::drive`].
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// The chunk to be given to the link.
    pub chunk: Option<EncodedChunk>,
    /// Whether the source is to be asked for another update, unless it has been already.
    pub request_more: bool,
}

/// The picture's way from one source to one client.
#[derive(Debug)]
pub struct Streamer {
    desktop_name: &'static str,
    /// `None` until ServerInit has been sent.
    updater: Option<Updater>,
    /// The framebuffer has changes that may not have been sent.
    has_changes: bool,
    hold: FrameHold,
    client_gone: bool,
}

/// The time since which the source has been held.
#[derive(Debug, Default)]
struct FrameHold(Option<Duration>);

impl FrameHold {
    /// Begins or ends the hold. A hold that goes on isn't prolonged.
    fn set(&mut self, held: bool, now: Duration) {
        self.0 = held.then(|| self.0.unwrap_or(now));
    }

    /// Returns when the hold ends; `None` if there is none, or not any longer.
    fn ends_at(&self, now: Duration) -> Option<Duration> {
        let ends_at = self.0.map(|since| since + MAX_FRAME_HOLD);
        ends_at.filter(|ends_at| now < *ends_at)
    }
}

impl Streamer {
    /// Creates a streamer for a client that knows of nothing yet; it will be told this name in
    /// ServerInit.
    #[must_use]
    pub fn new(desktop_name: &'static str) -> Self {
        Self {
            desktop_name,
            updater: None,
            has_changes: false,
            hold: FrameHold::default(),
            client_gone: false,
        }
    }

    /// Returns the client's state, for its messages. `None` until ServerInit has been sent: before
    /// that, no message makes sense.
    pub fn updater(&mut self) -> Option<&mut Updater> {
        self.updater.as_mut()
    }

    /// Returns the oldest update on its way; see [`Updater::oldest_unacknowledged`].
    #[must_use]
    pub fn oldest_unacknowledged(&self) -> Option<u32> {
        self.updater.as_ref()?.oldest_unacknowledged()
    }

    /// Takes note that the source completed an update that changed something.
    pub fn on_source_changed(&mut self) {
        self.has_changes = true;
    }

    /// Takes note of a key or a pointer event of the client; to be called before the source gets
    /// it.
    pub fn on_input(&mut self, framebuffer: &Framebuffer) {
        if let Some(updater) = &mut self.updater {
            updater.on_input(framebuffer);
        }
    }

    /// Takes note that the last chunk has been written to the link; see [`Updater::on_written`].
    pub fn on_written(&mut self, bytes: usize, round_trip: Option<Duration>, now: Duration) {
        if let Some(updater) = &mut self.updater {
            updater.on_written(bytes, round_trip, now);
        }
    }

    /// Takes note that the client is gone: the source isn't held for it any longer.
    pub fn on_client_gone(&mut self) {
        self.client_gone = true;
    }

    /// Does the next step after an event. `source` is `None` while there is no framebuffer;
    /// `outbox_idle` says that the link would take a chunk now.
    pub fn drive(
        &mut self,
        mut source: Option<Source<'_>>,
        outbox_idle: bool,
        now: Duration,
    ) -> Step {
        let source = source.as_mut().filter(|_| outbox_idle);
        let chunk = source.and_then(|source| match source.state {
            SourceState::BetweenUpdates => self.next_chunk(source, now),
            SourceState::MidUpdate => self.early_chunk(source, now),
        });
        let outbox_idle = outbox_idle && chunk.is_none();
        self.hold.set(self.is_frame_incomplete(outbox_idle), now);
        let wants_update = self.updater.as_ref().is_some_and(Updater::wants_update);
        let has_credit = outbox_idle && wants_update;
        Step {
            chunk,
            request_more: has_credit || !(self.has_changes || self.holds_source(now)),
        }
    }

    fn next_chunk(&mut self, source: &mut Source<'_>, now: Duration) -> Option<EncodedChunk> {
        let Some(updater) = &mut self.updater else {
            return Some(self.server_init(source.framebuffer));
        };
        if !source.has_pixels {
            return None;
        }
        self.has_changes &= !updater.wants_update();
        updater.next_chunk(source.framebuffer, now)
    }

    fn early_chunk(&mut self, source: &mut Source<'_>, now: Duration) -> Option<EncodedChunk> {
        let updater = self.updater.as_mut().filter(|_| source.has_pixels)?;
        updater.start_early(source.framebuffer, now)
    }

    fn server_init(&mut self, framebuffer: &Framebuffer) -> EncodedChunk {
        let (width, height) = (framebuffer.width(), framebuffer.height());
        self.updater = Some(Updater::new(width, height));
        let init = ServerInit {
            width,
            height,
            format: PixelFormat::BGRX,
            name: self.desktop_name.to_owned(),
        };
        let mut bytes = Vec::new();
        server::server_init(&mut bytes, &init);
        EncodedChunk {
            incompressible_from: bytes.len(),
            bytes,
        }
    }

    /// Returns whether the client has a part of a frame whose rest would change with the
    /// framebuffer. A frame that started early needs the source's rest, so it is only held until
    /// its chunk has left.
    fn is_frame_incomplete(&self, outbox_idle: bool) -> bool {
        self.updater.as_ref().is_some_and(|updater| {
            updater.is_mid_update() || (updater.has_started_early() && !outbox_idle)
        })
    }

    /// Returns whether the source must not be read: the client has got a part of an update, less
    /// than [`MAX_FRAME_HOLD`] ago.
    #[must_use]
    pub fn holds_source(&self, now: Duration) -> bool {
        !self.client_gone && self.hold.ends_at(now).is_some()
    }

    /// Returns whether a part of an update has been given to the link, and the rest is still to be
    /// made: the moment to let the link send it.
    #[must_use]
    pub fn should_yield(&self, now: Duration) -> bool {
        let has_started_early = self
            .updater
            .as_ref()
            .is_some_and(Updater::has_started_early);
        self.holds_source(now) || has_started_early
    }

    /// Returns when [`drive`](Self::drive) is to be called although nothing happens: a lossless
    /// refresh is due, which can't go before the source's update is complete and the link idle; or
    /// a hold ends.
    #[must_use]
    pub fn wake_at(
        &self,
        source: SourceState,
        outbox_idle: bool,
        now: Duration,
    ) -> Option<Duration> {
        let refresh_at = self.updater.as_ref().and_then(Updater::wake_at);
        let may_send = source == SourceState::BetweenUpdates && outbox_idle;
        let refresh_at = refresh_at.filter(|_| may_send);
        refresh_at.into_iter().chain(self.hold.ends_at(now)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tool_isnt_kept_waiting_for_ever() {
        let (began, mut hold) = (Duration::from_secs(5), FrameHold::default());
        let after = |part: u32| began + MAX_FRAME_HOLD * part / 4;
        hold.set(false, began);
        assert_eq!(hold.ends_at(began), None);
        // A stuck update is looked at again and again, and that doesn't prolong it.
        for part in 0..6 {
            hold.set(true, after(part));
            let ends_at = (part < 4).then_some(after(4));
            assert_eq!(hold.ends_at(after(part)), ends_at);
        }
        hold.set(false, after(6));
        hold.set(true, after(7));
        assert_eq!(hold.ends_at(after(7)), Some(after(11)));
    }
}
