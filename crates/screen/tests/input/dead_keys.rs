//! Dead keys: a letter gets its accent once, whoever composes it.

use crate::desk::*;

/// A dead key and a letter make one character in the customer's program: a viewer that sends the
/// dead key's keysym leaves that to the program.
#[test]
fn dead_keys_wait_for_their_letter() {
    const DEAD_ACUTE: u32 = 0xfe51;
    const DEAD_DIAERESIS: u32 = 0xfe57;
    let mut fixture = Fixture::new("fi");
    let symbols = fixture.keysyms();
    let xev = Xev::start(&mut fixture);
    for (dead, letter) in [(DEAD_ACUTE, 'e'), (DEAD_DIAERESIS, 'u'), (DEAD_ACUTE, 'a')] {
        fixture.tap(dead);
        fixture.tap(keysym_of(letter));
    }
    // xev looks up the letter too; Xlib replaces it by the composed character.
    let text = xev.end_text(&mut fixture);
    assert_eq!(text, "eéuüaá");
    assert_eq!(fixture.keysyms(), symbols, "nothing was lent");
}

/// A browser tells of a dead key without a keysym, and then of the composed letter on the key of the
/// plain one.
#[test]
fn a_letter_that_the_browser_composed_comes_alone() {
    for layout in ["fi", "se", "de", "fr", "us", "us(intl)"] {
        let mut fixture = Fixture::new(layout);
        let calm = fixture.pressed();
        let xev = Xev::start(&mut fixture);
        let mut put = |scancode, keysym, down| {
            fixture
                .input
                .send_scancode(scancode, keysym, down)
                .expect("given");
        };
        // The dead key as on a Finnish, a German and a French keyboard, then é, ^ and ü.
        for (dead, place, typed) in [(0x0d, 0x12, 'é'), (0x29, 0x39, '^'), (0x1a, 0x16, 'ü')] {
            put(0x2a, SHIFT, true);
            put(dead, 0, true);
            put(dead, 0, false);
            put(0x2a, SHIFT, false);
            put(place, keysym_of(typed), true);
            put(place, keysym_of(typed), false);
        }
        let text = xev.end_text(&mut fixture);
        assert_eq!(text, "é^ü", "under {layout}");
        assert_eq!(fixture.pressed(), calm, "something stayed pressed");
    }
}

/// A browser that doesn't compose tells of a dead key without a keysym too, and then of the plain
/// letter.
#[test]
fn a_letter_that_the_browser_left_plain_gets_its_accent() {
    for (layout, dead_keys) in [
        ("fi", [0x0d, 0x1b]),
        ("de", [0x0d, 0x29]),
        ("us(intl)", [0x28, 0x07]),
    ] {
        let mut fixture = Fixture::new(layout);
        let calm = fixture.pressed();
        let xev = Xev::start(&mut fixture);
        let mut put = |scancode, keysym, down| {
            let done = fixture.input.send_scancode(scancode, keysym, down);
            done.expect("given");
        };
        // The first dead key alone, the second with Shift: an acute, and a circumflex but in German,
        // where Shift gives a degree sign.
        for (dead, place, typed) in [(dead_keys[0], 0x12, 'e'), (dead_keys[1], 0x1e, 'A')] {
            let shift = typed == 'A';
            put(0x2a, SHIFT, shift);
            put(dead, 0, true);
            put(dead, 0, false);
            put(place, keysym_of(typed), true);
            put(place, keysym_of(typed), false);
            put(0x2a, SHIFT, false);
            put(0x30, keysym_of('b'), true);
            put(0x30, keysym_of('b'), false);
        }
        let pressed = xev.end(&mut fixture);
        let text: String = pressed.iter().map(|p| p.text.as_str()).collect();
        // xev looks the letter up too, before Xlib replaces it.
        let expected = match layout {
            "de" => "eébAb",
            _ => "eébAÂb",
        };
        assert_eq!(text, expected, "under {layout}: {pressed:x?}");
        assert_eq!(fixture.pressed(), calm, "something stayed pressed");
    }
}
