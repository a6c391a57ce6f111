//! A client as simple as can be: decodes what an `Updater` makes into a picture of its own.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "tests use different parts of it, and may end with a panic"
)]

pub(crate) mod desk;

use etatuki_picture::{Framebuffer, Updater};
use etatuki_rfb::encode::fence_flags;
use etatuki_rfb::{
    CursorImage, Limits, PixelFormat, Rect, Rectangle, ScreenLayout, ServerMessage, ServerParser,
};
use std::time::Duration;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

/// What a client has got so far.
pub(crate) struct Client {
    parser: ServerParser,
    pub(crate) width: u16,
    pub(crate) height: u16,
    /// `None`: never sent, or lost by a resize.
    pub(crate) pixels: Vec<Option<[u8; 4]>>,
    pub(crate) cursor: Option<CursorImage>,
    /// Places of the pointer.
    pub(crate) pointer: Vec<(u16, u16)>,
    pub(crate) supports: Vec<i32>,
    /// Payloads of the server's questions that the client hasn't answered.
    pub(crate) asked: Vec<(u32, Vec<u8>)>,
    /// Answers to the client's questions.
    pub(crate) answers: Vec<(u32, Vec<u8>)>,
    pub(crate) ends: usize,
    pub(crate) updates: usize,
    /// An update has begun, and hasn't ended.
    pub(crate) inside: bool,
    /// All pixel rectangles of the last chunk.
    pub(crate) last_rects: Vec<Rect>,
    pub(crate) copies: usize,
    /// Rectangles that came as JPEG.
    pub(crate) films: usize,
    /// Sizes told: reason, status, width, height; reason 9 for DesktopSize.
    pub(crate) sizes: Vec<[u16; 4]>,
    /// The screens that were told last.
    pub(crate) layout: Vec<ScreenLayout>,
    /// Sizes and pixels in one update: what no update may have.
    pub(crate) mixed: bool,
}

impl Client {
    pub(crate) fn new(width: u16, height: u16) -> Self {
        Self {
            parser: ServerParser::new(Limits::default(), PixelFormat::BGRX, width, height)
                .with_jpeg(),
            width,
            height,
            pixels: vec![None; usize::from(width) * usize::from(height)],
            cursor: None,
            pointer: vec![],
            supports: vec![],
            asked: vec![],
            answers: vec![],
            ends: 0,
            updates: 0,
            inside: false,
            last_rects: vec![],
            copies: 0,
            films: 0,
            sizes: vec![],
            layout: vec![],
            mixed: false,
        }
    }

    pub(crate) fn bounds(&self) -> Rect {
        Rect::new(0, 0, self.width, self.height)
    }

    /// Takes in a chunk, split into pieces of this length.
    pub(crate) fn receive(&mut self, chunk: &[u8], piece: usize) {
        self.last_rects.clear();
        let (mut sized, mut drawn) = (false, false);
        for bytes in chunk.chunks(piece) {
            self.parser.push(bytes);
            while let Some(message) = self.parser.next().expect("the updater speaks RFB") {
                match message {
                    ServerMessage::UpdateStart => {
                        (sized, drawn, self.inside) = (false, false, true);
                        self.updates += 1;
                    }
                    ServerMessage::UpdateEnd => {
                        self.mixed |= sized && drawn;
                        self.inside = false;
                    }
                    ServerMessage::Rectangle(rectangle) => {
                        match &rectangle {
                            Rectangle::DesktopSize { .. }
                            | Rectangle::ExtendedDesktopSize { .. } => sized = true,
                            Rectangle::Supports { .. }
                            | Rectangle::Cursor(_)
                            | Rectangle::PointerPos { .. } => {}
                            _ => drawn = true,
                        }
                        self.rectangle(rectangle);
                    }
                    ServerMessage::Fence { flags, payload } => {
                        if flags & fence_flags::REQUEST != 0 {
                            self.asked.push((flags & fence_flags::SUPPORTED, payload));
                        } else {
                            self.answers.push((flags, payload));
                        }
                    }
                    ServerMessage::EndOfContinuousUpdates => self.ends += 1,
                    other => panic!("unexpected {other:?}"),
                }
            }
        }
    }

