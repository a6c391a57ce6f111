//! The path of an update: a tool's screen whose things are dragged and scrolled, the launcher's
//! framebuffer and updater, and a client.

use crate::RfbClient;
use etatuki_picture::{Framebuffer, Updater};
use etatuki_rfb::{Rect, Rectangle};
use std::time::Duration;

/// Width of the tool's screen, in pixels.
pub const WIDTH: u16 = 400;
/// Height of the tool's screen, in pixels.
pub const HEIGHT: u16 = 300;

/// A tool, which sends its screen in Raw rectangles alone, and everything behind it.
#[derive(Debug)]
pub struct UpdatePath {
    pixels: Vec<[u8; 4]>,
    /// The launcher's copy of the screen.
    pub framebuffer: Framebuffer,
    /// The maker of the client's updates.
    pub updater: Updater,
    /// The agent's viewer.
    pub client: RfbClient,
    /// Encodings that the client may announce.
    encodings: Vec<i32>,
}

impl UpdatePath {
    /// Returns the path from a grey screen of which the client, with these encodings, has seen
    /// nothing.
    pub fn new(encodings: &[i32]) -> Self {
        let mut updater = Updater::new(WIDTH, HEIGHT);
        updater.set_encodings(encodings);
        let pixels = vec![[240, 240, 240, 0]; usize::from(WIDTH) * usize::from(HEIGHT)];
        Self {
            pixels,
            framebuffer: Framebuffer::new(WIDTH, HEIGHT),
            updater,
            client: RfbClient::new(WIDTH, HEIGHT),
            encodings: encodings.to_vec(),
        }
    }

    /// Draws what looks like lines of text, different ones for each seed.
    pub fn write(&mut self, rect: Rect, seed: u32) {
        self.paint(rect, |x, y| {
            let glyph = u32::from(x / 7) * 7919 + u32::from(y / 13) * 104_729 + seed;
            let inked = glyph.wrapping_mul(0x9e37_79b1) >> ((x % 7) + (y % 13)) & 3 == 0;
            let ink = inked && y % 13 < 10;
            if ink { [0, 0, 0, 0] } else { [255; 4] }
        });
    }

    /// Draws each pixel of a rectangle.
    pub fn paint(&mut self, rect: Rect, colour: impl Fn(u16, u16) -> [u8; 4]) {
        for y in rect.y..rect.y + rect.h {
            for x in rect.x..rect.x + rect.w {
                self.pixels[at(x, y)] = colour(x, y);
            }
        }
    }

    /// Moves a rectangle's pixels to another place, and leaves grey behind.
    pub fn drag(&mut self, rect: Rect, to: (u16, u16)) {
        let before = self.pixels.clone();
        self.paint(rect, |_, _| [200, 200, 200, 0]);
        let target = Rect {
            x: to.0,
            y: to.1,
            ..rect
        };
        self.paint(target, |x, y| {
            before[at(x - to.0 + rect.x, y - to.1 + rect.y)]
        });
    }

    /// Sends the tool's whole screen to the framebuffer, in bands like those of a large rectangle.
    pub fn send_screen(&mut self) {
        let band = usize::from(WIDTH) * 34;
        for (index, pixels) in self.pixels.chunks(band).enumerate() {
            let rows = (pixels.len() / usize::from(WIDTH)) as u16;
            let rect = Rect::new(0, index as u16 * 34, WIDTH, rows);
            let pixels = pixels.concat();
            self.framebuffer
                .apply(&Rectangle::Raw { rect, pixels })
                .unwrap();
        }
    }

    /// Makes one request and its update. Returns the pixels that it brought.
    pub fn update(&mut self) -> usize {
        self.updater.request(true, self.client.bounds());
        let Some(chunk) = self
            .updater
            .next_chunk(&mut self.framebuffer, Duration::ZERO)
        else {
            return 0;
        };
        self.client.receive(&chunk, 5000);
        chunk.len() / 4
    }

    /// Sends, updates, and checks that the client has everything. Returns the number of pixels
    /// sent.
    pub fn bring_up_to_date(&mut self) -> usize {
        self.send_screen();
        let brought = self.update();
        assert!(self.client.agrees_with(&self.framebuffer));
        brought
    }

    /// Lets an event happen.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Write(rect, seed) => self.write(rect, seed),
            Event::Drag(rect, to) => self.drag(rect, to),
            Event::Update => {
                self.send_screen();
                self.update();
            }
            Event::Ask(rect) => self.updater.request(true, rect),
            Event::Lose(rect) => {
                self.updater.request(false, rect);
                self.client.invalidate(rect);
            }
            Event::Copy(rect, from) => {
                let copy = Rectangle::CopyRect { rect, from };
                self.framebuffer.apply(&copy).unwrap();
            }
            Event::Encodings(copies) => {
                let skipped = usize::from(!copies);
                self.updater.set_encodings(&self.encodings[skipped..]);
            }
            Event::Resize(width, height) => {
                for (width, height) in [(width, height), (WIDTH, HEIGHT)] {
                    let size = Rectangle::DesktopSize { width, height };
                    self.framebuffer.apply(&size).unwrap();
                    self.update();
                }
            }
        }
    }

    /// Returns whether the client has everything once it has asked for the rest.
    pub fn converges(mut self) -> bool {
        self.send_screen();
        let (updater, framebuffer) = (&mut self.updater, &mut self.framebuffer);
        self.client.catch_up(updater, framebuffer, 5000);
        self.client.agrees_with(framebuffer)
    }
}

fn at(x: u16, y: u16) -> usize {
    usize::from(y) * usize::from(WIDTH) + usize::from(x)
}

/// An event of a random session. Its rectangles lie inside the screen.
#[derive(Clone, Debug)]
pub enum Event {
    /// The tool draws text of this seed.
    Write(Rect, u32),
    /// The tool moves a rectangle.
    Drag(Rect, (u16, u16)),
    /// The tool sends its screen, and the client asks for all of it.
    Update,
    /// The client asks for a part alone.
    Ask(Rect),
    /// The client loses a part, and asks for it anew.
    Lose(Rect),
    /// The tool sends a CopyRect.
    Copy(Rect, (u16, u16)),
    /// The client announces CopyRect, the first of its encodings, or leaves it out.
    Encodings(bool),
    /// The screen changes to this size and back.
    Resize(u16, u16),
}
