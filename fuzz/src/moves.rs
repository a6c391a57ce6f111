//! Scrolls and dragged windows, and a client that loses pixels, requests parts and changes its
//! encodings: it has the framebuffer's picture in the end.

use etatuki_rfb::{Rect, encoding};
use etatuki_testkit::update_path::{Event, HEIGHT, UpdatePath, WIDTH};

/// Reads eight bytes per event: its kind, a rectangle, a place, a seed.
pub(crate) fn picture_moves(input: &[u8]) {
    let mut desk = UpdatePath::new(&[encoding::COPY_RECT, encoding::DESKTOP_SIZE]);
    // few are enough, and each may cost a whole picture
    for bytes in input.as_chunks::<8>().0.iter().take(24) {
        desk.apply(event(bytes));
    }
    assert!(desk.converges());
}

fn event([kind, x, y, w, h, to_x, to_y, seed]: &[u8; 8]) -> Event {
    let within = |byte: &u8, most: u16| (u32::from(*byte) * u32::from(most) / 255) as u16;
    let (x, y) = (within(x, WIDTH - 1), within(y, HEIGHT - 1));
    let (w, h) = (within(w, WIDTH - x - 1) + 1, within(h, HEIGHT - y - 1) + 1);
    let rect = Rect::new(x, y, w, h);
    let to = (within(to_x, WIDTH - w), within(to_y, HEIGHT - h));
    match kind % 12 {
        0 | 1 => Event::Write(rect, u32::from(*seed)),
        2 => Event::Drag(rect, to),
        3 => Event::Drag(rect, (x, to.1)),
        4 => Event::Drag(rect, (to.0, y)),
        5 => Event::Ask(rect),
        6 => Event::Lose(rect),
        7 => Event::Copy(rect, to),
        8 => Event::Encodings(seed % 2 == 0),
        9 => Event::Resize(w, h),
        _ => Event::Update,
    }
}
