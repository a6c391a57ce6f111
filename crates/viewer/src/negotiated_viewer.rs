//! A viewer's negotiated pixel format and encodings. Converts rectangles to them.

use std::collections::BTreeSet;

use etatuki_rfb::{
    CursorImage, PixelFormat, PointerFormat, Rect, Rectangle, ScreenLayout, convert_pixels,
    encode::server, encoding,
};

use crate::RemoteDesktop;

/// The viewer can't follow the screen's new size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the customer's screen changed its size, and the viewer has not said that it can follow")]
pub struct CannotResize;

/// A viewer's pixel format and encodings. Methods that write rectangles append them to `out`, and
/// return their number.
#[derive(Debug)]
pub(crate) struct NegotiatedViewer {
    pub(crate) format: PixelFormat,
    encodings: BTreeSet<i32>,
    /// Columns and rows that the viewer was told last.
    pub(crate) size: (u16, u16),
    /// The format of pointer events, here and on the link: extended once the viewer was told that
    /// the customer's side supports it.
    pub(crate) pointer_format: PointerFormat,
}

impl NegotiatedViewer {
    /// Creates a viewer that was told this size by its ServerInit.
    pub(crate) fn new(size: (u16, u16)) -> Self {
        Self {
            format: PixelFormat::BGRX,
            encodings: BTreeSet::new(),
            size,
            pointer_format: PointerFormat::Standard,
        }
    }

    /// Records a SetEncodings message.
    pub(crate) fn set_encodings(&mut self, encodings: &[i32]) {
        self.encodings = encodings.iter().copied().collect();
    }

    /// Returns whether the viewer has announced an encoding or pseudo-encoding.
    pub(crate) fn supports(&self, encoding: i32) -> bool {
        self.encodings.contains(&encoding)
    }

    /// Writes the facts about the desktop that earlier viewers were told.
    pub(crate) fn write_desktop(
        &mut self,
        desktop: &RemoteDesktop,
        out: &mut Vec<u8>,
    ) -> Result<u16, CannotResize> {
        let mut count = match &desktop.layout {
            Some(screens) if self.supports(encoding::EXTENDED_DESKTOP_SIZE) => {
                self.write_layout(desktop.size, screens, out)
            }
            _ => self.write_size(desktop.size, out)?,
        };
        if let Some(cursor) = &desktop.cursor {
            count += self.write_cursor(cursor, out);
        }
        for encoding in &desktop.supports {
            count += self.write_supported(*encoding, out);
        }
        Ok(count)
    }

    /// Writes a rectangle of the link's, unless the viewer doesn't support it.
    pub(crate) fn write_rectangle(
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
            // `PictureParser` returns none.
            Rectangle::Jpeg { .. } => 0,
            // A CopyRect for an earlier viewer may still arrive at one without the encoding. The
            // viewer's first picture, which follows, repairs what it misses.
            Rectangle::CopyRect { rect, from } if self.supports(encoding::COPY_RECT) => {
                server::copy_rect(out, *rect, *from);
                1
            }
            Rectangle::PointerPos { x, y } if self.supports(encoding::POINTER_POS) => {
                server::pointer_pos(out, (*x, *y));
                1
            }
            Rectangle::CopyRect { .. } | Rectangle::PointerPos { .. } => 0,
            Rectangle::Cursor(cursor) => self.write_cursor(cursor, out),
            Rectangle::DesktopSize { width, height } => self.write_size((*width, *height), out)?,
            Rectangle::ExtendedDesktopSize {
                reason,
                status,
                width,
                height,
                screens,
            } => self.write_extended_size((*reason, *status), (*width, *height), screens, out)?,
            Rectangle::Supports { encoding } => self.write_supported(*encoding, out),
        })
    }

    fn write_cursor(&self, cursor: &CursorImage, out: &mut Vec<u8>) -> u16 {
        if !self.supports(encoding::CURSOR) {
            return 0;
        }
        let mut converted = CursorImage {
            pixels: Vec::new(),
            ..cursor.clone()
        };
        convert_pixels(&cursor.pixels, &self.format, &mut converted.pixels);
        server::cursor(out, &converted);
        1
    }

    /// Writes the confirmation of an extension.
    fn write_supported(&mut self, encoding: i32, out: &mut Vec<u8>) -> u16 {
        if !self.supports(encoding) {
            return 0;
        }
        if encoding == encoding::EXTENDED_MOUSE_BUTTONS {
            self.pointer_format = PointerFormat::Extended;
        }
        server::supports(out, encoding);
        1
    }

    /// Writes an ExtendedDesktopSize, or for a viewer without it a successful resize as
    /// DesktopSize.
    fn write_extended_size(
        &mut self,
        (reason, status): (u16, u16),
        size: (u16, u16),
        screens: &[ScreenLayout],
        out: &mut Vec<u8>,
    ) -> Result<u16, CannotResize> {
        if self.supports(encoding::EXTENDED_DESKTOP_SIZE) {
            server::extended_desktop_size(out, reason, status, size, screens);
            if status == 0 {
                self.size = size;
            }
            return Ok(1);
        }
        if status == 0 {
            self.write_size(size, out)
        } else {
            Ok(0)
        }
    }

    /// Writes a new size in the way that the viewer supports; nothing if it has been told this
    /// size.
    fn write_size(&mut self, size: (u16, u16), out: &mut Vec<u8>) -> Result<u16, CannotResize> {
        if size == self.size {
            return Ok(0);
        }
        if self.supports(encoding::EXTENDED_DESKTOP_SIZE) {
            let (w, h) = size;
            let screen = ScreenLayout {
                id: 0,
                rect: Rect::new(0, 0, w, h),
                flags: 0,
            };
            return Ok(self.write_layout(size, &[screen], out));
        }
        if !self.supports(encoding::DESKTOP_SIZE) {
            return Err(CannotResize);
        }
        server::desktop_size(out, size.0, size.1);
        self.size = size;
        Ok(1)
    }

    fn write_layout(
        &mut self,
        size: (u16, u16),
        screens: &[ScreenLayout],
        out: &mut Vec<u8>,
    ) -> u16 {
        server::extended_desktop_size(out, 0, 0, size, screens);
        self.size = size;
        1
    }
}
