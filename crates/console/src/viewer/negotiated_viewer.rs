//! What was agreed with one viewer, and rectangles as it wants them: in its pixel format, and of those that it has
//! announced.

use std::collections::BTreeSet;

use etatuki_rfb::{
    CursorImage, PixelFormat, Rect, Rectangle, ScreenLayout, convert_pixels, encode::server,
    encoding,
};

use super::RemoteDesktop;

/// The viewer can't follow the screen's new size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the customer's screen changed its size, and the viewer has not said that it can follow")]
pub(crate) struct CannotResize;

/// See the module. What writes rectangles appends them, and says how many.
#[derive(Debug)]
pub(super) struct NegotiatedViewer {
    pub(super) format: PixelFormat,
    announced: BTreeSet<i32>,
    /// The size that it was told last.
    pub(super) size: (u16, u16),
    /// It was told that the customer's side understands nine mouse buttons.
    pub(super) extended_pointer: bool,
}

impl NegotiatedViewer {
    /// A viewer that has just been told this size by its ServerInit.
    pub(super) fn new(size: (u16, u16)) -> Self {
        Self {
            format: PixelFormat::BGRX,
            announced: BTreeSet::new(),
            size,
            extended_pointer: false,
        }
    }

    pub(super) fn announce(&mut self, encodings: &[i32]) {
        self.announced = encodings.iter().copied().collect();
    }

    pub(super) fn has(&self, encoding: i32) -> bool {
        self.announced.contains(&encoding)
    }

    /// What an earlier viewer was told.
    pub(super) fn introduce(
        &mut self,
        remote_desktop: &RemoteDesktop,
        out: &mut Vec<u8>,
    ) -> Result<u16, CannotResize> {
        let mut count = match &remote_desktop.layout {
            Some(screens) if self.has(encoding::EXTENDED_DESKTOP_SIZE) => {
                self.put_size(remote_desktop.size, screens, out)
            }
            _ => self.resize(remote_desktop.size, out)?,
        };
        if let Some(cursor) = &remote_desktop.cursor {
            count += self.cursor(cursor, out);
        }
        for encoding in &remote_desktop.supports {
            count += self.supports(*encoding, out);
        }
        Ok(count)
    }

    /// What came over the link.
    pub(super) fn put(
        &mut self,
        rectangle: &Rectangle,
        out: &mut Vec<u8>,
    ) -> Result<u16, CannotResize> {
        Ok(match rectangle {
            Rectangle::Raw { rect, pixels } => {
                server::raw_header(out, *rect);
                convert_pixels(pixels, &self.format, out);
                1
            }
            // Pixels by now: what reads the link decodes it.
            Rectangle::Jpeg { .. } => 0,
            // One that doesn't know it may still meet one on its way to the viewer before; its own first
            // picture mends what is missed.
            Rectangle::CopyRect { rect, from } if self.has(encoding::COPY_RECT) => {
                server::copy_rect(out, *rect, *from);
                1
            }
            Rectangle::PointerPos { x, y } if self.has(encoding::POINTER_POS) => {
                server::pointer_pos(out, (*x, *y));
                1
            }
            Rectangle::CopyRect { .. } | Rectangle::PointerPos { .. } => 0,
            Rectangle::Cursor(cursor) => self.cursor(cursor, out),
            Rectangle::DesktopSize { width, height } => self.resize((*width, *height), out)?,
            Rectangle::ExtendedDesktopSize {
                reason,
                status,
                width,
                height,
                screens,
            } => self.extended_size((*reason, *status), (*width, *height), screens, out)?,
            Rectangle::Supports { encoding } => self.supports(*encoding, out),
        })
    }

    fn cursor(&self, cursor: &CursorImage, out: &mut Vec<u8>) -> u16 {
        if !self.has(encoding::CURSOR) {
            return 0;
        }
        let mut translated = CursorImage {
            pixels: Vec::new(),
            ..cursor.clone()
        };
        convert_pixels(&cursor.pixels, &self.format, &mut translated.pixels);
        server::cursor(out, &translated);
        1
    }

    fn supports(&mut self, number: i32, out: &mut Vec<u8>) -> u16 {
        if !self.has(number) {
            return 0;
        }
        self.extended_pointer |= number == encoding::EXTENDED_MOUSE_BUTTONS;
        server::supports(out, number);
        1
    }

    fn extended_size(
        &mut self,
        (reason, status): (u16, u16),
        size: (u16, u16),
        screens: &[ScreenLayout],
        out: &mut Vec<u8>,
    ) -> Result<u16, CannotResize> {
        if self.has(encoding::EXTENDED_DESKTOP_SIZE) {
            server::extended_desktop_size(out, reason, status, size, screens);
            if status == 0 {
                self.size = size;
            }
            return Ok(1);
        }
        if status == 0 {
            self.resize(size, out)
        } else {
            Ok(0)
        }
    }

    fn resize(&mut self, size: (u16, u16), out: &mut Vec<u8>) -> Result<u16, CannotResize> {
        if size == self.size {
            return Ok(0);
        }
        if self.has(encoding::EXTENDED_DESKTOP_SIZE) {
            let (w, h) = size;
            let screen = ScreenLayout {
                id: 0,
                rect: Rect::new(0, 0, w, h),
                flags: 0,
            };
            return Ok(self.put_size(size, &[screen], out));
        }
        if !self.has(encoding::DESKTOP_SIZE) {
            return Err(CannotResize);
        }
        server::desktop_size(out, size.0, size.1);
        self.size = size;
        Ok(1)
    }

    fn put_size(&mut self, size: (u16, u16), screens: &[ScreenLayout], out: &mut Vec<u8>) -> u16 {
        server::extended_desktop_size(out, 0, 0, size, screens);
        self.size = size;
        1
    }
}
