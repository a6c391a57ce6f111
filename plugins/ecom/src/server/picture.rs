//! From what changed on the screen to an update for the client.

use std::time::{Duration, Instant};

use etatuki_rfb::encode::server;
use etatuki_rfb::{CursorImage, Layout, Rect, translate};
use etatuki_screen::{Capture, Monitor};

use super::ServeError;
use super::outbox::{Outbox, Part, Pixels};
use super::places::Place;
use super::sent::{Sent, TILE};
use super::viewer::{Desk, Viewer};

/// Rectangles of one update, at most: their number has 16 bits. With more of them it is everything that was grabbed.
const MOST: usize = 8192;

/// Appends the next update, if one is owed and there is something in it. Says whether it asked the X
/// server for anything.
pub(super) fn compose(
    capture: &mut Capture,
    viewer: &mut Viewer,
    sent: &mut Sent,
    outbox: &mut Outbox,
    pointed: Option<Place>,
) -> Result<bool, ServeError> {
    if viewer.owed().is_none() {
        return Ok(false);
    }
    tell(capture, viewer, outbox);
    let Some(area) = viewer.owed().filter(|area| is_due(capture, viewer, area)) else {
        return Ok(false);
    };
    fill(capture, viewer, sent, area, pointed, outbox)?;
    Ok(true)
}

/// What isn't pixels goes before, in an update of its own: a size must be known before what is drawn in it.
fn tell(capture: &Capture, viewer: &mut Viewer, outbox: &mut Outbox) {
    let desk = desk(capture);
    while viewer.has_news(&desk) {
        framed(outbox.update(), |out| viewer.tell(&desk, out));
    }
}

fn desk(capture: &Capture) -> Desk {
    let layout = |monitor: &Monitor| Layout {
        id: monitor.id,
        rect: Rect::new(
            monitor.rect.x,
            monitor.rect.y,
            monitor.rect.w,
            monitor.rect.h,
        ),
        flags: 0,
    };
    Desk {
        size: (capture.size().width, capture.size().height),
        monitors: capture.monitors().iter().map(layout).collect(),
    }
}

fn is_due(capture: &Capture, viewer: &Viewer, area: &Rect) -> bool {
    let area = on_screen(*area);
    let changed = |rect: &etatuki_screen::Rect| !rect.intersection(&area).is_empty();
    viewer.answer_is_due()
        || viewer.draws_cursor() && capture.has_new_cursor()
        || place_due_in(capture, viewer) == Some(Duration::ZERO)
        || capture.damage().rects().iter().any(changed)
}

/// How long until the client is told where the pointer is; `None` when there is nothing new.
pub(super) fn place_due_in(capture: &Capture, viewer: &Viewer) -> Option<Duration> {
    let moved = viewer.shows_places() && capture.has_pointer_moved();
    moved.then(|| viewer.places.wait(Instant::now()))
}

fn fill(
    capture: &mut Capture,
    viewer: &mut Viewer,
    sent: &mut Sent,
    area: Rect,
    pointed: Option<Place>,
    outbox: &mut Outbox,
) -> Result<(), ServeError> {
    let answer_is_due = viewer.answer_is_due();
    let out = outbox.update();
    let start = out.len();
    let (mut failed, mut new) = (None, Vec::new());
    let count = framed(out, |out| {
        let mut rectangles = || {
            let pointer = cursor(capture, viewer, out)? + place(capture, viewer, pointed, out)?;
            new = pixels(capture, sent, area)?;
            Ok(pointer + new.len() as u16)
        };
        rectangles().unwrap_or_else(|error| {
            failed = Some(error);
            0
        })
    });
    if let Some(error) = failed {
        return Err(error);
    }
    if count == 0 && !answer_is_due {
        // What was drawn looks as before, and the pointer was moved by the client itself. Or the screen became smaller
        // under our hands; the next round tells of that.
        out.truncate(start);
    } else {
        outbox.end_update(Pixels::new(*viewer.format(), new));
        viewer.served(outbox.answer());
    }
    Ok(())
}

/// Appends an update with the rectangles that `write` appends and counts.
fn framed(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> u16) -> u16 {
    let start = out.len();
    server::update_start(out, Some(0));
    let count = write(out);
    server::update_count(&mut out[start..], count);
    count
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
        capture.invalidate_cursor();
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

/// Where the pointer is, when somebody else has moved it.
fn place(
    capture: &mut Capture,
    viewer: &mut Viewer,
    pointed: Option<Place>,
    out: &mut Vec<u8>,
) -> Result<u16, ServeError> {
    if place_due_in(capture, viewer) != Some(Duration::ZERO) {
        return Ok(0);
    }
    let now = capture.query_pointer()?;
    let news = viewer.places.news(now, pointed, Instant::now());
    if let Some(place) = news {
        server::pointer_pos(out, place);
    }
    Ok(u16::from(news.is_some()))
}

/// What changed inside `area` and the client may lack, of what was grabbed last.
fn pixels(capture: &mut Capture, sent: &mut Sent, area: Rect) -> Result<Vec<Part>, ServeError> {
    sent.resize((capture.size().width, capture.size().height));
    let Some(frame) = capture.grab(on_screen(area))? else {
        return Ok(Vec::new());
    };
    let (mut new, mut rects) = (Vec::new(), Vec::new());
    for (piece, pixels) in frame.rects().enumerate() {
        for band in pixels.bands(TILE) {
            let read = |out: &mut Vec<u8>| band.append_bgrx(out);
            sent.take(in_rfb(band.rect), read, &mut rects);
        }
        new.extend(rects.drain(..).map(|rect| Part { piece, rect }));
    }
    if new.len() > MOST {
        let all = frame.rects().map(|piece| in_rfb(piece.rect)).enumerate();
        let shown = all.filter(|(_, rect)| sent.has(*rect));
        new = shown.map(|(piece, rect)| Part { piece, rect }).collect();
    }
    Ok(new)
}

/// Appends a part of what was grabbed last, as BGRX.
pub(super) fn append(capture: &Capture, part: Part, out: &mut Vec<u8>) {
    if let Some(piece) = capture.frame().get(part.piece) {
        piece.inside(on_screen(part.rect)).append_bgrx(out);
    }
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

/// The same rectangle in the client's words.
fn in_rfb(rect: etatuki_screen::Rect) -> Rect {
    Rect::new(rect.x, rect.y, rect.w, rect.h)
}
