//! A desk with things that are dragged and scrolled, the session between, and a client.

use super::Client;
use etatuki_picture::{Framebuffer, Updater};
use etatuki_rfb::{Rect, Rectangle};
use std::time::Duration;

pub(crate) const WIDTH: u16 = 400;
pub(crate) const HEIGHT: u16 = 300;

/// The tool's own picture, which it tells of in Raw rectangles only.
pub(crate) struct Desk {
    pixels: Vec<[u8; 4]>,
    pub(crate) framebuffer: Framebuffer,
    pub(crate) updater: Updater,
    pub(crate) client: Client,
    /// What the client may understand.
    encodings: Vec<i32>,
}

impl Desk {
    pub(crate) fn new(encodings: &[i32]) -> Self {
        let mut updater = Updater::new(WIDTH, HEIGHT);
        updater.set_encodings(encodings);
        let pixels = vec![[240, 240, 240, 0]; usize::from(WIDTH) * usize::from(HEIGHT)];
        Self {
            pixels,
            framebuffer: Framebuffer::new(WIDTH, HEIGHT),
            updater,
            client: Client::new(WIDTH, HEIGHT),
            encodings: encodings.to_vec(),
        }
    }

    /// Something that looks like lines of text, different ones for each seed.
    pub(crate) fn write(&mut self, rect: Rect, seed: u32) {
        self.paint(rect, |x, y| {
            let glyph = u32::from(x / 7) * 7919 + u32::from(y / 13) * 104_729 + seed;
            let inked = glyph.wrapping_mul(0x9e37_79b1) >> ((x % 7) + (y % 13)) & 3 == 0;
            let ink = inked && y % 13 < 10;
            if ink { [0, 0, 0, 0] } else { [255; 4] }
        });
    }

    pub(crate) fn paint(&mut self, rect: Rect, colour: impl Fn(u16, u16) -> [u8; 4]) {
        for y in rect.y..rect.y + rect.h {
            for x in rect.x..rect.x + rect.w {
                self.pixels[at(x, y)] = colour(x, y);
            }
        }
    }

    /// What is in the rectangle goes to another place; what was behind it is grey.
    pub(crate) fn drag(&mut self, rect: Rect, to: (u16, u16)) {
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

    /// The tool tells of everything, in bands like those of a large rectangle.
    pub(crate) fn tell(&mut self) {
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

    /// One request and its answer; how many pixels it brought.
    pub(crate) fn update(&mut self) -> usize {
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

    /// Tells, updates, and checks that the client has everything.
    pub(crate) fn shows(&mut self) -> usize {
        self.tell();
        let brought = self.update();
        assert!(self.client.agrees_with(&self.framebuffer));
        brought
    }

    pub(crate) fn happens(&mut self, event: Event) {
        match event {
            Event::Write(rect, seed) => self.write(rect, seed),
            Event::Drag(rect, to) => self.drag(rect, to),
            Event::Update => {
                self.tell();
                self.update();
            }
            Event::Ask(rect) => self.updater.request(true, rect),
            Event::Lose(rect) => {
                self.updater.request(false, rect);
                self.client.lose(rect);
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

    /// Whether the client has everything once it has asked for the rest.
    pub(crate) fn ends_well(mut self) -> bool {
        self.tell();
        let (updater, framebuffer) = (&mut self.updater, &mut self.framebuffer);
        self.client.catch_up(updater, framebuffer, 5000);
        self.client.agrees_with(framebuffer)
    }
}

fn at(x: u16, y: u16) -> usize {
    usize::from(y) * usize::from(WIDTH) + usize::from(x)
}

/// Something that may happen; all places are inside the screen.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Write(Rect, u32),
    Drag(Rect, (u16, u16)),
    Update,
    /// Of a part only.
    Ask(Rect),
    Lose(Rect),
    /// The tool tells of a move itself.
    Copy(Rect, (u16, u16)),
    /// The client can make moves, or can't, from now on. CopyRect is the first of its encodings.
    Encodings(bool),
    /// To this size and back.
    Resize(u16, u16),
}
