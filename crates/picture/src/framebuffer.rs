//! The framebuffer, its damage, its layout and the pointer's shape.

use etatuki_rfb::{CursorImage, Rect, Rectangle, ScreenLayout};

use crate::changed_blocks::ChangedBlocks;
use crate::cursor_scaling::scaled_to_fit;
use crate::damage::{Damage, TILE, rows, word_spans};
use crate::grid::copy_pixels;

/// A rectangle that can't be applied: the plugin or tool is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// The rectangle reaches beyond the framebuffer.
    #[error("the tool sent a rectangle outside the screen: {0:?}")]
    OutsideFramebuffer(Rect),
    /// The number of bytes isn't the one that the size demands.
    #[error("the tool sent {got} bytes for a rectangle of {wanted}")]
    WrongLength {
        /// Bytes that came.
        got: usize,
        /// Bytes that the size demands.
        wanted: usize,
    },
    /// A JPEG came: a tool's picture must be lossless.
    #[error("the tool sent a JPEG")]
    Jpeg,
}

/// Maximum number of copies that wait for the client; above it, their targets are sent as pixels.
const MAX_PENDING_COPIES: usize = 16;

/// Maximum number of screens in a layout; the others are left out.
const MAX_SCREENS: usize = 16;

/// The picture of a source in [`PixelFormat::BGRX`](etatuki_rfb::PixelFormat::BGRX), black at
/// first. The unused fourth byte of every pixel is always 0, whatever a tool sends in it.
///
/// Invariant: the client's picture, after the pending copies in their order, is equal to this one
/// everywhere outside the damage.
#[derive(Debug)]
pub struct Framebuffer {
    bounds: Rect,
    pixels: Vec<u8>,
    damage: Damage,
    changed_blocks: ChangedBlocks,
    /// Number of rectangles that changed pixels.
    change_count: u64,
    pending_copies: Vec<CopyRect>,
    layout: Vec<ScreenLayout>,
    /// Grows with every new layout.
    layout_version: u64,
    /// Position to which somebody at the tool's machine last moved the pointer.
    pointer: Option<(u16, u16)>,
    /// Grows with every such move.
    pointer_version: u64,
    cursor: Option<CursorImage>,
    /// Grows with every new shape of the pointer.
    cursor_version: u64,
}

/// A copy inside the picture, as RFB's CopyRect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopyRect {
    pub(crate) rect: Rect,
    pub(crate) from: (u16, u16),
}

impl Framebuffer {
    /// Creates a black framebuffer. The caller bounds the size ([`Limits`](etatuki_rfb::Limits)):
    /// it takes a good 4 bytes per pixel.
    #[must_use]
    pub fn new(width: u16, height: u16) -> Self {
        let bounds = Rect::new(0, 0, width, height);
        Self {
            bounds,
            pixels: vec![0; bounds.area() * 4],
            damage: Damage::new(width, height),
            changed_blocks: ChangedBlocks::new(width, height),
            change_count: 0,
            pending_copies: Vec::new(),
            layout: vec![whole_screen(bounds)],
            layout_version: 0,
            pointer: None,
            pointer_version: 0,
            cursor: None,
            cursor_version: 0,
        }
    }

