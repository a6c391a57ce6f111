//! Makes updates for the client from the damage of the screen.

use std::time::{Duration, Instant};

use etatuki_rfb::encode::server;
use etatuki_rfb::{CursorImage, Rect, ScreenLayout, convert_pixels};
use etatuki_screen::{Capture, Monitor};

use super::ServeError;
use super::pending_pixels::{GrabbedRect, PendingPixels};
use super::pointer_throttle::Position;
use super::send_buffer::SendBuffer;
use super::sent_tiles::{SentTiles, TILE};
use super::viewer::{Desktop, Viewer};

/// Maximum number of rectangles in an update: the field has 16 bits. With more, everything grabbed
/// is sent.
const MAX_RECTS: usize = 8192;

/// Appends the next update, if one is owed and there is something in it. Returns whether it made a
/// request to the X server.
pub(super) fn compose_update(
    capture: &mut Capture,
    viewer: &mut Viewer,
    sent: &mut SentTiles,
    buffer: &mut SendBuffer,
    client_position: Option<Position>,
) -> Result<bool, ServeError> {
    if viewer.owed_area().is_none() {
        return Ok(false);
    }
    write_desktop_changes(capture, viewer, buffer);
    let owed = viewer.owed_area();
    let Some(area) = owed.filter(|area| is_update_due(capture, viewer, area)) else {
        return Ok(false);
    };
    write_update(capture, viewer, sent, area, client_position, buffer)?;
    Ok(true)
}

/// Appends changes of the desktop, in updates without pixels: the client must know a size before it
/// gets pixels drawn in it.
fn write_desktop_changes(capture: &Capture, viewer: &mut Viewer, buffer: &mut SendBuffer) {
    let desktop = current_desktop(capture);
    while viewer.has_desktop_changes(&desktop) {
        write_framed(buffer.update(), |out| {
            viewer.write_desktop_changes(&desktop, out)
        });
    }
}

fn current_desktop(capture: &Capture) -> Desktop {
    let layout = |monitor: &Monitor| ScreenLayout {
        id: monitor.id,
        rect: Rect::new(
            monitor.rect.x,
            monitor.rect.y,
            monitor.rect.w,
            monitor.rect.h,
        ),
        flags: 0,
    };
    Desktop {
        size: (capture.size().width, capture.size().height),
        monitors: capture.monitors().iter().map(layout).collect(),
    }
}

fn is_update_due(capture: &Capture, viewer: &Viewer, area: &Rect) -> bool {
    let area = to_screen_rect(*area);
    let changed = |rect: &etatuki_screen::Rect| !rect.intersection(&area).is_empty();
    viewer.wants_full_update()
        || viewer.draws_cursor() && capture.has_new_cursor()
        || pointer_position_due_in(capture, viewer) == Some(Duration::ZERO)
        || capture.damage().rects().iter().any(changed)
}

/// Returns the time until the client is sent the pointer's position; `None` when it is up to date.
pub(super) fn pointer_position_due_in(capture: &Capture, viewer: &Viewer) -> Option<Duration> {
    let moved = viewer.shows_pointer_position() && capture.has_pointer_moved();
    moved.then(|| viewer.pointer.time_until_due(Instant::now()))
}

fn write_update(
    capture: &mut Capture,
    viewer: &mut Viewer,
    sent: &mut SentTiles,
    area: Rect,
    client_position: Option<Position>,
    buffer: &mut SendBuffer,
) -> Result<(), ServeError> {
    let wants_full_update = viewer.wants_full_update();
    let out = buffer.update();
    let start = out.len();
    let (mut failed, mut changed) = (None, Vec::new());
    let count = write_framed(out, |out| {
        let mut rectangles = || {
            let pointer = write_cursor(capture, viewer, out)?
                + write_pointer_position(capture, viewer, client_position, out)?;
            changed = grab_changed(capture, sent, area)?;
            Ok(pointer + changed.len() as u16)
        };
        rectangles().unwrap_or_else(|error| {
            failed = Some(error);
            0
        })
    });
    if let Some(error) = failed {
        return Err(error);
    }
    if count == 0 && !wants_full_update {
        // The drawing changed no pixel, and the client moved the pointer itself. Or the screen
        // became smaller during the grab; the next round sends its size.
        out.truncate(start);
    } else {
        buffer.append_pixels(PendingPixels::new(*viewer.format(), changed));
        viewer.on_update_sent(buffer.replies());
    }
    Ok(())
}

