//! Letters that the customer's layout lacks arrive also in a program that is busy, whenever control
//! ends.

use std::time::{Duration, Instant};

use crate::desk::*;

/// Longest wait for anything.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Fixture {
    /// Carries out the input that has to wait.
    fn pump_until_done(&mut self) {
        while let Some(left) = self.input.due_in() {
            std::thread::sleep(left);
            self.input.pump().expect("pumped");
        }
    }

    fn wait_for_keysyms(&self, expected: &[u32]) {
        let start = Instant::now();
        while self.keysyms() != expected {
            assert!(start.elapsed() < TIMEOUT, "the layout is not as it was");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The customer's own left Shift and AltGr, as keycodes.
const CUSTOMERS_SHIFT: u8 = 50;
const CUSTOMERS_ALT_GR: u8 = 108;

/// A modifier that the customer holds can't be let go of: a borrowed keycode types the same with it.
#[test]
fn a_shift_that_the_customer_holds_changes_nothing() {
    for (layout, held) in [
        ("us", CUSTOMERS_SHIFT),
        ("fi", CUSTOMERS_SHIFT),
        ("fi", CUSTOMERS_ALT_GR),
    ] {
        let mut fixture = Fixture::new(layout);
        let symbols = fixture.keysyms();
        let xev = Xev::start(&mut fixture);
        let typed = "aAbB1!åÅЖ@2жaA€";
        fixture.customer_key(held, true);
        fixture.type_text(typed);
        fixture.wait_until_done();
        fixture.customer_key(held, false);
        fixture.type_text(typed);
        let pressed = xev.end(&mut fixture);
        assert_eq!(
            text_of(&pressed),
            typed.repeat(2),
            "{held} under {layout}: {pressed:x?}"
        );
        fixture.close_input();
        fixture.wait_for_keysyms(&symbols);
    }
}

fn text_of(pressed: &[XevPress]) -> String {
    pressed.iter().map(|p| p.text.as_str()).collect()
}

/// A whole alphabet fits on the unused keycodes, and stays there for a while.
#[test]
fn a_busy_program_gets_an_alphabet_though_control_ends() {
    let mut ended = Vec::new();
    for (layout, caps) in [("us", false), ("fi", true)] {
        let mut fixture = Fixture::new(layout);
        let (symbols, calm) = (fixture.keysyms(), fixture.pressed());
        let xev = Xev::start(&mut fixture);
        if caps {
            fixture.tap(CAPS_LOCK);
            fixture.wait_until_done();
        }
        xev.stop();
        let typed: String = ('А'..='я').chain("☃€漢".chars()).collect();
        fixture.type_text(&typed);
        assert_eq!(fixture.input.due_in(), None, "nothing has to wait");
        fixture.input.flush().expect("flushed");
        fixture = fixture.reopen();
        xev.go_on();
        if caps {
            fixture.tap(CAPS_LOCK);
        }
        let pressed = xev.end(&mut fixture);
        assert_eq!(text_of(&pressed), typed, "under {layout}");
        fixture.input.release_all().expect("released");
        assert_eq!(fixture.pressed(), calm);
        fixture.close_input();
        ended.push((fixture, symbols));
    }
    // Nobody keeps the keycodes.
    for (fixture, symbols) in ended {
        fixture.wait_for_keysyms(&symbols);
    }
}

/// More of them at once have to wait until a keycode is free, and so does everything behind them.
#[test]
fn more_letters_than_keycodes_wait() {
    let mut fixture = Fixture::new("us");
    let xev = Xev::start(&mut fixture);
    xev.stop();
    let mut typed: String = ('一'..='乀').take(60).collect();
    typed.push_str("ab");
    fixture.type_text(&typed);
    assert!(fixture.input.due_in().is_some(), "some have to wait");
    fixture.input.flush().expect("flushed");
    xev.go_on();
    fixture.pump_until_done();
    let pressed = xev.end(&mut fixture);
    assert_eq!(text_of(&pressed), typed);
}