    /// Returns the number of columns.
    #[must_use]
    pub fn width(&self) -> u16 {
        self.bounds.w
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn height(&self) -> u16 {
        self.bounds.h
    }

    /// Returns the rectangle of the whole framebuffer.
    #[must_use]
    pub fn bounds(&self) -> Rect {
        self.bounds
    }

    /// Returns all pixels, 4 bytes each, rows without gaps.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Returns the screens inside the framebuffer: 1 to 16, each inside of it and not empty, flags
    /// 0. There is one that covers all of it until the tool announces others.
    #[must_use]
    pub fn layout(&self) -> &[ScreenLayout] {
        &self.layout
    }

    /// Returns the pointer's shape, if the tool has sent one.
    #[must_use]
    pub fn cursor(&self) -> Option<&CursorImage> {
        self.cursor.as_ref()
    }

    /// Applies a rectangle whose pixels are BGRX. Returns whether it changed anything; the
    /// confirmation of an extension doesn't.
    ///
    /// # Errors
    /// The rectangle doesn't fit; nothing was changed.
    pub fn apply(&mut self, rectangle: &Rectangle) -> Result<bool, PictureError> {
        match rectangle {
            Rectangle::Raw { rect, pixels } => {
                check_length(pixels.len(), rect.area() * 4)?;
                self.draw(*rect, pixels, usize::from(rect.w) * 4)
            }
            Rectangle::Jpeg { .. } => Err(PictureError::Jpeg),
            Rectangle::CopyRect { rect, from } => self.copy(*rect, *from),
            Rectangle::Cursor(cursor) => {
                let (width, height) = (cursor.width, cursor.height);
                let mask = CursorImage::mask_stride(width) * usize::from(height);
                check_length(cursor.mask.len(), mask)?;
                let area = usize::from(width) * usize::from(height);
                check_length(cursor.pixels.len(), area * 4)?;
                Ok(self.set_cursor(cursor.clone()))
            }
            Rectangle::PointerPos { x, y } => Ok(self.set_pointer(*x, *y)),
            Rectangle::DesktopSize { width, height } => Ok(self.resize(*width, *height)),
            Rectangle::ExtendedDesktopSize {
                status: 0,
                width,
                height,
                screens,
                ..
            } => {
                let resized = self.resize(*width, *height);
                Ok(self.set_layout(screens) || resized)
            }
            Rectangle::ExtendedDesktopSize { .. } | Rectangle::Supports { .. } => Ok(false),
        }
    }

    /// Grows whenever pixels are drawn that differ from what was there.
    pub(crate) fn change_count(&self) -> u64 {
        self.change_count
    }

    /// Returns whether copies wait for the client.
    pub(crate) fn has_pending_copies(&self) -> bool {
        !self.pending_copies.is_empty()
    }

    /// Draws BGRX pixels from a picture with `stride` bytes per row, whose first pixel is the
    /// rectangle's left top. Returns whether anything changed.
    ///
    /// # Errors
    /// The rectangle is outside, or `pixels` is too short for it; nothing was changed.
    pub fn draw(&mut self, rect: Rect, pixels: &[u8], stride: usize) -> Result<bool, PictureError> {
        self.check_inside(rect)?;
        if rect.is_empty() {
            return Ok(false);
        }
        let row_length = usize::from(rect.w) * 4;
        let wanted = stride.max(row_length) * (usize::from(rect.h) - 1) + row_length;
        if stride < row_length || pixels.len() < wanted {
            let got = pixels.len();
            return Err(PictureError::WrongLength { got, wanted });
        }
        let mut changed = false;
        for (y, row) in rows(rect).zip(pixels.chunks(stride)) {
            changed |= self.draw_row(rect, y, &row[..row_length]);
        }
        self.change_count += u64::from(changed);
        Ok(changed)
    }

    /// Draws one row, tile by tile, and returns whether any pixel changed. Equal pixels stay
    /// untouched and undamaged.
    fn draw_row(&mut self, rect: Rect, y: usize, row: &[u8]) -> bool {
        let start = self.offset(usize::from(rect.x), y);
        let here = &mut self.pixels[start..start + row.len()];
        let mut changed = false;
        let mut at = 0;
        for (column, bits) in word_spans(rect) {
            let length = bits.count_ones() as usize * 4;
            // Code for this length alone takes a third of the time.
            let differs = if length == TILE_ROW_BYTES {
                replace(
                    &mut here[at..at + TILE_ROW_BYTES],
                    &row[at..at + TILE_ROW_BYTES],
                )
            } else {
                replace(&mut here[at..at + length], &row[at..at + length])
            };
            if differs {
                self.damage.mark(y, column, bits);
                self.changed_blocks.mark(y, column);
                changed = true;
            }
            at += length;
        }
        changed
    }

    /// Copies inside the picture. The client gets it as a copy, and the damage moves along.
    fn copy(&mut self, rect: Rect, from: (u16, u16)) -> Result<bool, PictureError> {
        let source = Rect {
            x: from.0,
            y: from.1,
            ..rect
        };
        self.check_inside(rect)?;
        self.check_inside(source)?;
        if rect.is_empty() || self.is_equal(rect, source) {
            return Ok(false);
        }
        copy_pixels(&mut self.pixels, self.bounds.w, rect, from);
        self.damage.apply_copy(rect, from);
        self.changed_blocks.add(rect);
        if !self.damage.covers(rect) {
            self.pending_copies.push(CopyRect { rect, from });
        }
        if self.pending_copies.len() > MAX_PENDING_COPIES {
            self.convert_copies_to_damage();
        }
        Ok(true)
    }

    fn is_equal(&self, rect: Rect, source: Rect) -> bool {
        let length = usize::from(rect.w) * 4;
        rows(rect).zip(rows(source)).all(|(to, from)| {
            let to = self.offset(rect.x.into(), to);
            let from = self.offset(source.x.into(), from);
            self.pixels[to..to + length] == self.pixels[from..from + length]
        })
    }

    /// Changes the size, and returns whether it is different. What fits stays where it was, the
    /// rest is black, and all of it counts as changed.
    pub fn resize(&mut self, width: u16, height: u16) -> bool {
        if (width, height) == (self.bounds.w, self.bounds.h) {
            return false;
        }
        let old = std::mem::replace(&mut self.bounds, Rect::new(0, 0, width, height));
        let mut pixels = vec![0; self.bounds.area() * 4];
        if let Some(kept) = old.intersection(&self.bounds) {
            let length = usize::from(kept.w) * 4;
            let new_rows = pixels.chunks_exact_mut(usize::from(width) * 4);
            let old_rows = self.pixels.chunks_exact(usize::from(old.w) * 4);
            for (new, old) in new_rows.zip(old_rows) {
                new[..length].copy_from_slice(&old[..length]);
            }
        }
        self.pixels = pixels;
        self.damage = Damage::new(width, height);
        self.changed_blocks = ChangedBlocks::new(width, height);
        self.damage_all();
        self.set_layout(&[]);
        true
    }

    /// Replaces the layout, and returns whether it is different. Left out are screens that are
    /// outside, that have an earlier one's number or place, and those above [`MAX_SCREENS`].
    fn set_layout(&mut self, announced: &[ScreenLayout]) -> bool {
        let mut layout: Vec<ScreenLayout> = Vec::new();
        for screen in announced {
            let rect = screen.rect.intersection(&self.bounds).unwrap_or_default();
            let new = |known: &ScreenLayout| known.id != screen.id && known.rect != rect;
            if !rect.is_empty() && layout.len() < MAX_SCREENS && layout.iter().all(new) {
                let (id, flags) = (screen.id, 0);
                layout.push(ScreenLayout { id, rect, flags });
            }
        }
        if layout.is_empty() {
            layout.push(whole_screen(self.bounds));
        }
        let differs = layout != self.layout;
        self.layout = layout;
        self.layout_version += u64::from(differs);
        differs
    }

    /// Replaces the pointer's shape, which has as many bytes as its size demands, and returns
    /// whether it is different. A large one is made smaller.
    pub fn set_cursor(&mut self, cursor: CursorImage) -> bool {
        let mut cursor = scaled_to_fit(cursor);
        for pixel in cursor.pixels.as_chunks_mut::<4>().0 {
            pixel[3] = 0;
        }
        if self.cursor.as_ref() == Some(&cursor) {
            return false;
        }
        self.cursor = Some(cursor);
        self.cursor_version += 1;
        true
    }

    /// Records that somebody else than the client moved the pointer; the position is clamped to the
    /// framebuffer. Always returns true: even an equal position is news.
    fn set_pointer(&mut self, x: u16, y: u16) -> bool {
        let (right, bottom) = (self.bounds.w.max(1) - 1, self.bounds.h.max(1) - 1);
        let position = Some((x.min(right), y.min(bottom)));
        // The client may have moved it meanwhile, so an equal position is a new one too.
        self.pointer = position;
        self.pointer_version += 1;
        true
    }

    /// Returns the position to which somebody at the tool's machine last moved the pointer, and its
    /// version.
    pub(crate) fn pointer(&self) -> (Option<(u16, u16)>, u64) {
        (self.pointer, self.pointer_version)
    }

    /// Grows with every new shape; 0 before there is one.
    pub(crate) fn cursor_version(&self) -> u64 {
        self.cursor_version
    }

    /// Grows with every new layout.
    pub(crate) fn layout_version(&self) -> u64 {
        self.layout_version
    }

    pub(crate) fn damage(&mut self) -> &mut Damage {
        &mut self.damage
    }

    /// Returns the indices of the blocks that have changed since the last call.
    pub(crate) fn take_changed_blocks(&mut self) -> impl Iterator<Item = usize> {
        self.changed_blocks.take()
    }

    /// Damages everything: the client has nothing of what is here.
    pub(crate) fn damage_all(&mut self) {
        self.pending_copies.clear();
        self.damage.add(self.bounds);
    }

    /// Returns the copies that the client has to make, in their order, before it gets the damaged
    /// pixels. They count as sent.
    pub(crate) fn take_pending_copies(&mut self) -> Vec<CopyRect> {
        std::mem::take(&mut self.pending_copies)
    }

    /// Damages the targets of the pending copies, for a client that can't make them.
    pub(crate) fn convert_copies_to_damage(&mut self) {
        for CopyRect { rect, .. } in std::mem::take(&mut self.pending_copies) {
            self.damage.add(rect);
        }
    }

    fn offset(&self, x: usize, y: usize) -> usize {
        (y * usize::from(self.bounds.w) + x) * 4
    }

    fn check_inside(&self, rect: Rect) -> Result<(), PictureError> {
        if self.bounds.contains(&rect) {
            return Ok(());
        }
        Err(PictureError::OutsideFramebuffer(rect))
    }
}

/// Returns a screen that covers the framebuffer.
fn whole_screen(bounds: Rect) -> ScreenLayout {
    ScreenLayout {
        id: 0,
        rect: bounds,
        flags: 0,
    }
}

fn check_length(got: usize, wanted: usize) -> Result<(), PictureError> {
    if got == wanted {
        return Ok(());
    }
    Err(PictureError::WrongLength { got, wanted })
}

/// Mask of a pixel's colours; the fourth byte means nothing.
const COLOUR: u32 = u32::from_le_bytes([0xff, 0xff, 0xff, 0]);

/// Bytes of one row of a tile.
const TILE_ROW_BYTES: usize = TILE as usize * 4;

/// Replaces pixels. Returns whether the colours differ. The comparison has no early exit, so that
/// the compiler vectorises it.
#[inline(always)]
fn replace(old: &mut [u8], new: &[u8]) -> bool {
    let (old, new) = (old.as_chunks_mut::<4>().0, new.as_chunks::<4>().0);
    let difference = old.iter().zip(new).fold(0, |difference, (old, new)| {
        difference | (u32::from_le_bytes(*old) ^ u32::from_le_bytes(*new))
    });
    let differs = difference & COLOUR != 0;
    if differs {
        for (old, new) in old.iter_mut().zip(new) {
            *old = (u32::from_le_bytes(*new) & COLOUR).to_le_bytes();
        }
    }
    differs
}

#[cfg(test)]
mod tests;
