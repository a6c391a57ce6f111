//! From what changed on the screen to an update for the client.

use etatuki_rfb::encode::server;
use etatuki_rfb::{CursorImage, PixelFormat, Rect, translate};
use etatuki_screen::Capture;

use super::ServeError;
use super::outbox::Outbox;
use super::viewer::Viewer;

/// Appends the next update, if one is owed and there is something in it. Says whether it asked the X
/// server for anything.
pub(super) fn compose(
    capture: &mut Capture,
    viewer: &mut Viewer,
    outbox: &mut Outbox,
) -> Result<bool, ServeError> {
    let Some(area) = viewer.owed() else {
        return Ok(false);
    };
    let size = (capture.size().width, capture.size().height);
    if capture.damage().is_empty()
        && !capture.has_new_cursor()
        && !viewer.answer_is_due()
        && !viewer.size_is_news(size)
    {
        return Ok(false);
    }
    outbox.update(|out| fill(capture, viewer, area, out))
}

fn fill(
    capture: &mut Capture,
    viewer: &mut Viewer,
    area: Rect,
    out: &mut Vec<u8>,
) -> Result<bool, ServeError> {
    let start = out.len();
    server::update_start(out, Some(0));
    let size = (capture.size().width, capture.size().height);
    let is_due = viewer.answer_is_due() || viewer.size_is_news(size);
    let mut count = if is_due { viewer.tell(size, out) } else { 0 };
    count += cursor(capture, viewer, out)?;
    count += pixels(capture, viewer.format(), area, out)?;
    if count == 0 && !is_due {
        out.truncate(start);
        return Ok(true);
    }
    // The number of rectangles, in the update's third and fourth byte (RFC 6143 section 7.6.1).
    out[start + 2..start + 4].copy_from_slice(&count.to_be_bytes());
    viewer.served(out);
    Ok(true)
}

/// The pointer's shape, when the client lacks it.
fn cursor(
    capture: &mut Capture,
    viewer: &mut Viewer,
    out: &mut Vec<u8>,
) -> Result<u16, ServeError> {
    if !viewer.draws_cursor() {
        return Ok(0);
    }
    if viewer.take_cursor_due() {
        capture.forget_cursor();
    }
    let Some(image) = capture.take_cursor()? else {
        return Ok(0);
    };
    let mut pixels = Vec::with_capacity(image.pixels.len());
    translate(&image.pixels, viewer.format(), &mut pixels);
    let image = CursorImage {
        hot: (image.hot_x, image.hot_y),
        width: image.width,
        height: image.height,
        pixels,
        mask: image.mask,
    };
    server::cursor(out, &image);
    Ok(1)
}

/// The pixels that changed inside `area`; gives the number of rectangles.
fn pixels(
    capture: &mut Capture,
    format: &PixelFormat,
    area: Rect,
    out: &mut Vec<u8>,
) -> Result<u16, ServeError> {
    let Some(frame) = capture.grab(on_screen(area))? else {
        return Ok(0);
    };
    let mut scratch = Vec::new();
    for piece in frame.pieces() {
        let rect = Rect::new(piece.rect.x, piece.rect.y, piece.rect.w, piece.rect.h);
        server::raw_head(out, rect);
        if *format == PixelFormat::BGRX {
            piece.append_bgrx(out);
        } else {
            scratch.clear();
            piece.append_bgrx(&mut scratch);
            translate(&scratch, format, out);
        }
    }
    Ok(frame.len() as u16)
}

/// The same rectangle in the screen's words.
pub(super) fn on_screen(rect: Rect) -> etatuki_screen::Rect {
    etatuki_screen::Rect {
        x: rect.x,
        y: rect.y,
        w: rect.w,
        h: rect.h,
    }
}