/// Appends an update with the rectangles that `write` appends and counts.
fn write_framed(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> u16) -> u16 {
    let start = out.len();
    server::update_start(out, Some(0));
    let count = write(out);
    server::set_rectangle_count(&mut out[start..], count);
    count
}

/// Appends the pointer's shape when the client lacks it. Returns the number of rectangles.
fn write_cursor(
    capture: &mut Capture,
    viewer: &mut Viewer,
    out: &mut Vec<u8>,
) -> Result<u16, ServeError> {
    if !viewer.draws_cursor() {
        return Ok(0);
    }
    if viewer.take_cursor_due() {
        capture.invalidate_cursor();
    }
    let Some(image) = capture.take_cursor()? else {
        return Ok(0);
    };
    let mut pixels = Vec::with_capacity(image.pixels.len());
    convert_pixels(&image.pixels, viewer.format(), &mut pixels);
    let image = CursorImage {
        hotspot: (image.hot_x, image.hot_y),
        width: image.width,
        height: image.height,
        pixels,
        mask: image.mask,
    };
    server::cursor(out, &image);
    Ok(1)
}

/// Appends the pointer's position when somebody else has moved it. Returns the number of
/// rectangles.
fn write_pointer_position(
    capture: &mut Capture,
    viewer: &mut Viewer,
    client_position: Option<Position>,
    out: &mut Vec<u8>,
) -> Result<u16, ServeError> {
    if pointer_position_due_in(capture, viewer) != Some(Duration::ZERO) {
        return Ok(0);
    }
    let position = capture.query_pointer()?;
    let now = Instant::now();
    let new = viewer.pointer.update(position, client_position, now);
    if let Some(position) = new {
        server::pointer_pos(out, position);
    }
    Ok(u16::from(new.is_some()))
}

/// Grabs the damage inside `area`, and returns the parts that the client may lack.
fn grab_changed(
    capture: &mut Capture,
    sent: &mut SentTiles,
    area: Rect,
) -> Result<Vec<GrabbedRect>, ServeError> {
    sent.resize((capture.size().width, capture.size().height));
    let Some(frame) = capture.grab(to_screen_rect(area))? else {
        return Ok(Vec::new());
    };
    let (mut changed, mut rects) = (Vec::new(), Vec::new());
    for (index, pixels) in frame.rects().enumerate() {
        for band in pixels.bands(TILE) {
            let read = |out: &mut Vec<u8>| band.append_bgrx(out);
            sent.diff_band(to_rfb_rect(band.rect), read, &mut rects);
        }
        changed.extend(rects.drain(..).map(|rect| GrabbedRect { index, rect }));
    }
    if changed.len() > MAX_RECTS {
        let all = frame.rects().map(|grabbed| to_rfb_rect(grabbed.rect));
        let shown = all.enumerate().filter(|(_, rect)| sent.contains(*rect));
        changed = shown
            .map(|(index, rect)| GrabbedRect { index, rect })
            .collect();
    }
    Ok(changed)
}

/// Appends the pixels of a part of the last grab, as BGRX.
pub(super) fn append_grabbed(capture: &Capture, grabbed: GrabbedRect, out: &mut Vec<u8>) {
    if let Some(pixels) = capture.frame().get(grabbed.index) {
        let part = pixels.inside(to_screen_rect(grabbed.rect));
        part.append_bgrx(out);
    }
}

/// Converts RFB's rectangle to the screen's.
pub(super) fn to_screen_rect(rect: Rect) -> etatuki_screen::Rect {
    etatuki_screen::Rect {
        x: rect.x,
        y: rect.y,
        w: rect.w,
        h: rect.h,
    }
}

/// Converts the screen's rectangle to RFB's.
fn to_rfb_rect(rect: etatuki_screen::Rect) -> Rect {
    Rect::new(rect.x, rect.y, rect.w, rect.h)
}
