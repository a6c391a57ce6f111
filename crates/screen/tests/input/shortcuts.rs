//! Shortcuts are what the agent meant: a letter's case counts for nothing in them.

use crate::desk::*;

const SHIFT_MASK: u32 = 1;
const LOCK_MASK: u32 = 2;
const CONTROL_MASK: u32 = 4;
const ALT_MASK: u32 = 8;
const SUPER_MASK: u32 = 0x40;

/// Plays steps, and compares the keysym and state of every press that isn't a modifier's.
#[track_caller]
fn check(fixture: &mut Fixture, steps: &str, expected: &[(u32, u32)]) {
    let xev = Xev::start(fixture);
    fixture.play(steps);
    let pressed = xev.end_without_modifiers(fixture);
    let got: Vec<_> = pressed.iter().map(|p| (p.keysym, p.state)).collect();
    assert_eq!(got, expected, "{steps}");
}

#[test]
fn caps_lock_adds_no_shift_to_a_shortcut() {
    let mut fixture = Fixture::new("us");
    // Caps Lock at the customer.
    let caps = CONTROL_MASK | LOCK_MASK;
    check(
        &mut fixture,
        "t:0xffe5 d:0xffe3 t:z q:0x2c:z u:0xffe3 t:0xffe5",
        &[(0x5a, caps), (0x5a, caps)],
    );
    // Caps Lock at the agent.
    check(
        &mut fixture,
        "d:0xffe3 q:0x2c:Z t:Z u:0xffe3",
        &[(0x7a, CONTROL_MASK), (0x7a, CONTROL_MASK)],
    );
    for (modifier, mask) in [("0xffe9", ALT_MASK), ("0xffeb", SUPER_MASK)] {
        let steps = format!("d:{modifier} q:0x1f:S t:S u:{modifier}");
        check(&mut fixture, &steps, &[(0x73, mask), (0x73, mask)]);
    }
    // Shift that the agent does hold stays, with Caps Lock at either end.
    let redo = CONTROL_MASK | SHIFT_MASK;
    check(
        &mut fixture,
        "d:0xffe3 d:0xffe1 q:0x2c:Z t:z t:0xffe5 q:0x2c:z t:0xffe5 u:0xffe1 u:0xffe3",
        &[(0x5a, redo), (0x5a, redo), (0x7a, redo | LOCK_MASK)],
    );
}

#[test]
fn a_shortcut_in_another_script_goes_by_the_place_of_its_key() {
    let mut fixture = Fixture::new("us");
    // Ctrl and the Russian я, which is on the key of z.
    check(
        &mut fixture,
        "d:0xffe3 q:0x2c:я u:0xffe3",
        &[(0x7a, CONTROL_MASK)],
    );
    let mut fixture = Fixture::new("ru");
    // Programs know Ctrl+Z by its Latin letter.
    check(
        &mut fixture,
        "d:0xffe3 q:0x2c:z u:0xffe3",
        &[(0x7a, CONTROL_MASK)],
    );
}
