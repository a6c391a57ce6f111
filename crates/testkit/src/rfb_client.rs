//! An RFB client as simple as can be: it decodes a server's messages into a picture of its own, and
//! counts what it got.

use etatuki_picture::{Framebuffer, Updater};
use etatuki_rfb::encode::fence_flags;
use etatuki_rfb::{
    CursorImage, Limits, PixelFormat, Rect, Rectangle, ScreenLayout, ServerMessage, ServerParser,
};
use std::time::Duration;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

/// A client's picture, and records of the messages that made it.
#[derive(Debug)]
pub struct RfbClient {
    parser: ServerParser,
    /// Width of the screen, in pixels.
    pub width: u16,
    /// Height of the screen, in pixels.
    pub height: u16,
    /// Row by row, BGRX each; `None` where nothing was sent yet, or a resize lost it.
    pub pixels: Vec<Option<[u8; 4]>>,
    /// The pointer's shape.
    pub cursor: Option<CursorImage>,
    /// Cursor rectangles so far.
    pub cursors: usize,
    /// Positions of the pointer, all that came.
    pub pointer_positions: Vec<(u16, u16)>,
    /// Extensions that the server has confirmed.
    pub confirmed: Vec<i32>,
    /// Fences that the client hasn't answered: flags and payload.
    pub fence_requests: Vec<(u32, Vec<u8>)>,
    /// The server's answers to fences of the client: flags and payload.
    pub fence_replies: Vec<(u32, Vec<u8>)>,
    /// EndOfContinuousUpdates messages so far.
    pub continuous_ends: usize,
    /// Updates so far, the present one included.
    pub updates: usize,
    /// Whether an update has begun and hasn't ended.
    pub mid_update: bool,
    /// Rectangles of pixels, in order. [`receive`](Self::receive) clears the former ones.
    pub last_rects: Vec<Rect>,
    /// CopyRect rectangles so far.
    pub copies: usize,
    /// JPEG rectangles so far.
    pub jpegs: usize,
    /// Sizes told: reason, status, width, height; reason 9 stands for DesktopSize.
    pub sizes: Vec<[u16; 4]>,
    /// The screens of the last ExtendedDesktopSize.
    pub screens: Vec<ScreenLayout>,
    /// Whether some update had a size and pixels, which ExtendedDesktopSize forbids.
    pub mixed_update: bool,
    /// Whether the present update has a size.
    resized: bool,
    /// Whether the present update has pixels.
    drawn: bool,
}

impl RfbClient {
    /// Returns a client whose server has just announced its size.
    pub fn new(width: u16, height: u16) -> Self {
        Self {
            parser: ServerParser::new(Limits::default(), PixelFormat::BGRX, width, height)
                .with_jpeg(),
            width,
            height,
            pixels: vec![None; usize::from(width) * usize::from(height)],
            cursor: None,
            cursors: 0,
            pointer_positions: vec![],
            confirmed: vec![],
            fence_requests: vec![],
            fence_replies: vec![],
            continuous_ends: 0,
            updates: 0,
            mid_update: false,
            last_rects: vec![],
            copies: 0,
            jpegs: 0,
            sizes: vec![],
            screens: vec![],
            mixed_update: false,
            resized: false,
            drawn: false,
        }
    }

    /// Returns the whole screen's rectangle.
    pub fn bounds(&self) -> Rect {
        Rect::new(0, 0, self.width, self.height)
    }

    /// Receives a server's bytes in pieces of `piece` bytes. They hold a picture and fences alone.
    pub fn receive(&mut self, chunk: &[u8], piece: usize) {
        self.last_rects.clear();
        for bytes in chunk.chunks(piece) {
            self.push(bytes);
            while let Some(message) = self.next_message() {
                assert!(
                    !matches!(
                        message,
                        ServerMessage::CutText(_)
                            | ServerMessage::CutTextSkipped { .. }
                            | ServerMessage::Bell
                    ),
                    "unexpected {message:?}"
                );
            }
        }
    }

    /// Appends bytes of the server for [`next_message`](Self::next_message).
    pub fn push(&mut self, bytes: &[u8]) {
        self.parser.push(bytes);
    }

