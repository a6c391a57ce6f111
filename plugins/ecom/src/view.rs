//! What the client wants to see, and the updates made for it.

use etatuki_rfb::{CursorImage, Layout, PixelFormat, Rect, encode::server as encode, encoding, translate};
use etatuki_screen::{Capture, ScreenError, Size};

/// ExtendedDesktopSize: the server's own change; an answer to the client's request.
const BY_SERVER: u16 = 0;
const BY_CLIENT: u16 = 1;
/// ExtendedDesktopSize's status: done; administratively prohibited.
const DONE: u16 = 0;
const PROHIBITED: u16 = 1;

/// One client's wishes.
pub(crate) struct View {
    format: PixelFormat,
    cursor: bool,
    sizes: Option<Sizes>,
    /// The area that an update was asked for.
    wanted: Option<etatuki_screen::Rect>,
    /// The size that the client knows.
    known: Size,
    /// An announcement of the size that is due: reason and status.
    due: Option<(u16, u16)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Sizes {
    Plain,
    Extended,
}

impl View {
    pub(crate) fn new(known: Size) -> Self {
        Self { format: PixelFormat::BGRX, cursor: false, sizes: None, wanted: None, known, due: None }
    }

    /// Pixels in this format from now on; one that isn't usable is passed over.
    pub(crate) fn set_format(&mut self, format: PixelFormat) {
        if format.is_usable() {
            self.format = format;
        }
    }

    pub(crate) fn set_encodings(&mut self, list: &[i32], capture: &mut Capture) {
        self.cursor = list.contains(&encoding::CURSOR);
        let extended = list.contains(&encoding::EXTENDED_DESKTOP_SIZE);
        if extended && self.sizes != Some(Sizes::Extended) {
            self.due = Some((BY_SERVER, DONE));
        }
        let plain = list.contains(&encoding::DESKTOP_SIZE).then_some(Sizes::Plain);
        self.sizes = if extended { Some(Sizes::Extended) } else { plain };
        capture.spoil(capture.size().rect());
    }

    pub(crate) fn request(&mut self, incremental: bool, rect: Rect, capture: &mut Capture) {
        let rect = etatuki_screen::Rect { x: rect.x, y: rect.y, w: rect.w, h: rect.h };
        if !incremental {
            capture.spoil(rect);
        }
        self.wanted = Some(self.wanted.map_or(rect, |wanted| wanted.around(&rect)));
    }

    /// The client asked for another size, which isn't ours to change.
    pub(crate) fn refuse_size(&mut self) {
        self.due = Some((BY_CLIENT, PROHIBITED));
    }

    /// Whether an update was asked for and there is something to say.
    pub(crate) fn wants(&self, capture: &Capture) -> bool {
        self.wanted.is_some_and(|wanted| {
            self.size_is_due(capture) || capture.damage().rects().iter().any(|r| !r.intersection(&wanted).is_empty())
        })
    }

    fn size_is_due(&self, capture: &Capture) -> bool {
        self.sizes.is_some() && (self.due.is_some() || self.known != capture.size())
    }

    /// Appends an update if one was asked for and there is something to say.
    pub(crate) fn update(&mut self, capture: &mut Capture, out: &mut Vec<u8>) -> Result<(), ScreenError> {
        let Some(wanted) = self.wanted else { return Ok(()) };
        if self.size_is_due(capture) {
            self.announce_size(capture, out);
            self.wanted = None;
            return Ok(());
        }
        // A client that can't be told of a new size goes on with the part of the screen that it knows.
        let wanted = wanted.intersection(&self.known.rect());
        let cursor = if self.cursor { capture.take_cursor()? } else { None };
        let frame = capture.grab(wanted)?;
        let pieces = frame.as_ref().map_or(0, etatuki_screen::Frame::len);
        let count = pieces + usize::from(cursor.is_some());
        if count == 0 {
            return Ok(());
        }
        encode::update_start(out, Some(u16::try_from(count).unwrap_or(u16::MAX)));
        if let Some(image) = cursor {
            self.put_cursor(image, out);
        }
        for piece in frame.iter().flat_map(etatuki_screen::Frame::pieces) {
            self.put_pixels(&piece, out);
        }
        self.wanted = None;
        Ok(())
    }

    fn announce_size(&mut self, capture: &mut Capture, out: &mut Vec<u8>) {
        let Size { width, height } = capture.size();
        encode::update_start(out, Some(1));
        if self.sizes == Some(Sizes::Extended) {
            let (reason, status) = self.due.unwrap_or((BY_SERVER, DONE));
            let screen = Layout { id: 0, rect: Rect::new(0, 0, width, height), flags: 0 };
            encode::extended_desktop_size(out, reason, status, (width, height), &[screen]);
        } else {
            encode::desktop_size(out, width, height);
        }
        if self.known != capture.size() {
            self.known = capture.size();
            capture.spoil(self.known.rect());
        }
        self.due = None;
    }

    fn put_cursor(&self, image: etatuki_screen::CursorImage, out: &mut Vec<u8>) {
        let mut pixels = Vec::new();
        translate(&image.pixels, &self.format, &mut pixels);
        let (width, height, hot) = (image.width, image.height, (image.hot_x, image.hot_y));
        encode::cursor(out, &CursorImage { width, height, hot, pixels, mask: image.mask });
    }

    fn put_pixels(&self, piece: &etatuki_screen::Piece<'_>, out: &mut Vec<u8>) {
        let rect = piece.rect;
        encode::raw_head(out, Rect::new(rect.x, rect.y, rect.w, rect.h));
        if self.format == PixelFormat::BGRX {
            piece.append_bgrx(out);
        } else {
            let mut bgrx = Vec::new();
            piece.append_bgrx(&mut bgrx);
            translate(&bgrx, &self.format, out);
        }
    }
}