    fn rectangle(&mut self, rectangle: Rectangle) {
        match rectangle {
            Rectangle::Raw { rect, pixels } => {
                let pixels = pixels
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|pixel| Some(*pixel))
                    .collect();
                self.put(rect, pixels);
            }
            Rectangle::Jpeg { rect, data } => {
                self.films += 1;
                self.put(rect, decoded(&data));
            }
            Rectangle::CopyRect { rect, from } => {
                self.copies += 1;
                let source = Rect {
                    x: from.0,
                    y: from.1,
                    ..rect
                };
                let pixels = places(source, self.width)
                    .map(|at| self.pixels[at])
                    .collect();
                self.put(rect, pixels);
            }
            Rectangle::Cursor(cursor) => self.cursor = Some(cursor),
            Rectangle::DesktopSize { width, height } => {
                self.sizes.push([9, 0, width, height]);
                self.resize(width, height);
            }
            Rectangle::ExtendedDesktopSize {
                reason,
                status,
                width,
                height,
                screens,
            } => {
                self.sizes.push([reason, status, width, height]);
                if status == 0 {
                    self.layout = screens;
                }
                if status == 0 && (width, height) != (self.width, self.height) {
                    self.resize(width, height);
                }
            }
            Rectangle::PointerPos { x, y } => self.pointer.push((x, y)),
            Rectangle::Supports { encoding } => self.supports.push(encoding),
        }
    }

    fn put(&mut self, rect: Rect, pixels: Vec<Option<[u8; 4]>>) {
        for (at, pixel) in places(rect, self.width).zip(pixels) {
            self.pixels[at] = pixel;
        }
        self.last_rects.push(rect);
    }

    /// Forgets a part of the picture.
    pub(crate) fn lose(&mut self, rect: Rect) {
        let rect = rect.intersection(&self.bounds()).unwrap_or_default();
        places(rect, self.width).for_each(|at| self.pixels[at] = None);
    }

    fn resize(&mut self, width: u16, height: u16) {
        (self.width, self.height) = (width, height);
        self.pixels = vec![None; usize::from(width) * usize::from(height)];
    }

    /// Everything that there is to get, with requests for the whole, a second apart.
    pub(crate) fn catch_up(
        &mut self,
        updater: &mut Updater,
        framebuffer: &mut Framebuffer,
        piece: usize,
    ) {
        for step in 0..100 {
            let now = Duration::from_secs(10_000 + step);
            for (flags, payload) in std::mem::take(&mut self.asked) {
                updater.on_fence(flags, &payload, now).unwrap();
            }
            updater.request(true, self.bounds());
            let Some(chunk) = updater.next_chunk(framebuffer, now) else {
                assert_eq!(updater.wake_at(), None);
                return;
            };
            self.receive(&chunk, piece);
        }
        panic!("there is always more");
    }

    /// Whether the client shows what the screen shows, where both have pixels.
    pub(crate) fn agrees_with(&self, framebuffer: &Framebuffer) -> bool {
        let both = self
            .bounds()
            .intersection(&framebuffer.bounds())
            .unwrap_or_default();
        let theirs = places(both, framebuffer.width());
        places(both, self.width).zip(theirs).all(|(mine, theirs)| {
            self.pixels[mine].as_ref().map(|pixel| &pixel[..])
                == Some(&framebuffer.pixels()[theirs * 4..theirs * 4 + 4])
        })
    }
}

fn decoded(file: &[u8]) -> Vec<Option<[u8; 4]>> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::BGRA);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    let pixels = decoder.decode().unwrap();
    let pixels = pixels.as_chunks::<4>().0.iter();
    pixels.map(|[b, g, r, _]| Some([*b, *g, *r, 0])).collect()
}

fn places(rect: Rect, width: u16) -> impl Iterator<Item = usize> {
    (usize::from(rect.y)..rect.bottom() as usize).flat_map(move |y| {
        let row = y * usize::from(width);
        row + usize::from(rect.x)..row + rect.right() as usize
    })
}
