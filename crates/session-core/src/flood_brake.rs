//! The brake on a server that floods: messages that are cheap for the server and dear for us cost the
//! server time.

use std::time::Duration;

/// Work for messages that cost the server next to nothing: bells, answers that nobody asked for,
/// updates and rectangles however small, copies, new sizes, texts. Pixels that are sent aren't among
/// them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheapMessages {
    /// Messages, of which each counts 1.
    messages: u32,
    /// Copied pixels, and those that a rectangle counts at least.
    pixels: usize,
}

impl CheapMessages {
    /// Work of a text, beside one for each of its kilobytes.
    const TEXT: usize = 40;
    /// Work of a new size, beside one for each [`SIZE_PIXELS`](Self::SIZE_PIXELS): the framebuffer
    /// is made anew.
    const SIZE: usize = 40;
    /// Pixels of a new size that count 1.
    const SIZE_PIXELS: usize = 64 << 10;
    /// Copied pixels that count 1. A scroll of a whole screen in full HD counts 8, so that 200 a
    /// second are nobody's flood.
    const COPIED_PIXELS: usize = 256 << 10;
    /// Pixels that a rectangle counts, if it copies fewer: 64 rectangles count 1.
    const RECTANGLE: usize = 4096;

    pub(crate) fn add(&mut self, work: usize) {
        let work = u32::try_from(work).unwrap_or(u32::MAX);
        self.messages = self.messages.saturating_add(work);
    }

    pub(crate) fn add_text(&mut self, bytes: usize) {
        self.add(Self::TEXT + bytes / 1024);
    }

    pub(crate) fn add_rectangle(&mut self, copied_pixels: usize) {
        self.pixels = self
            .pixels
            .saturating_add(copied_pixels.max(Self::RECTANGLE));
    }

    pub(crate) fn add_size(&mut self, pixels: usize) {
        self.add(Self::SIZE + pixels / Self::SIZE_PIXELS);
    }

    /// Takes what has come to whole messages; pixels that don't make one stay.
    pub(crate) fn take(&mut self) -> Self {
        let left = self.pixels % Self::COPIED_PIXELS;
        let taken = Self {
            pixels: self.pixels - left,
            ..*self
        };
        *self = Self {
            messages: 0,
            pixels: left,
        };
        taken
    }

    fn work(self) -> u32 {
        let copied = u32::try_from(self.pixels / Self::COPIED_PIXELS).unwrap_or(u32::MAX);
        self.messages.saturating_add(copied)
    }
}

/// Work that may come at once: two texts, say.
const BURST: u32 = 100;
/// Time in which the work of one message is forgotten: 2,000 messages a second in the long run.
const FORGET_INTERVAL: Duration = Duration::from_micros(500);
/// Most work that is remembered, and so the longest pause: 0.2 s. A customer's next click is in
/// what waits meanwhile.
const MAX_REMEMBERED: u32 = 400;

/// The brake (a leaky bucket). Times never go backwards.
#[derive(Debug, Default)]
pub struct FloodBrake {
    level: u32,
    at: Duration,
}

impl FloodBrake {
    /// Adds work. Returns how long nothing of the server's is to be worked off, if there is too much.
    pub fn on_work(&mut self, work: CheapMessages, now: Duration) -> Option<Duration> {
        let passed = now.saturating_sub(self.at).as_micros() / FORGET_INTERVAL.as_micros();
        let forgotten = u32::try_from(passed).unwrap_or(u32::MAX);
        // The rest of an interval counts next time.
        self.at = if forgotten < self.level {
            self.at + FORGET_INTERVAL * forgotten
        } else {
            now
        };
        self.level = self
            .level
            .saturating_sub(forgotten)
            .saturating_add(work.work());
        self.level = self.level.min(MAX_REMEMBERED);
        (self.level > BURST).then(|| FORGET_INTERVAL * self.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bells(messages: u32) -> CheapMessages {
        let pixels = 0;
        CheapMessages { messages, pixels }
    }

    #[test]
    fn a_flood_is_slowed_down_however_it_comes() {
        for at_once in [1, 7, 100_000] {
            let mut brake = FloodBrake::default();
            let (mut now, mut reads) = (Duration::ZERO, 0);
            while now < Duration::from_secs(10) {
                reads += 1;
                now += brake
                    .on_work(bells(at_once), now)
                    .unwrap_or(Duration::from_micros(10));
            }
            assert!(
                reads * at_once.min(MAX_REMEMBERED) < 25_000,
                "{reads} of {at_once}"
            );
        }
    }

    #[test]
    fn a_bell_now_and_then_costs_nothing() {
        let mut brake = FloodBrake::default();
        for second in 0..100 {
            let now = Duration::from_secs(second);
            assert_eq!(brake.on_work(bells(BURST), now), None);
        }
    }
}
