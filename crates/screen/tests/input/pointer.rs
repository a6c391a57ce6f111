//! Pointer motion and buttons arrive as they were meant.

use crate::desk::*;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::*;
use x11rb::wrapper::ConnectionExt as _;

#[test]
fn the_pointer_stays_on_the_screen() {
    let mut fixture = Fixture::new("us");
    let at = |fixture: &Fixture| {
        let reply = fixture
            .watcher
            .query_pointer(fixture.root)
            .expect("sent")
            .reply()
            .expect("a place");
        (reply.root_x, reply.root_y)
    };
    for (given, expected) in [
        ((12, 34), (12, 34)),
        ((700, 9), (639, 9)),
        ((u16::MAX, u16::MAX), (639, 479)),
    ] {
        fixture
            .input
            .send_pointer(given.0, given.1, 0)
            .expect("moved");
        fixture.wait_until_done();
        assert_eq!(at(&fixture), expected);
    }
}

/// Presses buttons 1 to 9 and returns those that programs receive.
fn pressed_buttons(fixture: &mut Fixture) -> Vec<u8> {
    let mask = ChangeWindowAttributesAux::new()
        .event_mask(EventMask::BUTTON_PRESS | EventMask::BUTTON_RELEASE);
    fixture
        .watcher
        .change_window_attributes(fixture.root, &mask)
        .expect("sent")
        .check()
        .expect("listening");
    for button in 0..9 {
        fixture
            .input
            .send_pointer(5, 5, 1 << button)
            .expect("pressed");
        fixture.input.send_pointer(5, 5, 0).expect("let go of");
    }
    fixture.input.send_pointer(5, 5, 0xfe00).expect("ignored");
    fixture.wait_until_done();
    fixture.watcher.sync().expect("sync");
    let mut presses = Vec::new();
    while let Some(event) = fixture.watcher.poll_for_event().expect("events") {
        if let x11rb::protocol::Event::ButtonPress(e) = event {
            presses.push(e.detail);
        }
    }
    presses
}

#[test]
fn nine_buttons_and_the_wheel() {
    let mut fixture = Fixture::new("us");
    assert_eq!(pressed_buttons(&mut fixture), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

/// The customer's left hand turns the customer's own buttons around, not the agent's.
#[test]
fn a_left_handed_customer_leaves_the_agents_buttons_as_they_are() {
    let mut fixture = Fixture::new("us");
    let set = |fixture: &Fixture, map: &[u8]| {
        let set = fixture.watcher.set_pointer_mapping(map).expect("sent");
        assert_eq!(set.reply().expect("set").status, MappingStatus::SUCCESS);
    };
    let map = fixture.watcher.get_pointer_mapping().expect("sent");
    let mut map = map.reply().expect("a map").map;
    for left_handed in [true, false, true] {
        map[0] = if left_handed { 3 } else { 1 };
        map[2] = if left_handed { 1 } else { 3 };
        set(&fixture, &map);
        fixture.wait_until_done();
        for when in ["while control is given", "before"] {
            let pressed = pressed_buttons(&mut fixture);
            assert_eq!(pressed, [1, 2, 3, 4, 5, 6, 7, 8, 9], "{left_handed} {when}");
            fixture = fixture.reopen();
        }
    }
    // A button that the map leaves out can't be pressed.
    map[1] = 0;
    set(&fixture, &map);
    fixture.wait_until_done();
    assert_eq!(pressed_buttons(&mut fixture), [1, 3, 4, 5, 6, 7, 8, 9]);
}
