//! Who is shown a screen by the updater.

use etatuki_picture::{Framebuffer, Updater};
use etatuki_rfb::encode::fence_flags;
use etatuki_rfb::{Rectangle, ServerMessage, ServerParser, encoding};
use std::time::{Duration, Instant};

use crate::{BOUNDS, HEIGHT, STRIDE, WIDTH, rfb};

/// How long a frame of a film is shown.
const SHOWN: Duration = Duration::from_millis(33);

/// A screen, and a client with continuous updates on a line of a gigabit a second, which answers fences.
pub(crate) struct Viewer {
    pub(crate) framebuffer: Framebuffer,
    updater: Updater,
    parser: ServerParser,
    now: Duration,
    /// Moves among what it was told last.
    pub(crate) moves: usize,
    /// Pixels of that as JPEG.
    pub(crate) filmed: usize,
}

impl Viewer {
    /// One who has seen this frame.
    pub(crate) fn new(frame: &[u8]) -> Self {
        let mut viewer = Self {
            framebuffer: Framebuffer::new(WIDTH, HEIGHT),
            updater: Updater::new(WIDTH, HEIGHT),
            parser: rfb::server_parser().with_jpeg(),
            now: Duration::ZERO,
            moves: 0,
            filmed: 0,
        };
        viewer.updater.set_encodings(&[
            encoding::COPY_RECT,
            encoding::TIGHT,
            encoding::FENCE,
            encoding::CONTINUOUS_UPDATES,
        ]);
        viewer.updater.enable_continuous_updates(true, BOUNDS);
        viewer.shows(frame);
        viewer.is_told();
        viewer
    }

    /// The screen does.
    pub(crate) fn shows(&mut self, frame: &[u8]) {
        self.framebuffer.draw(BOUNDS, frame, STRIDE).unwrap();
    }

    /// Everything that there is to say, a frame later than before; how long the updater takes to say it.
    pub(crate) fn is_told(&mut self) -> Duration {
        self.now += SHOWN;
        (self.moves, self.filmed) = (0, 0);
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
                self.takes(message);
            }
        }
    }

    fn takes(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Fence { flags, payload } => {
                let flags = flags & fence_flags::SUPPORTED;
                let answered = self.updater.on_fence(flags, &payload, self.now);
                answered.unwrap();
            }
            ServerMessage::Rectangle(Rectangle::CopyRect { .. }) => self.moves += 1,
            ServerMessage::Rectangle(Rectangle::Jpeg { rect, .. }) => self.filmed += rect.area(),
            _ => {}
        }
    }
}
