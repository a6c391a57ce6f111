//! A viewer of the updater's output.

use etatuki_picture::{Framebuffer, Updater};
use etatuki_rfb::encode::fence_flags;
use etatuki_rfb::{Rectangle, ServerMessage, ServerParser, encoding};
use std::time::{Duration, Instant};

use crate::{BOUNDS, HEIGHT, STRIDE, WIDTH, rfb};

/// Time for which a video frame is shown.
const FRAME_TIME: Duration = Duration::from_millis(33);

/// A framebuffer, and a client with continuous updates on a link of a gigabit per second, which
/// answers fences.
pub(crate) struct Viewer {
    pub(crate) framebuffer: Framebuffer,
    updater: Updater,
    parser: ServerParser,
    now: Duration,
    /// Copies in the last updates.
    pub(crate) copies: usize,
    /// Pixels that came as JPEG in the last updates.
    pub(crate) jpeg_pixels: usize,
}

impl Viewer {
    /// Returns a viewer that has received this frame.
    pub(crate) fn new(frame: &[u8]) -> Self {
        let mut viewer = Self {
            framebuffer: Framebuffer::new(WIDTH, HEIGHT),
            updater: Updater::new(WIDTH, HEIGHT),
            parser: rfb::server_parser().with_jpeg(),
            now: Duration::ZERO,
            copies: 0,
            jpeg_pixels: 0,
        };
        viewer.updater.set_encodings(&[
            encoding::COPY_RECT,
            encoding::TIGHT,
            encoding::FENCE,
            encoding::CONTINUOUS_UPDATES,
        ]);
        viewer.updater.enable_continuous_updates(true, BOUNDS);
        viewer.draw(frame);
        viewer.drain_updates();
        viewer
    }

    /// Draws a frame into the framebuffer.
    pub(crate) fn draw(&mut self, frame: &[u8]) {
        self.framebuffer.draw(BOUNDS, frame, STRIDE).unwrap();
    }

    /// Receives all updates, one frame time later than before. Returns the time that the updater
    /// takes for them.
    pub(crate) fn drain_updates(&mut self) -> Duration {
        self.now += FRAME_TIME;
        (self.copies, self.jpeg_pixels) = (0, 0);
        let mut took = Duration::ZERO;
        loop {
            let start = Instant::now();
            let chunk = self.updater.next_chunk(&mut self.framebuffer, self.now);
            took += start.elapsed();
            let Some(chunk) = chunk else {
                return took;
            };
            self.updater.on_written(chunk.len(), None, self.now);
            self.now += Duration::from_nanos(chunk.len() as u64 * 8);
            self.parser.push(&chunk);
            while let Some(message) = self.parser.next().unwrap() {
                self.receive(message);
            }
        }
    }

    fn receive(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Fence { flags, payload } => {
                let flags = flags & fence_flags::SUPPORTED;
                let answered = self.updater.on_fence(flags, &payload, self.now);
                answered.unwrap();
            }
            ServerMessage::Rectangle(Rectangle::CopyRect { .. }) => self.copies += 1,
            ServerMessage::Rectangle(Rectangle::Jpeg { rect, .. }) => {
                self.jpeg_pixels += rect.area()
            }
            _ => {}
        }
    }
}
