//! A film's frame that sets out while the tool still tells of it: what is complete of it is made to JPEGs, travels, and is
//! decoded, while the rest comes. The client shows it when the update ends, which is when the tool's own has.

use super::{Updater, around};
use crate::chunked_update::{JPEG_CHUNK_BYTES, PartialUpdate};
use crate::encoded_chunk::EncodedChunk;
use crate::framebuffer::Framebuffer;
use etatuki_rfb::Rect;
use etatuki_rfb::encode::server;
use std::time::Duration;

impl Updater {
    /// What of a film can go while the tool is inside of an update: JPEGs of blocks that have changed wholly, in an update
    /// that [`next`](Self::next) goes on with, and ends, once the tool's is whole. `None` when there are none, or the client
    /// or the line isn't one for it.
    /// Call it when the link has credit, from time to time while the tool's update comes.
    pub fn ahead(&mut self, framebuffer: &mut Framebuffer, now: Duration) -> Option<EncodedChunk> {
        if !self.may_go_ahead(framebuffer) {
            return None;
        }
        let ripe = self.video.complete_blocks(framebuffer, now);
        if ripe.is_empty() {
            return None;
        }
        let mut out = Vec::new();
        let mut update = match self.ahead.take() {
            Some(update) => update,
            None => self.open(framebuffer, &mut out),
        };
        let before = update.jpeg_bytes;
        for rect in ripe {
            update.jpeg_bytes += self.put_film(rect, framebuffer, &mut out);
            self.video.mark_sent_early(rect, now);
            if update.jpeg_bytes - before >= JPEG_CHUNK_BYTES {
                break;
            }
        }
        update.bytes += out.len();
        self.ahead = Some(update);
        Some(self.chunk(out))
    }

    /// Whether an update has begun while the tool's isn't whole.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }

    /// Not where the client has something to hear before, nor where a frame goes in turns with other things.
    fn may_go_ahead(&self, framebuffer: &Framebuffer) -> bool {
        let bounds = framebuffer.bounds();
        let whole = |area: Rect| area.intersection(&bounds) == Some(bounds);
        let knows = self.known.jpeg && self.known.last_rect;
        let free = self.is_ahead() || self.streams();
        knows
            && free
            && !(self.is_inside()
                || self.fresh
                || self.lost.is_some()
                || framebuffer.has_pending_copies())
            && self.continuous.is_some_and(whole)
            && self.stays(framebuffer)
            && !self.congestion.is_slow()
            && self.budget().jpeg >= bounds.area() * 4
    }

    /// Whether the client need not be told of the screen, nor of what we understand, by an update of its own.
    fn stays(&self, framebuffer: &Framebuffer) -> bool {
        let same = framebuffer.bounds() == Rect::new(0, 0, self.size.0, self.size.1);
        same && self.confirm.is_empty() && !self.owes_layout(framebuffer)
    }

    fn open(&mut self, framebuffer: &mut Framebuffer, out: &mut Vec<u8>) -> PartialUpdate {
        while let Some(message) = self.out_of_band.pop_front() {
            self.say(message, framebuffer, out);
        }
        server::update_start(out, None);
        PartialUpdate {
            open: true,
            fenced: true,
            ..PartialUpdate::default()
        }
    }

    /// The rest of what has gone ahead, now that the tool's update is whole. Where the client must be told of something
    /// else first, the update ends without it.
    pub(super) fn catch_up(
        &mut self,
        ahead: PartialUpdate,
        framebuffer: &mut Framebuffer,
        now: Duration,
        out: &mut Vec<u8>,
    ) {
        let mut rest = Some(ahead);
        if self.stays(framebuffer) {
            let area = around(self.continuous, self.requested.take().unwrap_or_default());
            rest = self.show(area, rest, framebuffer, now, out);
        }
        if let Some(rest) = rest {
            self.go_on(rest, framebuffer, out);
        }
    }
}
