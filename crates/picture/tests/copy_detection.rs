//! Copies that no tool sends are found, and whatever is found, the client ends with the
//! framebuffer's picture.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use etatuki_rfb::{Rect, encoding};
use etatuki_testkit::update_path::{Event, HEIGHT, UpdatePath, WIDTH};
use proptest::prelude::*;

/// Moves text. Checks that at most `max_pixels` are sent for it, and exactly `copies`.
fn check(rect: Rect, to: (u16, u16), most_pixels: usize, moves: usize) {
    let mut desk = UpdatePath::new(&[encoding::COPY_RECT]);
    desk.write(rect, 1);
    desk.bring_up_to_date();
    desk.drag(rect, to);
    let brought = desk.bring_up_to_date();
    assert!(
        brought <= most_pixels,
        "{brought} pixels for {rect:?} to {to:?}"
    );
    assert_eq!(desk.client.copies, moves, "{rect:?} to {to:?}");
}

#[test]
fn scrolls_are_found_in_all_directions() {
    let all = Rect::new(0, 20, 400, 240);
    check(all, (0, 7), 400 * 48, 1);
    check(all, (0, 33), 400 * 48, 1);
    check(Rect::new(40, 0, 300, 300), (60, 0), 300 * 64, 1);
    check(Rect::new(40, 0, 300, 300), (3, 0), 300 * 96, 1);
}

#[test]
fn dragged_windows_are_found() {
    check(Rect::new(10, 10, 220, 180), (75, 41), 220 * 180 * 4 / 5, 1);
    check(
        Rect::new(150, 100, 220, 180),
        (91, 13),
        220 * 180 * 4 / 5,
        1,
    );
}

#[test]
fn a_small_change_is_not_worth_a_search() {
    check(Rect::new(10, 10, 100, 60), (10, 23), 128 * 112, 0);
}

#[test]
fn a_client_without_copyrect_gets_pixels() {
    let mut desk = UpdatePath::new(&[]);
    desk.write(Rect::new(0, 0, 400, 300), 1);
    desk.bring_up_to_date();
    desk.drag(Rect::new(0, 20, 400, 280), (0, 0));
    desk.bring_up_to_date();
    assert_eq!(desk.client.copies, 0);
}

#[test]
fn what_the_client_has_lost_is_no_source() {
    let mut desk = UpdatePath::new(&[encoding::COPY_RECT]);
    let all = Rect::new(0, 0, 400, 300);
    desk.write(all, 1);
    desk.bring_up_to_date();
    desk.drag(Rect::new(0, 20, 400, 280), (0, 0));
    desk.updater.request(false, Rect::new(0, 0, 400, 100));
    desk.client.invalidate(Rect::new(0, 0, 400, 100));
    desk.bring_up_to_date();
    assert_eq!(desk.client.copies, 0);
    // Afterwards the client's pixels are known again.
    desk.drag(Rect::new(0, 20, 400, 280), (0, 0));
    desk.bring_up_to_date();
    assert_eq!(desk.client.copies, 1);
}

fn rects() -> impl Strategy<Value = Rect> {
    (0..WIDTH - 16, 0..HEIGHT - 16).prop_flat_map(|(x, y)| {
        (16..=WIDTH - x, 16..=HEIGHT - y).prop_map(move |(w, h)| Rect { x, y, w, h })
    })
}

fn moves() -> impl Strategy<Value = (Rect, (u16, u16))> {
    rects().prop_flat_map(|rect| {
        let places = (0..=WIDTH - rect.w, 0..=HEIGHT - rect.h);
        // Mostly along one axis, as lists scroll.
        (Just(rect), places, 0..3).prop_map(|(rect, (x, y), kind)| match kind {
            0 => (rect, (x, y)),
            1 => (rect, (rect.x, y)),
            _ => (rect, (x, rect.y)),
        })
    })
}

fn events() -> impl Strategy<Value = Event> {
    use Event as E;
    prop_oneof![
        3 => (rects(), 0..4u32).prop_map(|(rect, seed)| E::Write(rect, seed)),
        6 => moves().prop_map(|(rect, to)| E::Drag(rect, to)),
        6 => Just(E::Update),
        1 => rects().prop_map(E::Ask),
        1 => rects().prop_map(E::Lose),
        1 => moves().prop_map(|(rect, from)| E::Copy(rect, from)),
        1 => any::<bool>().prop_map(E::Encodings),
        1 => (1..=WIDTH, 1..=HEIGHT).prop_map(|(width, height)| E::Resize(width, height)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_moves_the_client_shows_the_screen(
        events in prop::collection::vec(events(), 1..24),
        resizes in any::<bool>(),
    ) {
        let encodings = [encoding::COPY_RECT, encoding::DESKTOP_SIZE];
        let mut desk = UpdatePath::new(&encodings[..1 + usize::from(resizes)]);
        for event in events {
            desk.apply(event);
        }
        prop_assert!(desk.converges());
    }
}
