//! The keypad types what the agent meant, whatever Num Lock says at either end.

use crate::desk::*;

const NUM_LOCK: &str = "t:0xff7f";
const NUM_LOCK_MASK: u32 = 0x10;
const KP_SEPARATOR: u32 = 0xffac;
const KP_DECIMAL: u32 = 0xffae;

#[track_caller]
fn check(layout: &str, steps: &str, expected: &[(u32, u32)]) {
    let mut fixture = Fixture::new(layout);
    let calm = fixture.pressed();
    let xev = Xev::start(&mut fixture);
    fixture.play(steps);
    let pressed = xev.end_without_modifiers(&mut fixture);
    let got: Vec<_> = pressed.iter().map(|p| (p.keysym, p.state & 0xff)).collect();
    assert_eq!(got, expected, "under {layout}: {steps}");
    fixture.input.release_all().expect("released");
    assert_eq!(fixture.pressed().0, calm.0, "something stayed pressed");
}

/// A faked Shift would select text.
#[test]
fn the_keypads_arrows_and_digits_need_no_shift() {
    let lock = NUM_LOCK_MASK;
    check(
        "us",
        &format!(
            "{NUM_LOCK} q:0x4b:0xff96 q:0x4b:0xffb4 t:0xff96 {NUM_LOCK} q:0x4b:0xff96 q:0x4b:0xffb4"
        ),
        &[
            (0xff51, lock),
            (0xffb4, lock),
            (0xff51, lock),
            (0xff96, 0),
            (0x34, 0),
        ],
    );
    // On the French main row the digits need Shift: there it belongs to the digit.
    check("fr", "q:0x4b:0xffb4", &[(0x34, 1)]);
}

/// Accountants type 12,50 with it; many programs turn the key itself into the language's separator.
#[test]
fn the_decimal_key_is_the_customers_own() {
    let lock = NUM_LOCK_MASK;
    for (layout, own) in [
        ("us", KP_DECIMAL),
        ("fi", KP_SEPARATOR),
        ("de", KP_SEPARATOR),
        ("us(intl)", KP_DECIMAL),
    ] {
        // With Num Lock: as each agent's browser sends it, and a viewer that knows no scancodes.
        check(
            layout,
            &format!("{NUM_LOCK} q:0x53:0xffae q:0x53:0xffac q:0x53:, t:0xffae t:0xffac"),
            &[(own, lock); 5],
        );
        // Without it the customer's key deletes: the separator comes alone, without Shift.
        check(
            layout,
            "q:0x53:0xffae t:0xffac q:0x53:0xff9f",
            &[(own, 0), (own, 0), (0xff9f, 0)],
        );
    }
}