    /// Parses the server's next message, applies and returns it; `None` if its bytes aren't there.
    pub fn next_message(&mut self) -> Option<ServerMessage> {
        let message = self.parser.next().expect("the server speaks RFB")?;
        match &message {
            ServerMessage::UpdateStart => {
                (self.resized, self.drawn, self.mid_update) = (false, false, true);
                self.updates += 1;
            }
            ServerMessage::UpdateEnd => {
                self.mixed_update |= self.resized && self.drawn;
                self.mid_update = false;
            }
            ServerMessage::Rectangle(rectangle) => self.apply(rectangle),
            ServerMessage::Fence { flags, payload } => {
                if flags & fence_flags::REQUEST != 0 {
                    self.fence_requests
                        .push((flags & fence_flags::SUPPORTED, payload.clone()));
                } else {
                    self.fence_replies.push((*flags, payload.clone()));
                }
            }
            ServerMessage::EndOfContinuousUpdates => self.continuous_ends += 1,
            ServerMessage::CutText(_)
            | ServerMessage::CutTextSkipped { .. }
            | ServerMessage::Bell => {}
        }
        Some(message)
    }

    fn apply(&mut self, rectangle: &Rectangle) {
        match rectangle {
            Rectangle::Raw { rect, pixels } => {
                let pixels = pixels.as_chunks::<4>().0.iter();
                self.write(*rect, pixels.map(|pixel| Some(*pixel)));
            }
            Rectangle::Jpeg { rect, data } => {
                self.jpegs += 1;
                self.write(*rect, decoded(data).into_iter());
            }
            Rectangle::CopyRect { rect, from } => {
                self.copies += 1;
                let source = Rect {
                    x: from.0,
                    y: from.1,
                    ..*rect
                };
                let pixels: Vec<_> = places(source, self.width)
                    .map(|at| self.pixels[at])
                    .collect();
                self.write(*rect, pixels.into_iter());
            }
            Rectangle::Cursor(cursor) => {
                self.cursors += 1;
                self.cursor = Some(cursor.clone());
            }
            Rectangle::DesktopSize { width, height } => {
                self.resized = true;
                self.sizes.push([9, 0, *width, *height]);
                self.resize(*width, *height);
            }
            Rectangle::ExtendedDesktopSize {
                reason,
                status,
                width,
                height,
                screens,
            } => {
                self.resized = true;
                self.sizes.push([*reason, *status, *width, *height]);
                if *status == 0 {
                    self.screens.clone_from(screens);
                }
                if *status == 0 && (*width, *height) != (self.width, self.height) {
                    self.resize(*width, *height);
                }
            }
            Rectangle::PointerPos { x, y } => self.pointer_positions.push((*x, *y)),
            Rectangle::Supports { encoding } => self.confirmed.push(*encoding),
        }
    }

    fn write(&mut self, rect: Rect, mut pixels: impl Iterator<Item = Option<[u8; 4]>>) {
        assert_eq!(rect.intersection(&self.bounds()), Some(rect), "outside");
        self.drawn = true;
        for y in usize::from(rect.y)..rect.bottom() as usize {
            let row = y * usize::from(self.width) + usize::from(rect.x);
            for (pixel, new) in self.pixels[row..][..usize::from(rect.w)]
                .iter_mut()
                .zip(&mut pixels)
            {
                *pixel = new;
            }
        }
        self.last_rects.push(rect);
    }

    /// Forgets a part of the picture.
    pub fn invalidate(&mut self, rect: Rect) {
        let rect = rect.intersection(&self.bounds()).unwrap_or_default();
        places(rect, self.width).for_each(|at| self.pixels[at] = None);
    }

    fn resize(&mut self, width: u16, height: u16) {
        (self.width, self.height) = (width, height);
        self.pixels = vec![None; usize::from(width) * usize::from(height)];
    }

    /// Requests updates of the whole screen, a second apart, until the updater has nothing more.
    pub fn catch_up(&mut self, updater: &mut Updater, framebuffer: &mut Framebuffer, piece: usize) {
        for step in 0..100 {
            let now = Duration::from_secs(10_000 + step);
            for (flags, payload) in std::mem::take(&mut self.fence_requests) {
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

    /// Returns whether the client's picture is whole and equals these pixels: BGRX, rows without
    /// gaps.
    pub fn shows(&self, pixels: &[u8]) -> bool {
        let (pixels, rest) = pixels.as_chunks::<4>();
        rest.is_empty()
            && self
                .pixels
                .iter()
                .copied()
                .eq(pixels.iter().copied().map(Some))
    }

    /// Returns whether the client's picture equals the framebuffer, where both have pixels.
    pub fn agrees_with(&self, framebuffer: &Framebuffer) -> bool {
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
